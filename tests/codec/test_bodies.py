"""Which bodies an API takes, and what they are to it."""

from __future__ import annotations

import asyncio
import base64
import errno
import json
import threading
import time
from pathlib import Path

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentod.codec import spool
from bentod.codec.bodies import Bodies
from bentod.codec.folder import CallFolder
from bentod.errors import BodyTooLarge, InvalidInput, MalformedBody, StorageFailed
from bentod.iotypes.parts import Blob, Picture, Stored, Tensor
from tests.support.samples import npy, picture
from tests.support.sent import FORM, Sent, multipart, part, received

IMAGE = {"type": "string", "format": "image"}
AUDIO = {"type": "string", "format": "file", "contentMediaType": "audio/*"}
ANY_FILE = {"type": "string", "format": "file"}
BINARY = {"type": "string", "format": "binary"}
VECTOR = {"type": "array", "format": "tensor", "dtype": "float32", "shape": ["n"]}
FLAT = {
    "type": "object",
    "properties": {"n": {"type": "integer"}, "tags": {"type": "array", "items": {"type": "string"}}},
}
JSON, MSGPACK, MULTIPART, OCTETS = (
    "application/json",
    "application/msgpack",
    "multipart/form-data",
    "application/octet-stream",
)
URLENCODED = "application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    ("schema", "takes"),
    [
        pytest.param(True, (JSON, MSGPACK), id="anything"),
        pytest.param({"type": "object"}, (JSON, MSGPACK, MULTIPART, URLENCODED), id="an object of anything"),
        pytest.param(
            {"type": "object", "additionalProperties": IMAGE}, (MULTIPART, JSON, MSGPACK), id="images by name"
        ),
        pytest.param(FLAT, (JSON, MSGPACK, MULTIPART, URLENCODED), id="scalars"),
        pytest.param({"$ref": "#/types/flat"}, (JSON, MSGPACK, MULTIPART, URLENCODED), id="a type"),
        pytest.param({"properties": {"a": True}}, (JSON, MSGPACK, MULTIPART, URLENCODED), id="unknown"),
        pytest.param({"properties": {"a": {"type": "object"}}}, (JSON, MSGPACK, MULTIPART), id="an object within"),
        pytest.param(
            {"properties": {"a": {"items": {"type": "array"}}}}, (JSON, MSGPACK, MULTIPART), id="a list of lists"
        ),
        pytest.param({"properties": {"a": IMAGE}}, (MULTIPART, JSON, MSGPACK), id="an image within"),
        pytest.param({"type": "array", "properties": {}}, (JSON, MSGPACK), id="a list"),
        pytest.param({"type": "string"}, (JSON, MSGPACK, "text/plain"), id="a string"),
        pytest.param(
            {"type": "string", "contentMediaType": "text/html"},
            (JSON, MSGPACK, "text/plain", "text/html"),
            id="a string of HTML",
        ),
        pytest.param(IMAGE, ("image/*", OCTETS, JSON, MSGPACK), id="an image"),
        pytest.param(AUDIO, ("audio/*", OCTETS, JSON, MSGPACK), id="a file"),
        pytest.param(BINARY, ("*/*", OCTETS, JSON, MSGPACK), id="bytes"),
        pytest.param(VECTOR, ("application/x-npy", OCTETS, JSON, MSGPACK), id="a tensor"),
    ],
)
def test_what_an_api_takes(schema, takes):
    bodies = Bodies(schema, {"flat": FLAT})
    assert bodies.takes == takes
    for media_type in takes:
        assert bodies.form(media_type.replace("*", "wav").encode()) is not None


@pytest.mark.parametrize(
    ("schema", "content_type", "kind"),
    [
        pytest.param(True, None, JSON, id="not said"),
        pytest.param(True, b"application/json; charset=UTF-8", JSON, id="JSON"),
        pytest.param(True, b"application/json; charset=latin-1", None, id="JSON, not in UTF-8"),
        pytest.param(True, b"", None, id="empty"),
        pytest.param(True, b"rubbish", None, id="rubbish"),
        pytest.param(True, b"application/vnd.msgpack", MSGPACK, id="MessagePack"),
        pytest.param(True, b"multipart/form-data; boundary=x", None, id="a form for anything"),
        pytest.param(FLAT, b"multipart/form-data; boundary=x", MULTIPART, id="a form"),
        pytest.param(FLAT, b"multipart/mixed; boundary=x", None, id="something like a form"),
        pytest.param(FLAT, b"text/plain", None, id="text for an object"),
        pytest.param({"type": "string"}, b"text/plain; charset=utf-16", None, id="text, not in UTF-8"),
        pytest.param({"type": ["string", "null"]}, b"text/plain", "text/plain", id="text"),
        pytest.param(IMAGE, b"image/png", OCTETS, id="an image"),
        pytest.param(IMAGE, b"audio/wav", None, id="no image"),
        pytest.param({**AUDIO, "contentMediaType": "audio/wav"}, b"audio/x-wav", OCTETS, id="another name"),
        pytest.param(BINARY, b"text/csv", OCTETS, id="anything"),
        pytest.param(BINARY, b"application/json", JSON, id="JSON is base64"),
        pytest.param(BINARY, b"multipart/form-data; boundary=x", None, id="a form is not anything"),
        pytest.param(BINARY, URLENCODED.encode(), None, id="nor such a form"),
        pytest.param(BINARY, b"\xff/\xfe", OCTETS, id="not ASCII"),
    ],
)
def test_the_form_of_a_body(schema, content_type, kind):
    form = Bodies(schema, {}).form(content_type)
    assert (form.kind if form else None) == kind


