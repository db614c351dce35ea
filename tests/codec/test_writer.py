"""Answers: checked, then written as what the client likes."""

from __future__ import annotations

import base64
import io
import math
import os
from pathlib import Path

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from bentod.codec import msgpack, npy
from bentod.codec.reader import Reader
from bentod.codec.writer import Writer
from bentod.errors import CallError, InvalidOutput, OutputUnserializable
from bentod.iotypes.parts import Blob, Picture, Stored, Tensor
from bentod.iotypes.special import ITEM_BYTES, TensorType
from bentod.iotypes.tensor import array, from_array

JSON, MSGPACK, NPY, TEXT = "application/json", "application/msgpack", "application/x-npy", "text/plain"
MSGPACKS = (MSGPACK, "application/x-msgpack", "application/vnd.msgpack")
OCTETS = "application/octet-stream"
BINARY = {"type": "string", "format": "binary"}
IMAGE = {"type": "string", "format": "image"}
FILE = {"type": "string", "format": "file"}


def tensor(dtype: str, *shape: int | str, **more: object) -> dict:
    return {"type": "array", "format": "tensor", "dtype": dtype, "shape": list(shape), **more}


def floats(*values: float) -> Tensor:
    return Tensor("float32", (len(values),), np.array(values, "<f4").tobytes())


def writer(schema: object, *, check: bool = True, types: dict | None = None) -> Writer:
    return Writer(schema, types or {}, check=check)


def sent(schema: object, value: object, chosen: str = JSON, *, check: bool = True) -> bytes:
    body = writer(schema, check=check).body(value, chosen, {})
    assert body.file is None
    return b"".join(body.parts)


def refused(schema: object, value: object, chosen: str = JSON, *, check: bool = True) -> CallError:
    with pytest.raises((InvalidOutput, OutputUnserializable)) as raised:
        writer(schema, check=check).body(value, chosen, {})
    assert raised.value.log
    return raised.value


def png(kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (2, 3)).save(file, kind)
    return file.getvalue()


@given(st.data(), st.sampled_from(sorted(ITEM_BYTES)), hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3))
def test_a_tensor_survives_every_form(data, dtype, shape):
    finite = {"allow_nan": False, "allow_infinity": False} if dtype[0] in "fc" else {}
    values = data.draw(hnp.arrays(dtype, shape, elements=hnp.from_dtype(np.dtype(dtype), **finite)))
    schema, part = tensor(dtype, *shape), from_array(dtype, values)
    reader = Reader({"properties": {"x": schema}}, {})
    in_json = reader.read({"x": orjson.loads(sent(schema, part))}, None).value["x"]
    in_object = reader.read(orjson.loads(sent({"properties": {"x": schema}}, {"x": part})), None).value["x"]
    in_msgpack = msgpack.decode(sent(schema, part, MSGPACK))
    in_npy = npy.decode(sent(schema, part, NPY), TensorType(dtype, shape))
    for found in (in_json, in_object, in_msgpack, in_npy):
        assert (found.dtype, found.shape) == (dtype, shape)
        assert np.array_equal(array(found), values)
    assert (bytes(in_msgpack.data), bytes(in_npy.data)) == (values.tobytes(), values.tobytes())


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=15,
)


@given(plain)
def test_plain_values_survive_json_and_messagepack(value):
    assert orjson.loads(sent(True, value)) == value
    assert msgpack.decode(sent(True, value, MSGPACK)) == value


parts = st.sampled_from(
    [floats(1, 2), floats(math.nan), Picture("image/png", b"x"), Stored("/nowhere"), Blob(b"x"), b"x", [1.5], math.nan]
)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3)
anything = st.recursive(
    scalars | parts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("xbif"), inner),
    max_leaves=9,
)


@given(anything, st.booleans(), st.sampled_from([JSON, MSGPACK]))
def test_nothing_but_the_two_errors_is_raised(value, check, chosen):
    schema = {"type": "object", "properties": {"x": tensor("float32", "n"), "b": BINARY, "i": IMAGE, "f": FILE}}
    for made in (schema, {"items": schema}, {"additionalProperties": tensor("int8")}, True, BINARY):
        try:
            body = writer(made, check=check).body(value, chosen, {"n": 1})
        except (InvalidOutput, OutputUnserializable):
            continue
        assert all(isinstance(part, bytes | bytearray | memoryview) for part in body.parts)


