"""A JSON tensor through bentod's codec, and through orjson and NumPy alone: `python codec.py ROUNDS`. Prints JSON."""

import json
import sys
import time

import numpy as np
import orjson

from bentod.codec import json as strict
from bentod.codec.negotiate import JSON
from bentod.codec.reader import Reader
from bentod.codec.writer import Writer

SCHEMA = {"type": "array", "format": "tensor", "dtype": "float32", "shape": [-1]}
BODY = orjson.dumps(np.random.default_rng(1).standard_normal(10_000, np.float32), option=orjson.OPT_SERIALIZE_NUMPY)
READER, WRITER = Reader(SCHEMA, {}), Writer(SCHEMA, {}, check=True)
CALLS = 20


def ours():
    read = READER.read(strict.decode(BODY), None, booleans=strict.booleans(BODY))
    return b"".join(WRITER.body(read.value, JSON, read.dimensions).parts)


def least():
    return orjson.dumps(np.array(orjson.loads(BODY), np.float32), option=orjson.OPT_SERIALIZE_NUMPY)


def seconds(function):
    begun = time.perf_counter()
    for _ in range(CALLS):
        function()
    return (time.perf_counter() - begun) / CALLS


if __name__ == "__main__":
    assert ours() == least() == BODY
    print(json.dumps([(seconds(least), seconds(ours)) for _ in range(int(sys.argv[1]))]))
