"""Feeds mutated bodies to every decoder: nothing but CallErrors may come out, and no body may take long.

Not run by pytest. To run it: `pip install atheris`, then from the root of the repository

    PYTHONPATH=. python tests/fuzz/decoders.py -max_total_time=300 -max_len=4096 -timeout=5

What it finds is left in a file `crash-…`; the body becomes a case of a test in tests/codec.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["bentod", "python_multipart", "PIL"]):
    from bentod.codec.bodies import Bodies
    from bentod.codec.folder import CallFolder
    from bentod.errors import CallError
    from bentod.iotypes.image import load
    from bentod.iotypes.parts import Picture

from tests.support.sent import FORM, Sent, multipart, part

IMAGE = {"type": "string", "format": "image", "maxPixels": 100_000}
FILE = {"type": ["string", "null"], "format": "file", "contentMediaType": "audio/*"}
BINARY = {"type": "string", "format": "binary"}
VECTOR = {"type": "array", "format": "tensor", "dtype": "float32", "shape": ["n", -1]}
FLAT = {
    "type": "object",
    "properties": {"n": {"type": "integer"}, "tags": {"type": "array", "items": {"type": "string"}}},
}
EVERYTHING = {
    "type": "object",
    "properties": {
        "image": IMAGE,
        "pages": {"type": "array", "items": IMAGE},
        "file": FILE,
        "x": VECTOR,
        "mask": {"type": ["array", "null"], "format": "tensor", "dtype": "bool", "shape": ["n"]},
        "title": {"type": "string"},
        "flat": FLAT,
    },
    "additionalProperties": BINARY,
}
SCHEMAS = [True, FLAT, EVERYTHING, IMAGE, FILE, BINARY, VECTOR, {"type": "string"}]
TYPES = [
    None,
    b"application/msgpack",
    FORM,
    b"application/x-www-form-urlencoded",
    b"application/octet-stream",
    b"text/plain",
    b"image/png",
]
PAIRS = [(Bodies(schema, {}), content_type) for schema in SCHEMAS for content_type in TYPES]
TAKEN = [(bodies, form) for bodies, content_type in PAIRS if (form := bodies.form(content_type)) is not None]
LOOP = asyncio.new_event_loop()


def one(data: bytes) -> None:
    """The first byte chooses API and media type, the second the size of the chunks; the rest is the body."""
    if len(data) < 2:
        return
    bodies, form = TAKEN[data[0] % len(TAKEN)]
    with tempfile.TemporaryDirectory(dir=FOLDER) as parent, contextlib.suppress(CallError):
        found = LOOP.run_until_complete(
            bodies.read(form, Sent(data[2:], data[1]), CallFolder(Path(parent), "call"))
        ).value
        if isinstance(found, Picture):
            with contextlib.suppress(ValueError):
                load(found.data)


def seeds(folder: Path) -> None:
    """Bodies to begin with."""
    from tests.support.samples import picture

    bodies = [
        b'{"n": 3, "tags": ["a"], "x": [[1.0, 2]], "mask": [true], "image": "aGVsbG8="}',
        b'{"x": {"dtype": "float32", "shape": [1, 1], "data": "AACAPw=="}}',
        b"\x82\xa1n\x03\xa4tags\x91\xa1a",
        b"n=3&tags=a&tags=%C3%A4",
        b"\x93NUMPY\x01\0\x46\0{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1), }"
        + b" " * 10
        + b"\n"
        + bytes(4),
        multipart(part("title", "x"), part("x", "[[1]]"), part("file", "x", file="../a.wav"), part("pages", b"GIF89a")),
        *(picture(f"image/{kind}") for kind in ("png", "jpeg", "gif", "webp", "bmp", "tiff")),
        *(picture(f"image/{kind}", frames=2) for kind in ("png", "gif", "webp", "tiff")),
    ]
    for number, body in enumerate(bodies):
        for choice in range(len(TAKEN)):
            (folder / f"{number}-{choice}").write_bytes(bytes((choice, 0)) + body)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as FOLDER:
        corpus = Path(FOLDER) / "corpus"
        corpus.mkdir()
        seeds(corpus)
        atheris.Setup([*sys.argv, str(corpus)], one)
        atheris.Fuzz()