# ── what is offered ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("schema", "offers"),
    [
        (True, (JSON, *MSGPACKS)),
        ({"type": "string"}, (JSON, TEXT, *MSGPACKS)),
        ({"$ref": "#/types/Text"}, (JSON, TEXT, *MSGPACKS)),
        ({"type": "string", "contentMediaType": "Text/HTML; charset=utf-8"}, (JSON, "text/html", TEXT, *MSGPACKS)),
        ({"type": "string", "contentMediaType": JSON}, (JSON, TEXT, *MSGPACKS)),
        ({"type": "string", "contentMediaType": "text/*"}, (JSON, TEXT, *MSGPACKS)),
        ({"type": "string", "contentMediaType": "image/png", "contentEncoding": "base64"}, (JSON, TEXT, *MSGPACKS)),
        ({"$ref": "#/types/Loop"}, (JSON, *MSGPACKS)),
        ({"type": ["string", "null"]}, (JSON, *MSGPACKS)),
        (tensor("int8"), (JSON, *MSGPACKS, NPY)),
        ({"properties": {"x": tensor("int8"), "i": IMAGE}}, (JSON, *MSGPACKS)),
        (BINARY, ("*/*", JSON, *MSGPACKS, OCTETS)),
        ({**FILE, "contentMediaType": "audio/*"}, ("audio/*", JSON, *MSGPACKS, OCTETS)),
        ({**FILE, "contentMediaType": JSON}, (JSON, *MSGPACKS)),
        (
            IMAGE,
            ("image/png", "image/jpeg", "image/webp", "image/gif", "image/bmp", "image/tiff", JSON, *MSGPACKS),
        ),
        ({**IMAGE, "contentMediaType": "image/jpeg"}, ("image/jpeg", JSON, *MSGPACKS)),
    ],
)
def test_what_is_offered(schema, offers):
    made = writer(schema, types={"Text": {"type": "string"}, "Loop": {"$ref": "#/types/Loop"}})
    assert made.offers == offers
    assert made.accept(None) == made.accept(b"*/*") == offers[0]
    assert made.accept(b"application/msgpack") == MSGPACK
    assert made.accept(b"application/json") == JSON
    assert made.accept(b"text/html;q=0, application/*;q=0, */*;q=0") is None


def test_how_pictures_are_encoded():
    assert writer(True).image_type(JSON) == ""
    assert writer(IMAGE).image_type("image/webp") == "image/webp"
    assert writer(IMAGE).image_type(JSON) == "image/png"
    assert writer({"items": {**IMAGE, "contentMediaType": "image/jpeg"}}).image_type(JSON) == "image/jpeg"
    both = {"properties": {"a": IMAGE, "b": {**IMAGE, "contentMediaType": "image/gif"}}}
    assert writer(both).image_type(MSGPACK) == "image/gif"


# ── what is sent ─────────────────────────────────────────────────────────────────────────────────


def test_text():
    body = writer({"type": "string"}).body("ä\n", TEXT, {})
    assert body == ("text/plain; charset=utf-8", ("ä\n".encode(),), None)
    assert isinstance(refused({"type": "string"}, 1, TEXT, check=False), InvalidOutput)
    assert isinstance(refused({"type": "string"}, "\ud800", TEXT), OutputUnserializable)


def test_text_of_another_media_type():
    html, svg = ({"type": "string", "contentMediaType": kind} for kind in ("text/html", "image/svg+xml"))
    assert writer(html).body("<p>ä", "text/html", {}) == ("text/html; charset=utf-8", ("<p>ä".encode(),), None)
    assert writer(html).body("<p>", TEXT, {}).media_type == "text/plain; charset=utf-8"
    assert writer(svg).body("<svg/>", "image/svg+xml", {}).media_type == "image/svg+xml"
    assert writer(html).accept(b"text/html,application/xhtml+xml,*/*;q=0.8") == "text/html"


