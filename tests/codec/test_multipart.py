"""Forms of parts: what RFC 7578 allows, in chunks of any size, and what hostile clients send."""

from __future__ import annotations

import contextlib
import itertools
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bentod.codec.bodies import Bodies
from bentod.errors import BodyTooLarge, CallError, InvalidInput, MalformedBody
from bentod.iotypes.parts import Blob, Picture, Stored, Tensor
from tests.support.samples import npy, picture
from tests.support.sent import BOUNDARY, FORM, multipart, part, received

IMAGE = {"type": "string", "format": "image"}
FILE = {"type": "string", "format": "file", "contentMediaType": "audio/*"}
BINARY = {"type": "string", "format": "binary"}
VECTOR = {"type": "array", "format": "tensor", "dtype": "float32", "shape": [-1]}
SCHEMA = {
    "type": "object",
    "properties": {
        "image": IMAGE,
        "pages": {"type": "array", "items": IMAGE},
        "sound": FILE,
        "takes": {"type": "array", "items": FILE},
        "raw": BINARY,
        "x": VECTOR,
        "title": {"type": "string"},
        "count": {"type": "integer"},
    },
    "additionalProperties": BINARY,
}
PNG = picture("image/png")


@pytest.mark.parametrize("size", [0, 1, 2, 7, 64, 4096])
def test_every_kind_of_part_in_chunks_of_any_size(size, tmp_path):
    body = multipart(
        part("image", PNG, file="a.png", type_="image/png"),
        part("title", "Grüße"),
        part("sound", b"RIFF\r\n--Xb\r\n\0" * 500, file="../talk.wav", type_="audio/wav"),
        part("pages", PNG, file="1.png"),
        part("raw", b"\xff\r\n--", file="raw"),
        part("pages", PNG, file="2.png", type_="application/octet-stream"),
        part("count", "3"),
        part("else", b"\0", type_="text/plain"),
    )
    found = received(SCHEMA, FORM, body, tmp_path, size=size).value
    sound = found.pop("sound")
    assert found == {
        "image": Picture("image/png", PNG, "/image"),
        "title": "Grüße",
        "pages": [Picture("image/png", PNG, "/pages/0"), Picture("image/png", PNG, "/pages/1")],
        "raw": Blob(b"\xff\r\n--"),
        "count": 3,
        "else": Blob(b"\0"),
    }
    assert sound == Stored(str(tmp_path / "call" / "talk.wav"), "audio/wav")
    assert Path(sound.path).read_bytes() == b"RIFF\r\n--Xb\r\n\0" * 500


def test_one_part_for_a_list_of_special_ones_is_a_list_of_one(tmp_path):
    found = received(SCHEMA, FORM, multipart(part("pages", PNG), part("takes", "x", file="a.wav")), tmp_path).value
    assert found["pages"] == [Picture("image/png", PNG, "/pages/0")]
    assert [Path(one.path).name for one in found["takes"]] == ["a.wav"]


NULLABLE = {
    "type": "object",
    "properties": {
        **{name: {"type": ["string", "null"], "format": name} for name in ("image", "file", "binary")},
        "x": {**VECTOR, "type": ["array", "null"]},
        "files": {"type": "array", "items": {"type": ["string", "null"], "format": "file"}},
        "images": {"type": ["array", "null"], "items": IMAGE},
    },
}


@pytest.mark.parametrize("size", [0, 1])
def test_null_and_an_empty_list_can_be_said_in_place_of_special_ones(size, tmp_path):
    body = multipart(
        part("image", "null"),
        part("file", " null\n", type_="application/json"),
        part("binary", "null", type_="text/plain"),
        part("x", "null"),
        part("files", "null"),
        part("files", b"abc", file="a"),
        part("images", "null"),
    )
    found = received(NULLABLE, FORM, body, tmp_path, size=size).value
    files = found.pop("files")
    assert found == dict.fromkeys(("image", "file", "binary", "x", "images"))
    assert files[0] is None
    assert Path(files[1].path).read_bytes() == b"abc"
    empty = multipart(part("files", "[]"), part("images", "[]"))
    assert received(NULLABLE, FORM, empty, tmp_path / "new", size=size).value == {"files": [], "images": []}


