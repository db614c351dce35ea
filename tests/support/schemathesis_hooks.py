"""What schemathesis is told that an OpenAPI document cannot say: how pictures, recordings and tensors are made.

`SCHEMATHESIS_HOOKS` names this module. The document is changed before schemathesis reads it: where a schema wants
bytes of some kind, its `format` names a strategy for exactly these; of a range of media types it takes one.
"""

from __future__ import annotations

import base64
import copy
import io
import json
import wave
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import jsonschema_rs
import msgpack
import numpy as np
import schemathesis
from hypothesis import strategies as st
from PIL import Image
from schemathesis.core.failures import AcceptedNegativeData
from schemathesis.openapi.checks import RejectedPositiveData

from bentod.iotypes.media_types import NPY

MSGPACK = "application/msgpack"
FORMS = ("multipart/form-data", "application/x-www-form-urlencoded")
LINES = "application/x-ndjson"
OCTETS = "application/octet-stream"
CHOSEN = {"image/*": "image/png", "audio/*": "audio/wav"}

# ── values ───────────────────────────────────────────────────────────────────────────────────────


def picture(size: tuple[int, int], mode: str, colour: int) -> bytes:
    file = io.BytesIO()
    Image.new(mode, size, colour).save(file, "PNG")
    return file.getvalue()


def recording(samples: bytes, rate: int, channels: int) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as written:
        written.setnchannels(channels)
        written.setsampwidth(2)
        written.setframerate(rate)
        written.writeframes(samples * 2 * channels)
    return file.getvalue()


def points(numbers: list[float]) -> np.ndarray:
    return np.array(numbers * 2, np.float32).reshape(len(numbers), 2)


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def packed(array: np.ndarray) -> dict[str, Any]:
    return {"dtype": array.dtype.name, "shape": list(array.shape), "data": encoded(array.tobytes())}


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


SIZES = st.integers(1, 40)
POINTS = st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), max_size=5).map(points)
PICTURES = st.builds(picture, st.tuples(SIZES, SIZES), st.sampled_from(["1", "L", "P", "RGB"]), st.integers(0, 1))
RECORDINGS = st.builds(
    recording, st.binary(max_size=4000), st.sampled_from([8000, 16000, 44100]), st.sampled_from([1, 2])
)
MADE = {"image/png": ("png", PICTURES), "audio/wav": ("wav", RECORDINGS), NPY: ("npy", POINTS.map(npy))}

for name, strategy in MADE.values():
    schemathesis.openapi.format(name, strategy)
    schemathesis.openapi.format(f"{name}-base64", strategy.map(encoded))
schemathesis.serializer.alias(["audio/wav", NPY], OCTETS)


@schemathesis.serializer(MSGPACK)
def to_msgpack(context: Any, value: Any) -> bytes:
    return value if isinstance(value, bytes) else msgpack.packb(each_text(value, as_bin))


@schemathesis.deserializer(MSGPACK)
def from_msgpack(context: Any, response: Any) -> Any:
    """The answer as it would be in JSON."""
    return each_text(msgpack.unpackb(response.content, ext_hook=nested), as_json)


def each_text(value: Any, change: Callable[[Any], Any]) -> Any:
    """A copy, with every text and number changed."""
    match value:
        case dict():
            return {key: each_text(item, change) for key, item in value.items()}
        case list():
            return [each_text(item, change) for item in value]
        case _:
            return change(value)


def as_bin(value: Any) -> Any:
    """Pictures and recordings are MessagePack bin, and its integers have at most 64 bits."""
    if isinstance(value, int) and value.bit_length() > 63:
        return float(value)
    return base64.b64decode(value) if str(value).startswith(("iVBORw0KGgo", "UklGR")) else value


def as_json(value: Any) -> Any:
    return encoded(value) if isinstance(value, bytes) else value


def nested(code: int, data: bytes) -> Any:
    """A tensor as lists in lists."""
    assert code == 1
    unpacker = msgpack.Unpacker()
    unpacker.feed(data)
    dtype, shape = unpacker.unpack()
    return np.frombuffer(data[unpacker.tell() :], dtype).reshape(shape).tolist()