@pytest.mark.parametrize(
    ("accept", "chosen", "media_type"),
    [
        (None, "audio/*", OCTETS),
        (b"audio/wav", "audio/*", "audio/wav"),
        (b"audio/flac;q=0.5, audio/x-wav", "audio/*", "audio/x-wav"),
        (b"audio/*", "audio/*", OCTETS),
        (b"application/octet-stream", OCTETS, OCTETS),
        (b"audio/wav\xff", "audio/*", OCTETS),
    ],
)
def test_bytes_are_what_the_client_calls_them(accept, chosen, media_type):
    made = writer({**BINARY, "contentMediaType": "audio/*"})
    assert made.accept(accept) == chosen
    assert made.body(b"abc", chosen, {}, accept) == (media_type, (b"abc",), None)


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        (b"audio/*", "audio/flac"),
        (b"audio/flac", "audio/flac"),
        (b"audio/wav, application/json;q=0.5", JSON),
        (b"audio/wav, application/msgpack;q=0.2, application/json;q=0.1", MSGPACK),
        (b"audio/wav, application/octet-stream;q=0.1", OCTETS),
        (b"audio/wav", "audio/flac"),
    ],
)
def test_a_file_that_turns_out_not_to_be_accepted(accept, media_type, tmp_path):
    (tmp_path / "a.flac").write_bytes(b"abc")
    file = Stored(str(tmp_path / "a.flac"))
    made = writer({**FILE, "contentMediaType": "audio/*"})
    assert made.accept(accept) == "audio/*"
    body = made.body(file, "audio/*", {}, accept)
    assert body.media_type == media_type
    assert body == (JSON, (b'"YWJj"',), None) if media_type == JSON else True
    assert (body.file is None) == (media_type in (JSON, *MSGPACKS))


def test_a_large_file_is_not_encoded_instead(tmp_path):
    with (tmp_path / "a.flac").open("wb") as file:
        file.truncate(2**40)
    made = writer({**FILE, "contentMediaType": "audio/*"})
    body = made.body(Stored(str(tmp_path / "a.flac")), "audio/*", {}, b"audio/wav, application/json;q=0.5")
    assert body.media_type == "audio/flac"


def test_an_image_is_itself_or_base64():
    data = png()
    for given_ in (Picture("image/png", data), data, Blob(data)):
        assert writer(IMAGE).body(given_, "image/png", {}) == ("image/png", (data,), None)
        assert sent({"properties": {"i": IMAGE}}, {"i": given_}) == b'{"i":"' + base64.b64encode(data) + b'"}'
        assert msgpack.decode(sent({"items": IMAGE}, [given_], MSGPACK)) == [data]


def test_a_file_is_sent_from_disk_or_read(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"abc")
    file = Stored(str(path))
    assert writer(FILE).body(file, "*/*", {}) == ("text/plain", (), file)
    assert writer({**FILE, "contentMediaType": "audio/wav"}).body(file, "audio/wav", {})[0] == "audio/wav"
    assert writer({**FILE, "contentMediaType": "audio/*"}).body(file, "audio/*", {})[0] == "application/octet-stream"
    typed = Stored(str(path), "audio/flac")
    assert writer({**FILE, "contentMediaType": "audio/*"}).body(typed, "audio/*", {})[0] == "audio/flac"
    assert sent({"properties": {"f": FILE}}, {"f": file}) == b'{"f":"YWJj"}'
    assert sent(FILE, b"abc") == b'"YWJj"'
    assert writer(FILE).body(b"abc", "*/*", {}) == ("application/octet-stream", (b"abc",), None)
    lost = refused(FILE, Stored(str(tmp_path / "lost")))
    assert str(tmp_path) in lost.log
    assert str(tmp_path) not in lost.detail


def test_a_file_that_is_json_is_sent_as_it_is():
    assert sent({**BINARY, "contentMediaType": JSON}, b"{}") == b"{}"
    assert sent({**BINARY, "contentMediaType": MSGPACK}, b"\x80", MSGPACK) == b"\x80"


def test_null_is_json_whatever_was_chosen():
    nullable = {**IMAGE, "type": ["string", "null"]}
    assert writer(nullable).body(None, "image/png", {}) == (JSON, (b"null",), None)
    assert isinstance(refused(IMAGE, None, "image/png"), InvalidOutput)
    nullable = {**FILE, "type": ["string", "null"]}
    assert writer(nullable).body(None, "*/*", {}, b"audio/wav") == (JSON, (b"null",), None)


def test_tensors_are_not_copied():
    part = Tensor("float32", (2,), bytearray(8))
    for chosen in (NPY, MSGPACK):
        assert any(piece is part.data for piece in writer(tensor("float32", 2)).body(part, chosen, {}).parts)