def test_plain_says_whether_there_is_anything_special():
    assert Bodies(FLAT, {}).plain
    assert not Bodies({"properties": {"a": {"items": IMAGE}}}, {}).plain


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        pytest.param(None, b'{"n": 3, "tags": ["a", "b"]}', id="not said"),
        pytest.param(JSON.encode(), b'{"n": 3, "tags": ["a", "b"]}', id="JSON"),
        pytest.param(MSGPACK.encode(), msgpack.packb({"n": 3, "tags": ["a", "b"]}), id="MessagePack"),
        pytest.param(URLENCODED.encode(), b"n=3&tags=a&tags=b", id="urlencoded"),
        pytest.param(FORM, multipart(part("n", "3"), part("tags", "a"), part("tags", "b")), id="multipart"),
        pytest.param(FORM, multipart(part("tags", '["a", "b"]'), part("n", "3")), id="multipart, a list"),
    ],
)
def test_one_value_in_every_form(content_type, body, tmp_path):
    assert received(FLAT, content_type, body, tmp_path).value == {"n": 3, "tags": ["a", "b"]}


def test_what_does_not_match_is_said_with_pointers_in_every_form(tmp_path):
    for content_type, body in (
        (None, b'{"n": "x"}'),
        (MSGPACK.encode(), msgpack.packb({"n": "x"})),
        (URLENCODED.encode(), b"n=x"),
        (FORM, multipart(part("n", "x"))),
    ):
        with pytest.raises(InvalidInput) as raised:
            received(FLAT, content_type, body, tmp_path)
        assert [one.pointer for one in raised.value.errors] == ["/n"]


def test_a_raw_image(tmp_path):
    body = picture("image/png")
    for content_type in (b"image/png", b"image/*", b"application/octet-stream"):
        assert received(IMAGE, content_type, body, tmp_path).value == Picture("image/png", body)
    with pytest.raises(InvalidInput) as raised:
        received(IMAGE, b"image/jpeg", body, tmp_path)
    assert raised.value.errors[0].pointer == ""
    assert "says image/jpeg, but is image/png" in raised.value.errors[0].detail


def test_a_raw_tensor(tmp_path):
    array = np.arange(3, dtype="float32")
    for content_type in (b"application/x-npy", b"application/octet-stream"):
        found = received(VECTOR, content_type, npy(array), tmp_path)
        assert isinstance(found.value, Tensor)
        assert bytes(found.value.data) == array.tobytes()
        assert found.dimensions == {"n": 3}
    with pytest.raises(InvalidInput):
        received(VECTOR, b"application/x-npy", b"nothing", tmp_path)


def test_raw_bytes_and_text(tmp_path):
    assert received(BINARY, b"text/csv", b"\xff\0", tmp_path).value == Blob(b"\xff\0")
    assert received({"type": "string"}, b"text/plain", "ä".encode(), tmp_path).value == "ä"
    with pytest.raises(MalformedBody, match="UTF-8"):
        received({"type": "string"}, b"text/plain", b"\xff", tmp_path)
    with pytest.raises(InvalidInput):
        received({"type": "string", "maxLength": 1}, b"text/plain", b"ab", tmp_path)


@pytest.mark.parametrize("size", [0, 1000, 300_000])
def test_a_raw_file_goes_to_disk_as_it_arrives(size, tmp_path):
    body = bytes(range(256)) * 4000
    found = received(AUDIO, b"audio/wav", body, tmp_path, size=size).value
    assert isinstance(found, Stored)
    assert found.media_type == "audio/wav"
    assert Path(found.path).parent == tmp_path / "call"
    assert Path(found.path).read_bytes() == body