@schemathesis.deserializer(LINES)
def from_lines(context: Any, response: Any) -> Any:
    return [json.loads(line) for line in response.content.splitlines()]


@schemathesis.deserializer("image/*", "application/gzip", NPY)
def as_text(context: Any, response: Any) -> str:
    return response.content.decode("latin-1")


# ── the document ─────────────────────────────────────────────────────────────────────────────────


@schemathesis.hook
def before_load_schema(context: Any, raw_schema: dict[str, Any]) -> None:
    operations = [each for path in raw_schema["paths"].values() for each in path.values() if "requestBody" in each]
    for operation in operations:
        content = operation["requestBody"]["content"]
        as_json_is(content)
        answers = operation["responses"]["200"]["content"]
        as_json_is(answers)
        if LINES in answers:  # what is documented is one line
            answers[LINES]["schema"] = {"type": "array", "items": answers[LINES]["schema"]}
        for media_type in [each for each in content if each in CHOSEN]:
            content[CHOSEN[media_type]] = content.pop(media_type)
        for part in content.get("multipart/form-data", {}).get("encoding", {}).values():
            part["contentType"] = CHOSEN.get(part["contentType"], part["contentType"])
        for schema in objects(content):
            tell(schema)
    for schema in objects(raw_schema["components"]["schemas"]):
        tell(schema)


def as_json_is(content: dict[str, Any]) -> None:
    """MessagePack that is described in words alone is like JSON."""
    if set(content.get(MSGPACK, {}).get("schema", {})) == {"description"}:
        content[MSGPACK]["schema"] = copy.deepcopy(content["application/json"]["schema"])


def objects(value: Any) -> Iterator[dict[str, Any]]:
    """Every object in a JSON value."""
    if isinstance(value, dict):
        yield value
    for below in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from objects(below)


def tell(schema: dict[str, Any]) -> None:
    """Name a strategy in the `format` of a schema that wants certain bytes."""
    media_type = schema.get("contentMediaType", "image/*" if schema.get("format") == "image" else "")
    made = MADE.get(CHOSEN.get(media_type, media_type))
    if "oneOf" in schema and schema.get("shape") == ["n", 2]:  # in the second form, data is as long as the shape says
        schema["oneOf"][1] = {"enum": [packed(points([1.5, -2.0][:rows])) for rows in (1, 2)]}
    elif made:
        schema["format"] = made[0] + ("-base64" if schema.get("contentEncoding") == "base64" else "")
        schema.pop("pattern", None)


# ── calls ────────────────────────────────────────────────────────────────────────────────────────


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    """Ask for one of the documented media types, in turns."""
    offers = list(case.operation.definition.raw["responses"].get("200", {}).get("content", {}))
    case.headers["Accept"] = offers[zlib.crc32(repr(case.body).encode()) % len(offers)]


@schemathesis.check
def the_answer_is_what_was_asked_for(context: Any, response: Any, case: Any) -> None:
    if response.status_code == 200:
        assert response.headers["content-type"][0].partition(";")[0] == case.headers["Accept"]


@schemathesis.hook
def filter_failure(context: Any, failure: Any, case: Any, response: Any) -> bool:
    """Whether a failure is one. What no schema can say is not."""
    if isinstance(failure, RejectedPositiveData):
        return response.json()["code"] != "target-raised"  # the model may refuse, where `errors` in the spec says so
    return not (isinstance(failure, AcceptedNegativeData) and case.media_type in FORMS and good_when_sent(case))


def good_when_sent(case: Any) -> bool:
    """Whether what is wrong in a form cannot be seen in it: one value is a list of one, any text is a good file."""
    document = case.operation.schema.raw_schema
    schema = case.operation.definition.raw["requestBody"]["content"][case.media_type]["schema"]
    sent = {}
    for name, value in case.body.items() if isinstance(case.body, dict) else ():
        said = schema["properties"].get(name, {})
        if said.get("items", said).get("format") != "binary":
            alone = said.get("type") == "array" and not isinstance(value, list)
            sent[name] = [value if isinstance(value, str) else json.dumps(value)] if alone else value
    needed = [name for name in schema.get("required", ()) if name in sent or name not in case.body]
    return jsonschema_rs.is_valid({**schema, "required": needed, "components": document["components"]}, sent)
