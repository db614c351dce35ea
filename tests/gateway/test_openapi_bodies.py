"""The OpenAPI document's bodies: what goes in and comes out by media type, special values, forms and streams."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

import jsonschema_rs
import numpy as np
import pytest

from bentod.iotypes.special import ITEM_BYTES
from bentod.wire.messages import Example
from tests.gateway.test_openapi import api, made, post, resolve

IMAGE: dict[str, Any] = {"type": "string", "format": "image", "contentMediaType": "image/*"}
SOUND: dict[str, Any] = {"type": "string", "format": "file", "contentMediaType": "audio/*"}
BYTES: dict[str, Any] = {"type": "string", "format": "binary"}
ROWS: dict[str, Any] = {"type": "array", "format": "tensor", "dtype": "float32", "shape": ["n", 2]}


def taken(schema: Any, **types: Any) -> dict[str, Any]:
    content: dict[str, Any] = post(made(api(input=schema), types=types))["requestBody"]["content"]
    return content


def given(schema: Any, stream: str = "", **types: Any) -> dict[str, Any]:
    result = made(api(output=schema, stream=stream), types=types)
    content: dict[str, Any] = post(result)["responses"]["200"]["content"]
    return content


def fits(value: Any, schema: Any) -> bool:
    return jsonschema_rs.Draft202012Validator(schema).is_valid(value)


def tensor(dtype: str, *shape: int | str, **more: Any) -> dict[str, Any]:
    return {"type": "array", "format": "tensor", "dtype": dtype, "shape": list(shape), **more}


def in_json(schema: Any) -> Any:
    return taken(schema)["application/json"]["schema"]


# ── tensors ──────────────────────────────────────────────────────────────────────────────────────


def test_a_tensor_is_nested_lists_or_the_memory_in_base64() -> None:
    schema = in_json(ROWS)
    assert {key: schema[key] for key in ("format", "dtype", "shape")} == {
        key: ROWS[key] for key in ("format", "dtype", "shape")
    }
    assert "type" not in schema
    packed = {"dtype": "float32", "shape": [1, 2], "data": base64.b64encode(bytes(8)).decode()}
    for good in ([[1, 2.5]], [], [[1, 2], [3, 4]], packed):
        assert fits(good, schema)
    for bad in (
        [1, 2],
        [[1]],
        [["a", 1]],
        [[[1], [2]]],
        [[1e39, 0]],
        None,
        "",
        {**packed, "dtype": "float64"},
        {**packed, "shape": [2]},
        {**packed, "data": "a"},
        {**packed, "x": 1},
    ):
        assert not fits(bad, schema)


@pytest.mark.parametrize("dtype", ITEM_BYTES)
def test_every_dtype_has_its_elements_and_limits(dtype: str) -> None:
    schema = in_json(tensor(dtype, 3))
    good, bad = {"b": (True, 1), "u": (2 ** (8 * ITEM_BYTES[dtype]) - 1, -1), "c": ([0.5, -1], 0.5)}.get(
        dtype[0], (-1, "1")
    )
    assert fits([good] * 3, schema)
    assert not fits([bad] * 3, schema)
    assert not fits([good] * 4, schema)
    if dtype.startswith(("int", "uint")):
        bits = 8 * ITEM_BYTES[dtype] - dtype.startswith("int")
        assert fits([2**bits - 1] * 3, schema)
        assert not fits([2**bits] * 3, schema)
        assert not fits([0.5] * 3, schema)
    exact = base64.b64encode(bytes(3 * ITEM_BYTES[dtype])).decode()
    assert fits({"dtype": dtype, "shape": [3], "data": exact}, schema)
    for wrong in (exact + "AAAA", exact[:-4], exact[:-4] + "AA=="):
        assert (wrong == exact) is fits({"dtype": dtype, "shape": [3], "data": wrong}, schema)


@pytest.mark.parametrize(("dtype", "most"), [("float16", 65504.0), ("float32", 3.4028234663852886e38)])
def test_floats_end_where_they_would_be_infinite(dtype: str, most: float) -> None:
    schema = in_json(tensor(dtype, 1))
    numpy_type = np.dtype(dtype).type
    for value in (most, most * (1 + 2**-13) if dtype == "float16" else 3.4028235e38, most * 1.001):
        with np.errstate(over="ignore"):
            finite = bool(np.isfinite(numpy_type(value)))
        assert fits([value], schema) is fits([-value], schema) is finite


def test_a_tensor_without_dimensions_is_one_element() -> None:
    schema = in_json(tensor("int8"))
    assert fits(7, schema)
    assert fits({"dtype": "int8", "shape": [], "data": "AA=="}, schema)
    assert not fits([7], schema)


@pytest.mark.parametrize("schema", [tensor("int8", 1, type=["array", "null"]), tensor("int8", type=["array", "null"])])
def test_a_tensor_that_may_be_null(schema: dict[str, Any]) -> None:
    value = [1] if schema["shape"] else 1
    for side in (in_json(schema), given(schema)["application/json"]["schema"]):
        assert fits(None, side)
        assert fits(value, side)
        assert not fits("x", side)


def test_a_tensor_in_an_answer_is_nested_lists() -> None:
    schema = given({**ROWS, "description": "Rows."})["application/json"]["schema"]
    assert schema == {
        **ROWS,
        "description": "Rows.",
        "items": {"type": "array", "minItems": 2, "maxItems": 2, "items": schema["items"]["items"]},
    }
    assert fits([[1, 2]], schema)
    assert not fits({"dtype": "float32", "shape": [0, 2], "data": ""}, schema)


def test_a_tensor_goes_as_npy_too() -> None:
    npy = taken(ROWS)["application/x-npy"]["schema"]
    assert npy["description"] == "A NumPy file (`.npy`) of dtype float32 and shape [n, 2]."
    assert (npy["type"], npy["format"]) == ("string", "binary")
    assert given(ROWS)["application/x-npy"]["schema"] == npy


def test_an_example_of_an_answer_has_nested_lists_too() -> None:
    packed = {"dtype": "float32", "shape": [1, 2], "data": base64.b64encode(struct.pack("<2f", 0.5, 2)).decode()}
    output = {"type": "object", "properties": {"rows": ROWS, "n": {"type": "integer"}}}
    example = Example("one", packed, {"rows": packed, "n": 1}, has_output=True)
    operation = post(made(api(input=ROWS, output=output, examples=(example,))))
    answer = operation["responses"]["200"]["content"]["application/json"]
    assert answer["examples"]["one"]["value"] == {"rows": [[0.5, 2.0]], "n": 1}
    assert fits(answer["examples"]["one"]["value"], answer["schema"])
    asked = operation["requestBody"]["content"]["application/json"]
    assert fits(asked["examples"]["one"]["value"], asked["schema"])


# ── images, files, bytes ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("schema", [IMAGE, SOUND, BYTES])
def test_what_is_bytes_is_strict_base64_in_json(schema: dict[str, Any]) -> None:
    found = in_json({**schema, "title": "It"})
    assert (found["type"], found["contentEncoding"], found["title"]) == ("string", "base64", "It")
    assert found.get("contentMediaType") == schema.get("contentMediaType")
    assert found.get("format") != "binary"  # means raw bytes to tools
    for good in ("", "AA==", "AAA=", "AAAA", "+/+/"):
        assert fits(good, found)
    for bad in ("A", "AA", "AAA", "A===", "AAAA\n", " AAA", "-_-_", "=AAA"):
        assert not fits(bad, found)


def test_folders_of_the_host_are_not_told() -> None:
    result = made(api(output={**SOUND, "within": ["secret-folder"]}))
    assert "secret-folder" not in json.dumps(result)


def test_an_image_is_a_body_of_its_type() -> None:
    content = taken({**IMAGE, "description": "A cat."})
    assert list(content) == ["image/*", "application/octet-stream", "application/json", "application/msgpack"]
    assert content["image/*"]["schema"] == {
        "type": "string",
        "format": "binary",
        "contentMediaType": "image/*",
        "description": "A cat.",
    }
    answers = given({"$ref": "#/types/Picture", "description": "Smaller."}, Picture={**IMAGE, "title": "Picture"})
    assert next(iter(answers)) == "image/png"
    assert answers["image/png"]["schema"] == {
        "type": "string",
        "format": "binary",
        "contentMediaType": "image/png",
        "title": "Picture",
        "description": "Smaller.",
    }
    assert answers["application/json"]["schema"]["$ref"] == "#/components/schemas/Picture"


def test_bytes_of_any_type_name_none() -> None:
    content = taken(BYTES)
    assert list(content) == ["application/octet-stream", "application/json", "application/msgpack"]
    assert content["application/octet-stream"]["schema"] == {"type": "string", "format": "binary"}
    assert next(iter(given(BYTES))) == "*/*"


def test_a_string_is_a_text_too() -> None:
    schema = {"type": "string", "maxLength": 9}
    assert taken(schema)["text/plain"] == {"schema": schema}
    assert given(schema)["text/plain"] == {"schema": schema}


def test_messagepack_is_described_where_it_differs() -> None:
    plain = {"type": "object", "properties": {"a": {"$ref": "#/$defs/n"}}, "$defs": {"n": {"type": "integer"}}}
    result = made(api(input=plain, output=ROWS))
    copy = post(result)["requestBody"]["content"]["application/msgpack"]["schema"]
    assert resolve(result, copy["properties"]["a"]["$ref"]) is copy["$defs"]["n"]
    special = post(result)["responses"]["200"]["content"]["application/msgpack"]["schema"]
    assert set(special) == {"description"}
    assert "extension type 1" in special["description"]


# ── forms ────────────────────────────────────────────────────────────────────────────────────────

FORM: dict[str, Any] = {
    "type": "object",
    "required": ["image"],
    "additionalProperties": False,
    "properties": {
        "image": {**IMAGE, "description": "A cat."},
        "more": {"type": "array", "items": {"$ref": "#/types/Sound"}, "maxItems": 3},
        "shared": {"$ref": "#/types/Sounds"},
        "any": BYTES,
        "rows": ROWS,
        "size": {"$ref": "#/$defs/size"},
        "inside": {"type": "object", "properties": {"image": IMAGE}},
    },
    "$defs": {"size": {"type": "integer", "minimum": 1}},
}
FORM_TYPES: dict[str, Any] = {
    "Sound": {**SOUND, "title": "Sound"},
    "Sounds": {"type": "array", "items": SOUND, "description": "Some."},
}


def test_a_form_has_a_part_for_each_property() -> None:
    result = made(api(input=FORM), types=FORM_TYPES)
    form = post(result)["requestBody"]["content"]["multipart/form-data"]
    assert form["encoding"] == {
        "image": {"contentType": "image/*"},
        "more": {"contentType": "audio/*"},
        "shared": {"contentType": "audio/*"},
        "rows": {"contentType": "application/x-npy"},
    }
    schema = form["schema"]
    assert (schema["required"], schema["additionalProperties"]) == (["image"], False)
    properties = schema["properties"]
    sound = {"type": "string", "format": "binary", "contentMediaType": "audio/*"}
    assert properties["image"] == {**sound, "contentMediaType": "image/*", "description": "A cat."}
    assert properties["more"] == {"type": "array", "items": {**sound, "title": "Sound"}, "maxItems": 3}
    assert properties["shared"] == {"type": "array", "items": sound, "description": "Some."}
    assert properties["any"] == {"type": "string", "format": "binary"}
    assert properties["rows"]["description"] == "A NumPy file (`.npy`) of dtype float32 and shape [n, 2], or JSON."
    assert properties["rows"]["format"] == "binary"
    assert resolve(result, properties["size"]["$ref"]) == {"type": "integer", "minimum": 1}
    assert properties["inside"]["properties"]["image"]["contentEncoding"] == "base64"


def test_the_form_of_a_type_of_the_spec() -> None:
    types = {"Job": {**FORM, "properties": {**FORM["properties"], "size": {"type": "integer"}}}, **FORM_TYPES}
    content = taken({"$ref": "#/types/Job"}, **types)
    assert content["application/json"]["schema"] == {"$ref": "#/components/schemas/Job"}
    assert content["multipart/form-data"]["schema"]["properties"]["image"]["format"] == "binary"


def test_an_object_of_scalars_is_a_form_without_files() -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {"type": "array", "items": {"type": "string"}}},
    }
    content = taken(schema)
    assert content["application/x-www-form-urlencoded"] == content["multipart/form-data"] == {"schema": schema}


# ── streams ──────────────────────────────────────────────────────────────────────────────────────


def test_a_stream_of_events_is_described_by_one_event() -> None:
    chunk = {"type": "object", "properties": {"n": {"$ref": "#/$defs/n"}}, "$defs": {"n": {"type": "integer"}}}
    result = made(api(output=chunk, stream="sse"))
    operation = post(result)
    content = operation["responses"]["200"]["content"]
    assert operation["x-stream"] == "sse"
    assert list(content) == ["text/event-stream"]
    schema = content["text/event-stream"]["schema"]
    data = schema["oneOf"][0]["properties"]["data"]
    assert data["contentMediaType"] == "application/json"
    assert resolve(result, data["contentSchema"]["properties"]["n"]["$ref"]) == {"type": "integer"}
    for event in ({"data": "1"}, {"event": "end"}, {"event": "end", "data": ""}, {"event": "error", "data": "{}"}):
        assert fits(event, schema)
    for event in ({}, {"event": "error"}, {"event": "other", "data": "1"}):
        assert not fits(event, schema)
    assert all(word in schema["description"] for word in ("`end`", "`error`"))


def test_a_stream_of_lines_is_described_by_one_line() -> None:
    schema = given({"type": "integer"}, "ndjson")["application/x-ndjson"]["schema"]
    assert schema["anyOf"][0] == {"type": "integer"}
    assert schema["anyOf"][1]["properties"]["error"] == {"$ref": "#/components/schemas/Problem"}


@pytest.mark.parametrize(
    ("output", "media_type", "binary"),
    [
        ({"type": "string"}, "text/plain", False),
        (BYTES, "application/octet-stream", True),
        ({**BYTES, "contentMediaType": "audio/wav"}, "audio/wav", True),
        (True, "text/plain", False),
    ],
)
def test_a_raw_stream_has_the_type_of_its_chunks(output: Any, media_type: str, binary: bool) -> None:
    content = given(output, "raw")
    assert list(content) == [media_type]
    assert (content[media_type]["schema"].get("format") == "binary") is binary


def test_a_stream_takes_what_any_api_takes() -> None:
    result = made(api(input=FORM, stream="sse"), types=FORM_TYPES)
    assert "multipart/form-data" in post(result)["requestBody"]["content"]
    assert set(post(result)["responses"]) >= {"200", "406", "422", "503"}
