"""Where the special ones stand."""

from __future__ import annotations

import pytest

from bentod.iotypes.layout import layout, masked, specials
from bentod.iotypes.special import BinaryType, FileType, ImageType, TensorType

TENSOR = {"type": "array", "format": "tensor", "dtype": "int8", "shape": [-1]}
BINARY = {"type": "string", "format": "binary"}


def test_nothing_special_has_no_layout():
    assert layout(True, {}) is None
    assert layout({"type": "object", "properties": {"a": {"items": {}}}}, {"T": TENSOR}) is None


def test_plain_properties_do_not_count_as_additional_ones():
    found = layout({"properties": {"plain": {"type": "string"}, "any": True}, "additionalProperties": TENSOR}, {})
    assert found is not None
    assert found.additional is not None
    assert isinstance(found.additional.special, TensorType)
    assert [found.properties[name].special for name in ("plain", "any")] == [None, None]


def test_types_may_hold_themselves():
    tree = {"properties": {"data": BINARY, "below": {"type": "array", "items": {"$ref": "#/types/Tree"}}}}
    found = layout({"$ref": "#/types/Tree"}, {"Tree": tree})
    assert found is not None
    assert found.properties["below"].items is found
    assert found.properties["data"].special == BinaryType()


def test_a_recursive_type_without_anything_special_is_left_out():
    schema = {"properties": {"x": TENSOR, "tree": {"$ref": "#/types/Tree"}}}
    found = layout(schema, {"Tree": {"properties": {"tree": {"$ref": "#/types/Tree"}}}})
    assert found is not None
    assert list(found.properties) == ["x"]


def test_specials_come_once_each_in_the_order_of_the_schema():
    image, file = {"type": "string", "format": "image"}, {"type": "string", "format": "file"}
    list_ = {"prefixItems": [file, {"$ref": "#/types/Tree"}], "items": TENSOR}
    tree = {"properties": {"a": BINARY, "b": list_, "c": {"$ref": "#/types/Tree"}}, "additionalProperties": image}
    found = layout({"$ref": "#/types/Tree"}, {"Tree": tree})
    assert specials(found) == [BinaryType(), FileType(), TensorType("int8", (-1,)), ImageType()]
    assert specials(None) == []


@pytest.mark.parametrize(
    "key", ["$defs", "definitions", "properties", "patternProperties", "dependentSchemas", "types"]
)
def test_a_schema_may_have_the_name_of_a_keyword(key):
    assert masked({key: {"default": TENSOR, "const": {"enum": [BINARY]}}}) == {
        key: {"default": True, "const": {"enum": [BINARY]}}
    }