def test_a_file_is_on_disk_before_its_body_ends(tmp_path):
    seen = []

    class Slow(Sent):
        async def chunks(self):
            for _ in range(4):
                yield bytes(300_000)
                seen.append(sum(path.stat().st_size for path in tmp_path.glob("call/*")))

    bodies = Bodies(AUDIO, {})
    asyncio.run(bodies.read(bodies.form(b"audio/wav"), Slow(b""), CallFolder(tmp_path, "call")))
    assert seen == [300_000, 600_000, 900_000, 1_200_000]


def test_a_source_that_breaks_off_leaves_no_open_file(tmp_path):
    class Broken(Sent):
        async def chunks(self):
            yield multipart(part("a", "x" * 1000, file="a.wav"), end=False)[:-2]
            raise ConnectionError

    for schema, content_type in ((AUDIO, b"audio/wav"), ({"properties": {"a": AUDIO}}, FORM)):
        bodies = Bodies(schema, {})
        folder = CallFolder(tmp_path, "call")
        with pytest.raises(ConnectionError):
            asyncio.run(bodies.read(bodies.form(content_type), Broken(b""), folder))
        folder.remove()
    assert list(tmp_path.iterdir()) == []  # an open file would be a ResourceWarning, which is an error here


def test_special_values_in_json_and_msgpack(tmp_path):
    schema = {"properties": {"image": IMAGE, "sound": ANY_FILE, "raw": BINARY, "x": VECTOR}}
    body = picture("image/gif")
    text = base64.b64encode(body).decode()
    value = {"image": text, "sound": text, "raw": text, "x": [1, 2]}
    packed = {"image": body, "sound": body, "raw": body, "x": [1.0, 2.0]}
    for number, (content_type, sent) in enumerate(
        ((None, json.dumps(value).encode()), (MSGPACK.encode(), msgpack.packb(packed)))
    ):
        parent = tmp_path / str(number)
        parent.mkdir()
        found = received(schema, content_type, sent, parent).value
        assert found["image"] == Picture("image/gif", body, "/image")
        assert bytes(found["raw"].data) == body
        assert Path(found["sound"].path).read_bytes() == body
        assert bytes(found["x"].data) == np.array([1, 2], "float32").tobytes()


def test_true_is_no_number_in_a_tensor(tmp_path):
    assert received({"properties": {"x": VECTOR}}, None, b'{"x": [1, 2]}', tmp_path).dimensions == {"n": 2}
    with pytest.raises(InvalidInput):
        received({"properties": {"x": VECTOR}}, None, b'{"x": [1, true]}', tmp_path)


@given(st.binary(max_size=60))
def test_no_content_type_makes_it_fail(header):
    for schema in (True, FLAT, IMAGE, BINARY, {"type": "string"}):
        Bodies(schema, {}).form(header)


FILES = {"type": "array", "items": ANY_FILE}


def test_the_files_of_json_are_written_beside_the_loop(tmp_path, monkeypatch):
    threads = []
    write = spool._write
    monkeypatch.setattr(spool, "_write", lambda *given: (threads.append(threading.current_thread()), write(*given)))
    found = received(FILES, b"application/json", b'["YWI=", "", "Yw=="]', tmp_path)
    assert [Path(one.path).read_bytes() for one in found.value] == [b"ab", b"", b"c"]
    assert threads
    assert threading.main_thread() not in threads


def test_nothing_is_written_of_what_is_refused(tmp_path):
    with pytest.raises(InvalidInput):
        received(FILES, b"application/json", b'["YWI=", "?"]', tmp_path)
    assert [path.stat().st_size for path in (tmp_path / "call").iterdir()] == [0]


def test_thousands_of_files_are_refused_at_once(tmp_path):
    begun = time.process_time()
    with pytest.raises(BodyTooLarge, match="more than 64 files"):
        received(FILES, b"application/json", b"[" + b",".join([b'""'] * 9_000) + b"]", tmp_path)
    assert time.process_time() - begun < 1


@pytest.mark.parametrize(
    ("schema", "content_type", "body"),
    [
        (FILES, b"application/json", b'["YWI="]'),
        (ANY_FILE, b"text/plain", b"ab"),
        ({"properties": {"a": ANY_FILE}}, FORM, multipart(part("a", "ab", file="a"))),
    ],
)
def test_a_full_disk_is_an_error_of_its_own(schema, content_type, body, tmp_path, monkeypatch):
    def full(*given):
        raise OSError(errno.ENOSPC, "No space left on device", str(tmp_path))

    monkeypatch.setattr(spool, "_write", full)
    with pytest.raises(StorageFailed) as raised:
        received(schema, content_type, body, tmp_path)
    assert (raised.value.detail, raised.value.log) == ("", "the files of the call: No space left on device")