@pytest.mark.parametrize("sent", ["null" * 5, "nul", "null", "[]", ""])
def test_the_words_are_bytes_where_they_mean_nothing_or_are_files(sent, tmp_path):
    file = "a" if sent == "null" else None
    body = multipart(part("binary", sent, file=file), part("file", sent, file=file))
    found = received(NULLABLE, FORM, body, tmp_path, size=3).value
    assert found["binary"].data == sent.encode()
    assert Path(found["file"].path).read_bytes() == sent.encode()
    assert received(SCHEMA, FORM, multipart(part("raw", sent)), tmp_path).value["raw"].data == sent.encode()


def test_an_object_of_any_names_has_forms(tmp_path):
    schema = {"type": "object", "additionalProperties": BINARY}
    body = multipart(part("a", b"\0"), part("b", "5"))
    assert received(schema, FORM, body, tmp_path).value == {"a": Blob(b"\0"), "b": Blob(b"5")}
    numbers = {"type": "object", "additionalProperties": {"type": "integer"}}
    assert received(numbers, FORM, multipart(part("a", "5")), tmp_path).value == {"a": 5}
    assert received(numbers, b"application/x-www-form-urlencoded", b"a=5", tmp_path).value == {"a": 5}
    assert "application/x-www-form-urlencoded" not in Bodies(schema, {}).takes


def test_files_of_one_name_are_kept_apart(tmp_path):
    parts = [part("takes", data, file="a.wav") for data in ("1", "22", "")]
    found = received(SCHEMA, FORM, multipart(*parts), tmp_path).value
    assert [Path(one.path).read_text() for one in found["takes"]] == ["1", "22", ""]


@pytest.mark.parametrize(
    "sent",
    [
        part("x", "[1, 2]"),
        part("x", "[1, 2]", type_="application/json"),
        part("x", "[1, 2]", type_="text/plain; charset=utf-8"),
        part("x", npy(np.array([1, 2], "float32"))),
        part("x", npy(np.array([1, 2], "float32")), file="x.npy"),
        part("x", npy(np.array([1, 2], "float32")), type_="application/octet-stream"),
        part("x", npy(np.array([1, 2], "float32")), type_="application/x-npy"),
    ],
)
def test_a_tensor_is_an_npy_file_or_json(sent, tmp_path):
    found = received(SCHEMA, FORM, multipart(sent), tmp_path).value["x"]
    assert isinstance(found, Tensor)
    assert bytes(found.data) == np.array([1, 2], "float32").tobytes()


@pytest.mark.parametrize("name", ["image", "sound", "raw", "x"])
def test_a_special_part_cannot_be_sent_twice(name, tmp_path):
    with pytest.raises(InvalidInput) as raised:
        received(SCHEMA, FORM, multipart(part(name, PNG), part(name, PNG)), tmp_path)
    assert [(one.pointer, one.detail) for one in raised.value.errors] == [(f"/{name}", "was sent twice")]


def test_all_that_is_wrong_is_said(tmp_path):
    body = multipart(
        part("image", "no image"),
        part("sound", "x", file="a.png"),
        part("takes", "x", type_="audio/wav"),
        part("takes", "x", type_="text/html"),
        part("count", "many"),
    )
    with pytest.raises(InvalidInput) as raised:
        received(SCHEMA, FORM, body, tmp_path)
    assert sorted(one.pointer for one in raised.value.errors) == ["/count", "/image", "/sound", "/takes/1"]


def test_no_parts_are_an_empty_object(tmp_path):
    assert received(SCHEMA, FORM, multipart(), tmp_path).value == {}


