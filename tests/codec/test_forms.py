"""Fields that are text become values by what the schema says of each."""

from __future__ import annotations

import pytest

from bentod.codec.forms import fields, urlencoded
from bentod.errors import BodyTooLarge, InvalidInput, MalformedBody
from tests.support.sent import FORM, multipart, part, received

URLENCODED = b"application/x-www-form-urlencoded"


def object_of(schema) -> dict:
    return {"type": "object", "properties": {"a": schema}}


STRINGS = {"type": "array", "items": {"type": "string"}}
INTEGERS = {"type": "array", "items": {"type": "integer"}}


@pytest.mark.parametrize(
    ("schema", "texts", "value"),
    [
        pytest.param({"type": "string"}, ["word"], "word", id="a bare word"),
        pytest.param({"type": "string"}, ["5"], "5", id="digits where a string is wanted"),
        pytest.param({"type": "string"}, ["true"], "true", id="true where a string is wanted"),
        pytest.param({"type": "string"}, ["null"], "null", id="null where a string is wanted"),
        pytest.param({"type": "string"}, ['"quoted"'], "quoted", id="a JSON string"),
        pytest.param({"type": "string"}, [""], "", id="nothing"),
        pytest.param({"type": "string"}, ["[1"], "[1", id="broken JSON"),
        pytest.param({"type": "string"}, ["{}"], "{}", id="an object where a string is wanted"),
        pytest.param({"type": "string"}, [" a\r\nb "], " a\r\nb ", id="lines"),
        pytest.param({"type": "integer"}, ["5"], 5, id="an integer"),
        pytest.param({"type": "integer"}, ["5.0"], 5.0, id="an integer with a point"),
        pytest.param({"type": "number"}, ["5"], 5, id="a number"),
        pytest.param({"type": "boolean"}, ["true"], True, id="a boolean"),
        pytest.param({"type": ["integer", "null"]}, ["null"], None, id="null"),
        pytest.param({"type": ["integer", "string"]}, ["5"], 5, id="an integer or a string"),
        pytest.param({"type": ["integer", "string"]}, ["5.5"], "5.5", id="neither, but a string"),
        pytest.param({"enum": ["1", "2"]}, ["1"], "1", id="one of some strings"),
        pytest.param({"enum": [1, 2]}, ["1"], 1, id="one of some numbers"),
        pytest.param({"const": "1"}, ["1"], "1", id="this string"),
        pytest.param({"anyOf": [{"type": "string"}, {"type": "null"}]}, ["5"], "5", id="any of"),
        pytest.param({"anyOf": [{"type": "string"}, {}]}, ["5"], 5, id="any of, one of which is anything"),
        pytest.param({"$ref": "#/types/word"}, ["5"], "5", id="a type"),
        pytest.param({"$ref": "#/$defs/word"}, ["5"], "5", id="a definition"),
        pytest.param(True, ["5"], 5, id="anything"),
        pytest.param(True, ["word"], "word", id="anything, a word"),
        pytest.param(True, ["1", "x"], [1, "x"], id="anything, twice"),
        pytest.param({"type": "object"}, ['{"b": 1}'], {"b": 1}, id="an object"),
        pytest.param(STRINGS, ["x"], ["x"], id="one of a list"),
        pytest.param(STRINGS, ["5"], ["5"], id="digits, one of a list"),
        pytest.param(STRINGS, ["x", "5"], ["x", "5"], id="a list"),
        pytest.param(STRINGS, ['["x", "y"]'], ["x", "y"], id="a list as JSON"),
        pytest.param(INTEGERS, ["5"], [5], id="one integer of a list"),
        pytest.param(INTEGERS, ["[]"], [], id="an empty list"),
        pytest.param({"type": ["array", "null"], "items": {"type": "integer"}}, ["null"], None, id="no list"),
        pytest.param({"type": ["array", "string"]}, ["x"], "x", id="a list or a string"),
        pytest.param({"type": "array", "items": INTEGERS}, ["[1]", "[2, 3]"], [[1], [2, 3]], id="a list of lists"),
        pytest.param(
            {"type": "array", "prefixItems": [{"type": "string"}], "items": {"type": "integer"}},
            ["1", "2"],
            ["1", 2],
            id="by position",
        ),
    ],
)
def test_a_text_is_what_the_schema_allows(schema, texts, value, tmp_path):
    whole = {**object_of(schema), "$defs": {"word": {"type": "string"}}}
    sent = multipart(*(part("a", text) for text in texts))
    assert received(whole, FORM, sent, tmp_path, word={"type": "string"}).value == {"a": value}


