"""Inputs: special values become parts, the rest is validated, everything wrong is told with its place."""

from __future__ import annotations

import base64
import contextlib
import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from bentod.codec import json, msgpack, npy
from bentod.codec.inbound import Piece
from bentod.codec.places import MOST_PLACES
from bentod.codec.reader import Input, Reader
from bentod.errors import BodyTooLarge, CallError, InvalidInput
from bentod.iotypes.parts import Blob, Picture, Stored, Tensor
from bentod.iotypes.special import ITEM_BYTES
from bentod.iotypes.tensor import array, from_array


def tensor(dtype: str, *shape: int | str, **more: object) -> dict:
    return {"type": "array", "format": "tensor", "dtype": dtype, "shape": list(shape), **more}


BINARY = {"type": "string", "format": "binary"}
IMAGE = {"type": "string", "format": "image"}
FILE = {"type": "string", "format": "file"}


class Nowhere:
    """For inputs without files."""

    def new(self, name: str) -> Path:
        raise AssertionError(name)

    def put(self, name: str, data: object) -> Path:
        raise AssertionError(name)


class Here:
    """Files in one folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def new(self, name: str) -> Path:
        return self.path / (name or "file")

    def put(self, name: str, data: bytes) -> Path:
        path = self.new(name)
        path.write_bytes(data)
        return path


def read(schema: object, value: object, types: dict | None = None, **more: bool) -> Input:
    return Reader(schema, types or {}).read(value, Nowhere(), **more)


def errors(schema: object, value: object, types: dict | None = None) -> dict[str, str]:
    with pytest.raises(InvalidInput) as raised:
        read(schema, value, types)
    assert raised.value.detail
    return {error.pointer: error.detail for error in raised.value.errors}


def png(size: tuple[int, int] = (2, 3), kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size).save(file, kind)
    return file.getvalue()


def text(data: bytes) -> str:
    return base64.b64encode(data).decode()


arrays = st.sampled_from(sorted(ITEM_BYTES)).flatmap(
    lambda dtype: hnp.arrays(
        dtype,
        hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3),
        elements=hnp.from_dtype(np.dtype(dtype), allow_nan=False, allow_infinity=False) if dtype[0] in "fc" else None,
    )
)


@given(arrays)
def test_a_tensor_survives_every_form(values):
    schema = {"type": "object", "properties": {"x": tensor(values.dtype.name, *values.shape)}}
    reader, wanted = Reader(schema, {}), from_array(values.dtype.name, values)
    lists = values.tolist() if values.dtype.kind != "c" else np.stack([values.real, values.imag], -1).tolist()
    head = {"dtype": values.dtype.name, "shape": list(values.shape)}
    for form in (
        json.decode(json.encode(lists)),
        json.decode(json.encode({**head, "data": text(values.tobytes())})),
        msgpack.decode(b"".join(msgpack.encode({"x": wanted}, reader.layout)))["x"],
        Piece(npy.head(wanted) + bytes(wanted.data), "application/x-npy"),
        {**head, "data": values.tobytes()},
    ):
        found = reader.read({"x": form}, Nowhere()).value["x"]
        assert (found.dtype, found.shape, bytes(found.data)) == (wanted.dtype, values.shape, values.tobytes())


leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 300),
    st.floats(),
    st.text(max_size=5),
    st.binary(max_size=5),
    st.sampled_from(["AAAA", "AA==", "float32", [1], [1.5], [[1, 2]], Stored("/nowhere"), Tensor("int8", (1,), b"a")]),
    st.builds(Piece, st.binary(max_size=5), st.sampled_from(["", "image/png", "text/plain"])),
)
anything = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["x", "y", "b", "i", "t", "dtype", "shape", "data"]), inner, max_size=4)
    ),
    max_leaves=12,
)
MIXED = {
    "type": "object",
    "properties": {
        "x": tensor("float32", "n", 2),
        "y": tensor("int8", "n", type=["array", "null"]),
        "b": BINARY,
        "i": IMAGE,
        "t": {"type": "array", "prefixItems": [BINARY], "items": {"$ref": "#/types/T"}},
    },
    "additionalProperties": {"type": "integer"},
}
TYPES = {"T": {"type": "object", "properties": {"t": {"$ref": "#/types/T"}, "x": tensor("bool")}}}


@given(anything)
def test_nothing_but_call_errors_are_raised(value):
    with contextlib.suppress(CallError):
        read(MIXED, value, TYPES)


def test_everything_wrong_is_told():
    found = errors(
        MIXED,
        {
            "x": [[1, 2], [3, "4"]],
            "y": [1, 2, 300],
            "b": "no base64",
            "i": text(b"no image"),
            "t": ["AAAA", {"x": 1}, {"t": {"t": {"x": None}}}, []],
            "z/~": "no integer",
        },
        TYPES,
    )
    assert found.keys() == {"/x/1/1", "/y/2", "/b", "/i", "/t/1/x", "/t/2/t/t/x", "/t/3", "/z~1~0"}


def test_what_is_missing_and_what_is_too_much_is_told_without_the_special_values():
    schema = {"type": "object", "properties": {"b": BINARY}, "required": ["a", "b"], "additionalProperties": False}
    found = errors(schema, {"b": "AAAA", "c": 1})
    assert list(found) == [""]
    found = errors({"type": "array", "items": BINARY, "maxItems": 1}, ["AAAA", "BBBB"])
    assert "AAAA" not in found[""]


def test_at_most_100_errors():
    with pytest.raises(InvalidInput) as raised:
        read({"type": "array", "items": BINARY}, ["?"] * 1000)
    assert len(raised.value.errors) == 100


def test_special_values_never_count_as_equal():
    schema = {"type": "array", "items": BINARY, "uniqueItems": True}
    assert read(schema, ["AAAA", "AAAA"]).value == [Blob(bytes(3))] * 2


def test_the_value_that_was_given_is_left_alone():
    value = {"t": ["AAAA", {"x": True}], "b": "AAAA"}
    found = read(MIXED, value, TYPES).value
    assert value == {"t": ["AAAA", {"x": True}], "b": "AAAA"}
    assert found == {"t": [Blob(bytes(3)), {"x": Tensor("bool", (), b"\1")}], "b": Blob(bytes(3))}


def test_dimensions_are_bound_and_must_agree():
    assert read(MIXED, {"x": [[1, 2]] * 3, "y": [1, 2, 3]}, TYPES).dimensions == {"n": 3}
    assert errors(MIXED, {"x": [[1, 2]] * 3, "y": [1]}, TYPES) == {"/y": "the dimension 'n' is 1 here, and 3 at /x"}


def test_an_empty_list_takes_the_lengths_of_the_others():
    schema = {"properties": {"a": tensor("int8", "n", "m"), "b": tensor("int8", "m")}}
    found = read(schema, {"a": [], "b": [1, 2]})
    assert found.value["a"].shape == (0, 2)
    assert found.dimensions == {"n": 0, "m": 2}
    assert read(schema, {"a": []}).value["a"].shape == (0, 0)


def test_null_only_where_the_schema_says_so():
    assert read(MIXED, {"y": None}, TYPES).value == {"y": None}
    assert errors(MIXED, {"x": None, "b": None}, TYPES) == dict.fromkeys(("/x", "/b"), "null is not allowed here")


@pytest.mark.parametrize("foreign", [b"a", Tensor("int8", (1,), b"a"), Stored("/etc/passwd"), Piece(b"a")])
def test_bytes_and_tensors_belong_to_special_places_only(foreign):
    for schema in (True, {"type": "object"}, {"properties": {"b": BINARY}}, {"properties": {"c": {"type": "string"}}}):
        assert list(errors(schema, {"a": [1, {"c": foreign}]})) == ["/a/1/c"]
        assert list(errors({"anyOf": [schema, True]}, foreign)) == [""]


@pytest.mark.parametrize("given", ["no text!", 1, [1], {"a": 1}, Tensor("int8", (1,), b"a"), True])
def test_what_is_neither_bytes_nor_base64(given):
    for kind in (BINARY, IMAGE, FILE):
        assert list(errors({"properties": {"a": kind}}, {"a": given})) == ["/a"]


def test_a_tensor_in_base64_says_what_it_is():
    schema = tensor("float32", "n")
    good = {"dtype": "float32", "shape": [2], "data": text(bytes(8))}
    assert read(schema, good).value == Tensor("float32", (2,), bytes(8))
    for change, pointer in (
        ({"dtype": "float64", "shape": [1]}, ""),
        ({"dtype": ["float32"]}, ""),
        ({"shape": [3]}, "/data"),
        ({"shape": [2, 1]}, ""),
        ({"shape": [10**30]}, ""),
        ({"shape": "2"}, ""),
        ({"data": text(bytes(7))}, "/data"),
        ({"data": text(bytes(8))[:-1] + "!"}, "/data"),
        ({"data": "é" * 12}, "/data"),
        ({"data": [0, 0]}, "/data"),
        ({"order": "C"}, ""),
    ):
        assert list(errors(schema, good | change)) == [pointer], change
    assert list(errors(schema, {"dtype": "float32"})) == [""]


def test_a_dtype_other_than_declared_is_told():
    assert "float64" in errors(tensor("float32", 1), Tensor("float64", (1,), bytes(8)))[""]
    body = npy.head(Tensor("float64", (1,), bytes(8))) + bytes(8)
    assert "float64" in errors(tensor("float32", 1), Piece(body))[""]
    assert "bytes are no tensor" in errors(tensor("uint8", 3), b"abc")[""]


def test_no_booleans_among_numbers():
    schema = {"properties": {"x": tensor("float32", -1)}}
    for body in (b'{"x":[1,true]}', b'{"x":[false]}'):
        with pytest.raises(InvalidInput):
            read(schema, json.decode(body), booleans=json.booleans(body))
    body = b'{"x":[1,2.5]}'
    assert not json.booleans(body)
    assert array(read(schema, json.decode(body), booleans=False).value["x"]).tolist() == [1, 2.5]


def test_images_are_what_they_say():
    schema = {"properties": {"i": {**IMAGE, "contentMediaType": "image/png"}}}
    data = png()
    assert read(schema, {"i": text(data)}).value == {"i": Picture("image/png", data, "/i")}
    assert read(schema, {"i": data}).value == {"i": Picture("image/png", data, "/i")}
    assert read(schema, {"i": Piece(data, "image/png")}).value == {"i": Picture("image/png", data, "/i")}
    assert "the image says image/jpeg" in errors(schema, {"i": Piece(data, "image/jpeg")})["/i"]
    assert "is image/gif, not image/png" in errors(schema, {"i": png(kind="GIF")})["/i"]


def test_too_many_pixels_are_too_large():
    with pytest.raises(BodyTooLarge, match="/i"):
        read({"properties": {"i": {**IMAGE, "maxPixels": 5}}}, {"i": png((2, 3))})
    with pytest.raises(BodyTooLarge) as raised:
        read({**IMAGE, "maxPixels": 5}, png((2, 3)))
    assert raised.value.detail == "the image has more than 5 pixels"


def test_what_stands_for_special_values_is_not_told():
    found = errors({"type": "array", "items": BINARY, "maxItems": 1}, ["AAAA", "BBBB"])
    assert "[binary,binary] has more than 1 item" in found[""].replace(", ", ",")


def test_there_is_a_most_of_special_values():
    schema = {"type": "array", "items": BINARY}
    assert len(read(schema, [""] * MOST_PLACES).value) == MOST_PLACES
    for value in ([""] * (MOST_PLACES + 1), [""] * 10_000_000):
        with pytest.raises(BodyTooLarge, match="10000"):
            read(schema, value)
    with pytest.raises(BodyTooLarge):
        read({"items": {"properties": {"b": BINARY}}}, [{}] * 1_000_000)


def test_files_are_on_disk(tmp_path):
    reader = Reader({"type": "array", "items": {**FILE, "contentMediaType": "text/*"}}, {})
    (tmp_path / "c.txt").write_bytes(b"here")
    given = [Piece(b"raw", "text/plain", "a.txt"), Stored(str(tmp_path / "c.txt"), "text/plain"), text(b"json")]
    found = reader.read(given, Here(tmp_path)).value
    assert [Path(file.path).read_bytes() for file in found] == [b"raw", b"here", b"json"]
    assert [file.media_type for file in found[:2]] == ["text/plain"] * 2
    with pytest.raises(InvalidInput) as raised:
        reader.read([Piece(b"", "image/png"), Stored("a", "image/png")], Here(tmp_path))
    assert [error.pointer for error in raised.value.errors] == ["/0", "/1"]


def test_bytes_may_be_of_a_media_type():
    schema = {**BINARY, "contentMediaType": "application/pdf"}
    assert read(schema, Piece(b"%PDF", "application/pdf")).value == Blob(b"%PDF")
    assert read(schema, Piece(b"%PDF", "application/octet-stream")).value == Blob(b"%PDF")
    assert "not application/pdf" in errors(schema, Piece(b"", "text/plain"))[""]


def test_an_invalid_schema_is_a_value_error():
    for schema in ({"type": "strin"}, {"properties": {"b": BINARY, "c": {"type": "strin"}}}):
        with pytest.raises(ValueError, match="strin"):
            Reader(schema, {})


def test_plain_values_load_neither_numpy_nor_pillow():
    code = """
import sys
from bentod.codec import bodies, json, msgpack
from bentod.codec.reader import Reader
from bentod.codec.writer import Writer
schema = {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string", "format": "binary"}}}
read = Reader(schema, {}).read({"a": "b", "b": "AAAA"}, None)
writer = Writer(schema, {}, check=True)
for chosen in writer.offers:
    writer.body(read.value, chosen, {})
bodies.Bodies(schema, {})
assert not {"numpy", "PIL"} & set(sys.modules), "loaded"
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