def test_a_scalar_tensor_is_a_number():
    assert sent(tensor("float32"), Tensor("float32", (), np.float32(0.5).tobytes())) == b"0.5"
    assert sent(tensor("complex64"), from_array("complex64", np.array(1 - 2j, "complex64"))) == b"[1.0,-2.0]"


# ── what is checked ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        pytest.param({"type": "integer"}, "1", id="plain"),
        pytest.param(tensor("float32", 2), floats(1), id="shape"),
        pytest.param(tensor("float32", 1, 1), floats(1), id="rank"),
        pytest.param(tensor("int8", 1), floats(1), id="float for int"),
        pytest.param(tensor("float32", 1), from_array("float64", np.array([1e39])), id="too large"),
        pytest.param(tensor("float32", 1), b"abcd", id="bytes for a tensor"),
        pytest.param(tensor("float32", 1), ["1"], id="string in a list"),
        pytest.param(tensor("float32", 1), {"dtype": "float32", "shape": [1], "data": "AAAAAA=="}, id="encoded"),
        pytest.param(tensor("float32", 1), None, id="None"),
        pytest.param(BINARY, "AAAA", id="base64 for bytes"),
        pytest.param(IMAGE, "AAAA", id="base64 for an image"),
        pytest.param(IMAGE, b"no image", id="bytes that are no image"),
        pytest.param({**IMAGE, "contentMediaType": "image/gif"}, Picture("image/png", b""), id="other image"),
        pytest.param(IMAGE, Stored("/a"), id="path for an image"),
        pytest.param(FILE, "/etc/passwd", id="text for a file"),
        pytest.param({**FILE, "contentMediaType": "text/*"}, Stored("a", "image/png"), id="other file"),
        pytest.param(BINARY, Stored("/a"), id="path for bytes"),
        pytest.param(BINARY, floats(1), id="tensor for bytes"),
    ],
)
def test_what_does_not_match_the_schema(schema, value):
    error = refused(schema, value)
    assert isinstance(error, InvalidOutput)
    assert error.detail == "the answer does not match the API's output schema"
    assert error.log.startswith("/")


def test_the_log_says_where():
    schema = {"type": "object", "properties": {"a": {"type": "array", "items": tensor("float32", -1)}}}
    assert refused(schema, {"a": [[1.0], [1.0, "2"]]}).log.startswith("/a/1/1: ")


def test_dimensions_of_the_input_bind_the_answer():
    made = writer({"properties": {"x": tensor("float32", "n")}})
    assert made.json({"x": floats(1, 2)}, {"n": 2}) == b'{"x":[1.0,2.0]}'
    assert made.json({"x": []}, {"n": 0}) == b'{"x":[]}'
    with pytest.raises(InvalidOutput) as raised:
        made.json({"x": floats(1, 2)}, {"n": 3})
    assert "the dimension 'n' is 2 here, and 3 in the input" in raised.value.log


def test_values_are_converted_where_they_survive():
    assert sent(tensor("float32", -1), from_array("float64", np.array([0.1]))) == b"[0.1]"
    assert sent(tensor("int8", -1), from_array("int64", np.array([1]))) == b"[1]"
    assert sent(tensor("float32", -1), [1, 2.5]) == b"[1.0,2.5]"
    assert sent(tensor("int8"), 3) == b"3"


def test_nan_is_fine_in_tensors_but_not_in_json():
    schema = {"properties": {"x": tensor("float32", -1), "y": True}}
    assert math.isnan(array(msgpack.decode(sent(schema, {"x": floats(math.nan)}, MSGPACK))["x"])[0])
    assert math.isinf(array(msgpack.decode(sent(schema, {"x": [math.inf]}, MSGPACK))["x"])[0])
    for value, chosen in (
        ({"x": floats(math.nan)}, JSON),
        ({"x": [math.inf]}, JSON),
        ({"y": math.nan}, JSON),
        ({"y": [math.inf]}, MSGPACK),
    ):
        error = refused(schema, value, chosen)
        assert isinstance(error, InvalidOutput)
        assert error.detail == "the answer holds NaN or Infinity"


@pytest.mark.parametrize("schema", [True, {"properties": {"x": tensor("float32", -1)}}])
@pytest.mark.parametrize("chosen", [JSON, MSGPACK])
@pytest.mark.parametrize("value", [b"a", {1: 2}, 2**64, "\ud800", floats(1), Stored("/etc/passwd"), {"s": {1}}])
def test_what_no_body_can_hold(schema, chosen, value):
    assert isinstance(refused(schema, {"y": value}, chosen, check=False), OutputUnserializable)
    refused(schema, {"y": value}, chosen)