@pytest.mark.parametrize("schema", [{"type": "integer"}, {"type": "object"}, INTEGERS])
def test_a_text_that_is_not_allowed_is_invalid_at_its_place(schema, tmp_path):
    with pytest.raises(InvalidInput) as raised:
        received(object_of(schema), FORM, multipart(part("a", "word")), tmp_path)
    assert raised.value.errors[0].pointer.startswith("/a")


def test_what_is_no_list_cannot_be_sent_twice(tmp_path):
    schema = {"properties": {"a": {"type": "string"}, "b": {"type": "integer"}, "c/d": {"type": "string"}}}
    with pytest.raises(InvalidInput) as raised:
        received(schema, URLENCODED, b"a=1&b=2&a=3&b=4&c/d=&c/d=", tmp_path)
    assert [(one.pointer, one.detail) for one in raised.value.errors] == [
        ("/a", "was sent twice"),
        ("/b", "was sent twice"),
        ("/c~1d", "was sent twice"),
    ]


def test_names_that_the_schema_does_not_have(tmp_path):
    open_, closed = object_of(True), {**object_of(True), "additionalProperties": False}
    typed = {**object_of(True), "additionalProperties": {"type": "string"}}
    assert received(open_, URLENCODED, b"z=5", tmp_path).value == {"z": 5}
    assert received(typed, URLENCODED, b"z=5", tmp_path).value == {"z": "5"}
    with pytest.raises(InvalidInput):
        received(closed, URLENCODED, b"z=5", tmp_path)


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b"", {}),
        (b"a=x+y%20z", {"a": "x y z"}),
        ("a=ä".encode(), {"a": "ä"}),
        (b"a=%C3%A4", {"a": "ä"}),
        (b"a", {"a": ""}),
        (b"a=", {"a": ""}),
        (b"a=x;y", {"a": "x;y"}),
        (b"a==", {"a": "="}),
        (b"a=%zz", {"a": "%zz"}),
    ],
)
def test_urlencoded_texts(body, value, tmp_path):
    assert received(object_of({"type": "string"}), URLENCODED, body, tmp_path).value == value


def test_urlencoded_limits():
    assert len(list(urlencoded(b"&".join([b"a=1"] * 64)))) == 64
    with pytest.raises(BodyTooLarge, match="more than 64 fields"):
        urlencoded(b"&".join([b"a=1"] * 65))
    with pytest.raises(BodyTooLarge, match="more than 200000 escapes"):
        urlencoded(b"a=" + b"%41" * 200_001)
    for body in (b"a=\xff", b"a=%ff", b"%ff=a", b"a=%ed%a0%80"):
        with pytest.raises(MalformedBody, match="UTF-8"):
            urlencoded(body)


@pytest.mark.parametrize("body", [b'{"text": "hello"}', b" {}\n", b'{"a": "' + b"&" * 64 + b'"}'])
def test_json_that_is_called_a_form_is_told(body):
    with pytest.raises(MalformedBody, match=r"the body is JSON.* Content-Type: application/json"):
        urlencoded(body)


@pytest.mark.parametrize("body", [b"{a=1", b"{}=1", b"{"])
def test_a_name_may_begin_with_a_brace(body):
    assert len(list(urlencoded(body))) == 1


@pytest.mark.parametrize(
    "schema", [True, False, {"type": "string"}, {"type": "array", "properties": {}}, {"additionalProperties": True}]
)
def test_what_is_no_object_has_no_forms(schema):
    assert fields(schema, {}) is None


def test_a_type_that_holds_itself_ends():
    node = {
        "type": "object",
        "properties": {"next": {"$ref": "#/types/node"}, "all": {"items": {"$ref": "#/types/node"}}},
    }
    found = fields({"$ref": "#/types/node"}, {"node": node})
    assert found is not None
    assert not found.flat
    loop = {"anyOf": [{"$ref": "#/types/loop"}]}
    assert fields({"properties": {"a": {"$ref": "#/types/loop"}}}, {"loop": loop}) is not None