def test_before_and_after_the_parts_may_be_what_is_ignored(tmp_path):
    body = b"\r\n" + multipart(part("title", "x")) + b"epilogue\r\n--" + BOUNDARY.encode() + b"\r\n"
    assert received(SCHEMA, FORM, body, tmp_path).value == {"title": "x"}


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        pytest.param('form-data; name="takes"; filename="a.wav"', "a.wav", id="plain"),
        pytest.param("form-data; name=takes; filename=a.wav", "a.wav", id="without quotes"),
        pytest.param('FORM-DATA; Name="takes"; FileName="a.wav"', "a.wav", id="capitals"),
        pytest.param('form-data; name="takes"; filename="ä;b\\"c.wav"', 'ä;b"c.wav', id="quoted"),
        pytest.param("form-data; name=\"takes\"; filename*=UTF-8''%C3%A4.wav", "ä.wav", id="extended"),
        pytest.param("form-data; name=takes; filename=b.wav; filename*=utf-8''a.wav", "b.wav", id="both"),
        pytest.param('form-data; name="takes"; filename="C:\\dir\\a.wav"', "a.wav", id="a path of Windows"),
        pytest.param('form-data; name="takes"; filename="../../../etc/passwd"', "passwd", id="upwards"),
        pytest.param("form-data; name=takes; filename*=utf-8''..%2F..%2Fa%00.wav", "a.wav", id="upwards, hidden"),
        pytest.param('form-data; name="takes"; filename="a\0b.wav"', "ab.wav", id="NUL"),
        pytest.param('form-data; name="takes"; filename="' + "a" * 10_000 + '.wav"', "a" * 96 + ".wav", id="long"),
        pytest.param('form-data; name="takes"; filename=""', "file", id="empty"),
        pytest.param('form-data; name="takes"', "file", id="none"),
    ],
)
def test_names_of_files(disposition, name, tmp_path):
    sent = b"Content-Disposition: " + disposition.encode() + b"\r\n\r\nx"
    found = received(SCHEMA, FORM, multipart(sent), tmp_path).value["takes"]
    assert [Path(one.path) for one in found] == [tmp_path / "call" / name]


def test_names_of_parts_may_be_any_text(tmp_path):
    schema = {"properties": {"größe/~": {"type": "string"}}}
    assert received(schema, FORM, multipart(part("größe/~", "x")), tmp_path).value == {"größe/~": "x"}
    assert received(schema, FORM, multipart(part("../\0", "x")), tmp_path).value == {"../\0": "x"}


CONTENT = b'Content-Disposition: form-data; name="title"'


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"{}", id="JSON"),
        pytest.param(multipart(part("title", "x")).replace(BOUNDARY.encode(), b"other"), id="another boundary"),
        pytest.param(multipart(part("title", "x"), end=False), id="no end"),
        pytest.param(multipart(part("title", "x"))[:-4], id="half an end"),
        pytest.param(multipart(b"\r\nx"), id="no headers"),
        pytest.param(multipart(b"Content-Disposition: form-data\r\n\r\nx"), id="no name"),
        pytest.param(multipart(b'Content-Disposition: attachment; name="title"\r\n\r\nx'), id="an attachment"),
        pytest.param(multipart(b'Content-Disposition: form-data; name="\xff"\r\n\r\nx'), id="a name not in UTF-8"),
        pytest.param(multipart(CONTENT + b"\r\n" + CONTENT + b"\r\n\r\nx"), id="a header twice"),
        pytest.param(multipart(CONTENT + b"\r\n" + b"X: y\r\n" * 9 + b"\r\nx"), id="many headers"),
        pytest.param(multipart(CONTENT + b"\r\nX: " + b"y" * 20_000 + b"\r\n\r\nx"), id="a long header"),
        pytest.param(multipart(CONTENT + b"\r\n" + b"y" * 20_000 + b": x\r\n\r\nx"), id="a long name of a header"),
        pytest.param(multipart(CONTENT + b"\r\nno header\r\n\r\nx"), id="no header at all"),
        pytest.param(multipart(part("title", "x", type_="multipart/mixed; boundary=y")), id="nested"),
        pytest.param(multipart(part("title", "x", type_="text/plain; charset=utf-16")), id="another charset"),
        pytest.param(multipart(part("title", "x", more="Content-Transfer-Encoding: base64")), id="base64"),
        pytest.param(multipart(part("title", b"\xff")), id="text not in UTF-8"),
        pytest.param(multipart(part("title", "x", type_="application/json")), id="JSON that is none"),
        pytest.param(multipart(part("count", "NaN", type_="application/json")), id="JSON of NaN"),
    ],
)
@pytest.mark.parametrize("size", [0, 1])
def test_what_is_no_form_is_malformed(body, size, tmp_path):
    with pytest.raises(MalformedBody) as raised:
        received(SCHEMA, FORM, body, tmp_path, size=size)
    assert raised.value.detail


