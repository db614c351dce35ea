"""Examples as requests: JSON, bodies as they are, forms."""

import asyncio
import base64
import email.policy
import json
from email.parser import BytesParser

import pytest

from bentod.cli.bench_payload import payloads, request
from bentod.cli.call_input import UnusableInput

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
TEXT = base64.b64encode(PNG).decode()
FILE = {"type": "string", "format": "file"}
TENSOR = {"type": "array", "format": "tensor", "dtype": "float32", "shape": [-1]}
FORM = {
    "type": "object",
    "properties": {
        "photo": {"$ref": "#/types/Photo"},
        "pages": {"type": "array", "items": FILE},
        "points": TENSOR,
        "count": {"type": "integer"},
        "deep": {"type": "object", "properties": {"photo": {"$ref": "#/types/Photo"}}},
    },
}
TYPES = {"Photo": {"type": "string", "format": "image"}}


def made(schema, *values, only_json=False):
    examples = [{"name": f"e{index}", "input": value} for index, value in enumerate(values)]
    api = {"input": schema, "types": TYPES, "examples": examples}
    return asyncio.run(payloads(api, only_json=only_json))


def parts(payload):
    head = f"content-type: {payload.media_type}\r\n\r\n".encode()
    form = BytesParser(policy=email.policy.HTTP).parsebytes(head + payload.data)
    return [
        (part.get_param("name", header="content-disposition"), part.get_filename(), part.get_content_type(),
         part.get_payload(decode=True))
        for part in form.iter_parts()
    ]  # fmt: skip


def test_all_examples_as_json():
    found = made(True, {"a": "é"}, [1])
    assert [(one.name, one.media_type, json.loads(one.data)) for one in found] == [
        ("e0", "application/json", {"a": "é"}),
        ("e1", "application/json", [1]),
    ]


@pytest.mark.parametrize("schema", [{"$ref": "#/types/Photo"}, FILE, {"type": "string", "format": "binary"}])
def test_a_file_is_the_body(schema):
    [found] = made(schema, TEXT)
    assert (found.media_type, found.data) == ("application/octet-stream", PNG)
    [found] = made(schema, TEXT, only_json=True)
    assert (found.media_type, json.loads(found.data)) == ("application/json", TEXT)


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        (TENSOR, [1, 2]),
        (TENSOR, {"dtype": "float32", "shape": [1], "data": "AACAPw=="}),
        (FORM, {"count": 1}),
        (FORM, {"points": [1, 2], "count": 1}),
        (FORM, {"deep": {"photo": TEXT}, "photo": TEXT}),
        (FORM, {"photo": None}),
        ({"type": ["string", "null"], "format": "file"}, None),
        ({"type": "array", "items": FILE}, [TEXT]),
    ],
)
def test_what_stays_json(schema, value):
    [found] = made(schema, value)
    assert (found.media_type, json.loads(found.data)) == ("application/json", value)


def test_files_among_properties_make_a_form():
    [found] = made(FORM, {"photo": TEXT, "pages": ["YQ==", "Yg=="], "points": [1.5], "count": 3})
    assert found.media_type.startswith("multipart/form-data; boundary=")
    assert parts(found) == [
        ("photo", "photo", "application/octet-stream", PNG),
        ("pages", "pages", "application/octet-stream", b"a"),
        ("pages", "pages", "application/octet-stream", b"b"),
        ("points", None, "application/json", b"[1.5]"),
        ("count", None, "application/json", b"3"),
    ]


def test_an_empty_list_beside_a_file():
    [found] = made(FORM, {"photo": TEXT, "pages": []})
    assert parts(found)[1] == ("pages", None, "application/json", b"[]")


def test_no_examples():
    with pytest.raises(UnusableInput, match="no examples"):
        made(True)


def test_a_whole_request():
    [one] = made(True, 1)
    assert request(one, "/p", "h:1", [("accept", "a/b")]) == (
        b"POST /p HTTP/1.1\r\nhost: h:1\r\ncontent-type: application/json\r\naccept: a/b\r\ncontent-length: 1\r\n\r\n1"
    )
    assert b"content-type: x/y\r\n" in request(one, "/p", "h", [("content-type", "x/y")])
    assert b"name: \xc3\xa9\r\n" in request(one, "/p", "h", [("name", "é")])


@pytest.mark.parametrize("name", ["content-length", "transfer-encoding", "connection", "expect"])
def test_headers_of_the_connection_are_not_for_users(name):
    [one] = made(True, 1)
    with pytest.raises(UnusableInput, match=name):
        request(one, "/p", "h", [(name, "1")])
