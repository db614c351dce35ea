"""Schemas: compiled once, everything wrong said, nothing fetched."""

from __future__ import annotations

import contextlib
import socket

import pytest

from bentod.iotypes.validator import MOST_ERRORS, Validator, properties

TYPES = {
    "Point": {"type": "object", "properties": {"x": {"type": "number"}, "y": {"type": "number"}}, "required": ["x"]},
    "Alias": {"$ref": "#/types/Point"},
    "Number": {"type": "number"},
    "Loop": {"$ref": "#/types/Loop"},
    "Tree": {"type": "object", "properties": {"next": {"$ref": "#/types/Tree"}}, "additionalProperties": False},
}


@pytest.mark.parametrize("schema", [True, {}])
@pytest.mark.parametrize("value", [None, 1, [], {"a": 1}])
def test_true_takes_anything(schema, value):
    validator = Validator(schema, TYPES)
    assert validator.valid(value)
    assert validator.errors(value) == ()


def test_false_takes_nothing():
    validator = Validator(False, {})
    assert not validator.valid(1)
    assert [error.pointer for error in validator.errors(1)] == [""]


def test_types_are_found_by_reference_and_may_refer_to_each_other():
    validator = Validator({"type": "array", "items": {"$ref": "#/types/Alias"}}, TYPES)
    assert validator.valid([{"x": 1}])
    assert {error.pointer for error in validator.errors([{"x": 1}, {"y": "no"}])} == {"/1/y", "/1"}
    assert not Validator({"$ref": "#/types/Tree"}, TYPES).valid({"next": {"next": {"nxt": 1}}})


def test_a_schema_has_its_own_definitions_besides():
    schema = {"$defs": {"Even": {"multipleOf": 2}}, "items": {"allOf": [{"$ref": "#/$defs/Even"}]}}
    assert Validator(schema, TYPES).valid([2])
    assert not Validator(schema, TYPES).valid([3])


def test_all_errors_are_told_with_json_pointers():
    schema = {
        "type": "object",
        "properties": {"a/b": {"type": "integer"}, "m~n": {"type": "integer"}, "list": {"items": {"minimum": 0}}},
        "required": ["needed"],
        "additionalProperties": False,
    }
    value = {"a/b": "x", "m~n": None, "list": [1, -1], "": 1}
    found = Validator(schema, {}).errors(value)
    assert {error.pointer for error in found} == {"/a~1b", "/m~0n", "/list/1", ""}
    assert any("needed" in error.detail for error in found)


def test_at_most_100_errors_and_no_long_ones():
    found = Validator({"items": {"type": "string"}}, {}).errors([1] * 1000)
    assert len(found) == MOST_ERRORS == 100
    long = Validator({"type": "integer"}, {}).errors("x" * 100_000)
    assert len(long) == 1
    assert len(long[0].detail) <= 200


@pytest.mark.parametrize(
    "schema",
    [
        pytest.param({"type": "strin"}, id="unknown type"),
        pytest.param({"$ref": "#/types/Nobody"}, id="unknown name"),
        pytest.param({"$ref": "#/$defs/Nobody"}, id="unknown definition"),
        pytest.param({"pattern": "("}, id="pattern"),
        pytest.param({"minimum": "3"}, id="bound"),
    ],
)
def test_an_invalid_schema_is_a_value_error(schema):
    with pytest.raises(ValueError, match=r".+"):
        Validator(schema, TYPES)


@pytest.mark.parametrize("keyword", ["$ref", "$dynamicRef", "$schema"])
def test_nothing_is_fetched_over_the_network(keyword):
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        url = f"http://127.0.0.1:{server.getsockname()[1]}/schema.json"
        with contextlib.suppress(ValueError):
            Validator({"items": {keyword: url}, "$defs": {"a": {"$id": url + "x"}}, keyword: url}, {})
        with pytest.raises(BlockingIOError):
            server.accept()


def test_no_file_is_read(tmp_path):
    (tmp_path / "schema.json").write_text('{"type": "integer"}')
    with pytest.raises(ValueError, match=r".+"):
        Validator({"$ref": (tmp_path / "schema.json").as_uri()}, {})


def test_formats_are_checked_and_those_of_the_dialect_do_no_harm():
    assert not Validator({"type": "string", "format": "ipv4"}, {}).valid("x")
    assert Validator({"type": "string", "format": "binary"}, {}).valid("x")
    assert Validator({"type": "array", "format": "tensor", "shape": [-1]}, {}).valid([1])


def test_integers_beyond_64_bits_and_whole_floats_are_integers():
    validator = Validator({"type": "integer"}, {})
    assert validator.valid(2**70)
    assert validator.valid(1.0)
    assert not validator.valid(1.5)
    assert not validator.valid(True)


@pytest.mark.parametrize(
    ("schema", "names"),
    [
        pytest.param({"type": "object", "properties": {"b": True, "a": True}}, ("b", "a"), id="in order"),
        pytest.param({"properties": {"a": True}}, ("a",), id="without type"),
        pytest.param({"type": "object", "properties": {}}, (), id="none declared"),
        pytest.param({"$ref": "#/types/Point"}, ("x", "y"), id="of a type"),
        pytest.param({"$ref": "#/types/Alias"}, ("x", "y"), id="of a type's type"),
        pytest.param({"$ref": "#/types/Number"}, None, id="type is no object"),
        pytest.param({"$ref": "#/types/Nobody"}, None, id="unknown type"),
        pytest.param({"$ref": "#/types/Loop"}, None, id="endless"),
        pytest.param({"$ref": "#/$defs/x"}, None, id="own definition"),
        pytest.param({"type": "object"}, None, id="no properties"),
        pytest.param({"$ref": "#/$defs/a", "$defs": {"a": {"properties": {"b": True}}}}, ("b",), id="in the schema"),
        pytest.param({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/types/Point"}}}, ("x", "y"), id="in both"),
        pytest.param({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}, None, id="in circles"),
        pytest.param({"type": ["object", "null"], "properties": {"a": True}}, None, id="maybe an object"),
        pytest.param({"type": "array", "properties": {"a": True}}, None, id="array"),
        pytest.param({"type": "number"}, None, id="number"),
        pytest.param(True, None, id="anything"),
        pytest.param(False, None, id="nothing"),
    ],
)
def test_properties_of_an_object_schema_are_keyword_arguments(schema, names):
    assert properties(schema, TYPES) == names