def test_an_encoding_that_changes_nothing_is_fine(tmp_path):
    for word in ("binary", "8bit", "7BIT"):
        sent = multipart(part("title", "x", more=f"Content-Transfer-Encoding: {word}"))
        assert received(SCHEMA, FORM, sent, tmp_path).value == {"title": "x"}


@pytest.mark.parametrize("boundary", ["", "x" * 71, "a b ", "ä", 'a"b', "a\tb", "a\\b"])
def test_absurd_boundaries_are_malformed(boundary, tmp_path):
    with pytest.raises(MalformedBody, match="boundary"):
        received(SCHEMA, f'multipart/form-data; boundary="{boundary}"'.encode(), multipart(), tmp_path)
    with pytest.raises(MalformedBody, match="boundary"):
        received(SCHEMA, b"multipart/form-data", multipart(), tmp_path)


def test_sixty_four_parts_pass_and_no_more(tmp_path):
    many = {"properties": {"a": {"type": "array"}}}
    assert received(many, FORM, multipart(*[part("a", "1")] * 64), tmp_path).value == {"a": [1] * 64}
    for number in (65, 10_000):
        for schema in (many, SCHEMA):
            with pytest.raises(BodyTooLarge, match="more than 64 parts"):
                received(schema, FORM, multipart(*[part("a", "1")] * number), tmp_path)


def test_ten_thousand_files_make_no_more_than_sixty_four(tmp_path):
    with pytest.raises(BodyTooLarge):
        received(SCHEMA, FORM, multipart(*[part("takes", "1", file="a")] * 10_000), tmp_path)
    assert len(list(tmp_path.glob("call/*"))) <= 64


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\r\n--XbXy" * 1_500_000, id="boundaries with something behind"),
        pytest.param(b"\r\n--XbX-y" * 1_500_000, id="nearly last boundaries"),
        pytest.param(b"\r\n--XbX" + b" " * 10_000_000, id="a boundary without end"),
    ],
)
def test_what_is_nearly_a_boundary_is_not_followed_for_long(data, tmp_path):
    begun = time.process_time()
    with pytest.raises((BodyTooLarge, MalformedBody)):
        received(SCHEMA, FORM, multipart(part("raw", data)), tmp_path)
    assert time.process_time() - begun < 1  # it would take several seconds


def test_what_is_broken_is_told_to_the_client_and_to_nobody_else(tmp_path, caplog, capfd):
    with pytest.raises(MalformedBody):
        received(SCHEMA, FORM, b"--XbX!", tmp_path)
    assert not caplog.records
    assert capfd.readouterr() == ("", "")


pieces = st.sampled_from(
    [
        b"--XbX\r\n",
        b"\r\n--XbX\r\n",
        b"\r\n--XbX--\r\n",
        b"--",
        b"\r\n",
        b"\r",
        b"\n",
        b"\r\n\r\n",
        CONTENT,
        b'Content-Disposition: form-data; name="x"; filename="a"',
        b'Content-Disposition: form-data; name="sound"; filename="../\0"',
        b"Content-Type: application/json",
        b"Content-Type: image/png",
        b"Content-Disposition: form-data; name",
        b";;=\"'\\",
        b"[1]",
        PNG,
        b"\x93NUMPY\x01\0",
    ]
)
numbers = itertools.count()


@given(parts=st.lists(pieces | st.binary(max_size=4), max_size=14), size=st.integers(0, 9))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_bytes_make_it_fail_otherwise(parts, size, tmp_path):
    parent = tmp_path / str(next(numbers))
    parent.mkdir()
    with contextlib.suppress(CallError):
        received(SCHEMA, FORM, b"".join(parts), parent, size=size)
