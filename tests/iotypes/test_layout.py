"""Where the special ones stand."""

from __future__ import annotations

from bentod.iotypes.layout import layout
from bentod.iotypes.special import BinaryType, TensorType

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