def test_unchecked_answers_may_have_any_shape_and_dtype():
    schema = {"type": "object", "properties": {"x": tensor("float32", 3)}, "required": ["z"]}
    assert sent(schema, {"x": from_array("int8", np.array([[1]]))}, check=False) == b'{"x":[[1]]}'
    assert sent(schema, {"x": [1, 2]}, check=False) == b'{"x":[1,2]}'
    assert msgpack.decode(sent(schema, {"x": [1, 2]}, MSGPACK, check=False)) == {"x": [1, 2]}
    assert sent(tensor("float32", 2), [1, 2], NPY, check=False) == sent(tensor("float32", 2), floats(1, 2), NPY)
    assert isinstance(refused(tensor("float32", 2), ["a"], NPY, check=False), InvalidOutput)


def test_nesting_of_a_worker_is_bounded_somewhere():
    value: object = 1
    for _ in range(5000):
        value = {"below": value}
    tree = {"type": "object", "properties": {"below": {"$ref": "#/types/Tree"}, "b": BINARY}}
    for check in (True, False):
        with pytest.raises((InvalidOutput, OutputUnserializable)):
            writer({"$ref": "#/types/Tree"}, types={"Tree": tree}, check=check).body(value, JSON, {})


def test_an_invalid_schema_is_a_value_error():
    with pytest.raises(ValueError, match="strin"):
        writer({"type": "strin"})


def sized(path: Path, size: int) -> Stored:
    with path.open("wb") as file:
        file.truncate(size)
    return Stored(str(path))


@pytest.mark.parametrize("chosen", ["application/json", "application/msgpack"])
def test_large_files_are_sent_as_they_are_or_not_at_all(chosen, tmp_path):
    mebibyte = 1024 * 1024
    two = {"type": "array", "items": FILE}
    halves = [sized(tmp_path / "a", 32 * mebibyte), sized(tmp_path / "b", 32 * mebibyte + 1)]
    for schema, value in ((FILE, sized(tmp_path / "c", 64 * mebibyte + 1)), (two, halves)):
        with pytest.raises(OutputUnserializable) as raised:
            Writer(schema, {}, check=True).body(value, chosen, {})
        assert (raised.value.detail, "too large for JSON and MessagePack" in raised.value.log) == ("", True)
    large = sized(tmp_path / "d", 1 << 40)
    assert Writer(FILE, {}, check=True).body(large, "*/*", {}).file == large


@pytest.mark.parametrize("chosen", ["application/json", "application/msgpack"])
def test_only_regular_files_are_read(chosen, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path):
        with pytest.raises(OutputUnserializable) as raised:
            Writer(FILE, {}, check=True).body(Stored(str(path)), chosen, {})
        assert raised.value.log == "what was returned as a file is none"


@pytest.mark.parametrize(
    ("schema", "value", "chosen", "reads"),
    [
        (FILE, Stored("/a"), "application/json", True),
        (FILE, Stored("/a"), "application/msgpack", True),
        (FILE, Stored("/a"), "*/*", False),
        (FILE, Blob(b"a"), "application/json", False),
        ({**FILE, "contentMediaType": "application/json"}, Stored("/a"), "application/json", False),
        ({"properties": {"a": FILE}}, {"a": Stored("/a")}, "application/json", True),
        ({"properties": {"a": FILE}}, {"a": Blob(b"")}, "application/json", False),
        ({"properties": {"a": FILE}}, [], "application/json", False),
        (FILE, Blob(b"a"), "*/*", False),
        (IMAGE, Picture("image/png", b""), "application/json", False),
        (True, {"a": 1}, "application/json", False),
        ({"type": "string"}, "a", "text/plain", False),
    ],
)
def test_whether_files_are_read_is_known_beforehand(schema, value, chosen, reads):
    assert Writer(schema, {}, check=True).reads_files(value, chosen) is reads


def test_a_file_of_an_unknown_type_may_have_to_be_read():
    assert writer(FILE).reads_files(Stored("/a"), "*/*", b"application/json")
    assert not writer(FILE).reads_files(Blob(b"a"), "*/*", b"application/json")
