"""What a change of an API means for its callers: the rules of `compat`, one by one."""

from __future__ import annotations

import copy
import time
from dataclasses import replace
from pathlib import Path

import pytest

from bentod.plan.compat import MOST_CAUSES, compared
from bentod.plan.difference import ApiChange
from bentod.plan.model import Plan, ServerPlan
from bentod.wire.messages import ApiRoute, Example

SERVER = ServerPlan(("127.0.0.1:1",), "", 1, 1.0, 1.0, 1.0, 1.0, True)
PLAN = Plan("app", "1", "", {}, Path("/p"), {}, (), (), SERVER)
INTEGER, STRING = {"type": "integer"}, {"type": "string"}


def change(old: ApiRoute, new: ApiRoute, old_types=None, new_types=None) -> ApiChange:
    before = replace(PLAN, apis=(old,), types=old_types or {})
    after = replace(PLAN, apis=(new,), types=new_types if new_types is not None else old_types or {})
    [found] = compared(before, after)
    return found


def route(**keys) -> ApiRoute:
    return ApiRoute("a", "s", "a", **{"path": "/a", **keys})


def of_input(old, new, *types) -> ApiChange:
    return change(route(input=old), route(input=new), *types)


def of_output(old, new, *types) -> ApiChange:
    return change(route(output=old), route(output=new), *types)


def obj(required=(), extra=None, **properties):
    """An object's schema; `extra` is what it says of other properties."""
    made = {"type": "object", "properties": properties, "required": list(required)}
    return made if extra is None else {**made, "additionalProperties": extra}


def tensor(dtype="float32", shape=(-1, 4)):
    return {"type": "array", "format": "tensor", "dtype": dtype, "shape": list(shape)}


def picture(media="image/*", **more):
    return {"type": "string", "format": "image", "contentMediaType": media, **more}


NARROWER = {
    "required": (obj(a=INTEGER), obj(["a"], a=INTEGER), "/required"),
    "new required property": (obj(), obj(["a"], a=INTEGER), "/required"),
    "property not allowed": (obj(extra=False, a=INTEGER, b=STRING), obj(extra=False, a=INTEGER), "/properties/b"),
    "others not allowed": (obj(a=INTEGER), obj(extra=False, a=INTEGER), "/additionalProperties"),
    "others of one kind": (obj(extra=True), obj(extra=STRING), "/additionalProperties/type"),
    "an enum's value": ({"enum": ["a", "b"]}, {"enum": ["a"]}, "/enum"),
    "enum for text": (STRING, {"type": "string", "enum": ["a"]}, "/enum"),
    "const": ({"enum": [1, 2]}, {"const": 1}, "/const"),
    "a type": ({"type": ["integer", "null"]}, INTEGER, "/type"),
    "number to integer": ({"type": "number"}, INTEGER, "/type"),
    "any to text": (True, STRING, "/type"),
    "any to none": (True, False, ""),
    "minimum": ({**INTEGER, "minimum": 1}, {**INTEGER, "minimum": 2}, "/minimum"),
    "maximum": ({**INTEGER, "maximum": 9}, {**INTEGER, "maximum": 8}, "/maximum"),
    "exclusive": ({"type": "number", "minimum": 1}, {"type": "number", "exclusiveMinimum": 1}, "/exclusiveMinimum"),
    "multiple": ({**INTEGER, "multipleOf": 2}, {**INTEGER, "multipleOf": 4}, "/multipleOf"),
    "minLength": (STRING, {**STRING, "minLength": 1}, "/minLength"),
    "maxLength": ({**STRING, "maxLength": 9}, {**STRING, "maxLength": 8}, "/maxLength"),
    "pattern": (STRING, {**STRING, "pattern": "^a"}, "/pattern"),
    "format": (STRING, {**STRING, "format": "email"}, "/format"),
    "minItems": ({"type": "array"}, {"type": "array", "minItems": 1}, "/minItems"),
    "maxItems": ({"type": "array"}, {"type": "array", "maxItems": 1}, "/maxItems"),
    "uniqueItems": ({"type": "array"}, {"type": "array", "uniqueItems": True}, "/uniqueItems"),
    "items": ({"type": "array", "items": {}}, {"type": "array", "items": STRING}, "/items/type"),
    "prefix": ({"prefixItems": [{}]}, {"prefixItems": [STRING]}, "/prefixItems/0/type"),
    "one more in the prefix": ({"prefixItems": [{}]}, {"prefixItems": [{}, STRING]}, "/prefixItems/1/type"),
    "minProperties": (obj(), {**obj(), "minProperties": 1}, "/minProperties"),
    "nested": (obj(a=obj(b=STRING)), obj(a=obj(b={**STRING, "maxLength": 1})), "/properties/a/properties/b/maxLength"),
    "anyOf": ({"anyOf": [INTEGER, STRING]}, {"anyOf": [INTEGER]}, "/anyOf"),
    "not": (INTEGER, {**INTEGER, "not": {"const": 1}}, "/not"),
    "patterns": (obj(), {**obj(), "patternProperties": {"^x": INTEGER}}, "/patternProperties"),
    "dimension": (tensor(shape=[-1, 4]), tensor(shape=[3, 4]), "/shape"),
    "named dimension": (tensor(shape=[-1, 4]), tensor(shape=["n", 4]), "/shape"),
    "media type": (picture("image/*"), picture("image/png"), "/contentMediaType"),
    "pixels": (picture(), picture(maxPixels=10), "/maxPixels"),
    "no null": ({**picture(), "type": ["string", "null"]}, picture(), "/type"),
}  # fmt: skip
"""The right one takes less than the left one, at one place."""

OTHER = {
    "type": (INTEGER, STRING, "/type"),
    "what others are": (obj(extra=STRING), obj(extra=STRING, a=INTEGER), "/properties/a/type"),
    "entry": ({"prefixItems": [STRING, INTEGER]}, {"prefixItems": [STRING, STRING]}, "/prefixItems/1/type"),
    "pattern": ({**STRING, "pattern": "a"}, {**STRING, "pattern": "b"}, "/pattern"),
    "enum": ({"enum": [1]}, {"enum": [2]}, "/enum"),
    "dtype": (tensor("float32"), tensor("float64"), "/dtype"),
    "dimensions": (tensor(shape=[2]), tensor(shape=[2, 2]), "/shape"),
    "image to file": (picture(), {"type": "string", "format": "file"}, "/format"),
    "tensor to list": (tensor(), {"type": "array"}, "/format"),
    "text to bytes": (STRING, {"type": "string", "format": "binary"}, "/format"),
    "oneOf": ({"oneOf": [INTEGER, STRING]}, {"oneOf": [INTEGER, {"type": "null"}]}, "/oneOf"),
}
"""Neither takes what the other takes."""

SAME = {
    "words": (obj(a=INTEGER), {**obj(a={**INTEGER, "title": "A", "default": 1}), "description": "d", "examples": [{}]}),
    "list of one type": (INTEGER, {"type": ["integer"]}),
    "true": (True, {}),
    "nothing required": (obj(), {"type": "object", "properties": {}}),
    "bounds of integers": ({**INTEGER, "minimum": 1}, {**INTEGER, "exclusiveMinimum": 0}),
    "enum of one": ({"enum": ["a"]}, {"const": "a"}),
    "1 is 1.0": ({**INTEGER, "maximum": 1}, {**INTEGER, "maximum": 1.0}),
    "all of one": (STRING, {"allOf": [STRING]}),
    "a definition": (obj(a=STRING), {**obj(a={"$ref": "#/$defs/S"}), "$defs": {"S": STRING}}),
    "any of null": ({"type": ["string", "null"]}, {"anyOf": [STRING, {"type": "null"}]}),
    "truths": ({"type": "boolean"}, {"enum": [True, False]}),
    "aliases of types": (picture("image/jpg"), picture("image/jpeg")),
}


@pytest.mark.parametrize(("wide", "narrow", "pointer"), NARROWER.values(), ids=NARROWER.keys())
def test_a_narrower_input_breaks_and_a_narrower_output_does_not(wide, narrow, pointer):
    found = of_input(wide, narrow)
    assert found.verdict == "breaking"
    assert f"/input{pointer}" in [cause.pointer for cause in found.causes if cause.breaking]
    assert of_output(wide, narrow).verdict == "compatible"


@pytest.mark.parametrize(("wide", "narrow", "pointer"), NARROWER.values(), ids=NARROWER.keys())
def test_a_wider_input_breaks_nothing_and_a_wider_output_does(wide, narrow, pointer):
    found = of_output(narrow, wide)
    assert found.verdict == "breaking"
    assert f"/output{pointer}" in [cause.pointer for cause in found.causes if cause.breaking]
    assert of_input(narrow, wide).verdict == "compatible"


@pytest.mark.parametrize(("one", "other", "pointer"), OTHER.values(), ids=OTHER.keys())
def test_another_kind_of_value_breaks_either_way(one, other, pointer):
    for key, judge in (("input", of_input), ("output", of_output)):
        for old, new in ((one, other), (other, one)):
            found = judge(old, new)
            assert found.verdict == "breaking"
            assert f"/{key}{pointer}" in [cause.pointer for cause in found.causes if cause.breaking]


@pytest.mark.parametrize(("one", "other"), SAME.values(), ids=SAME.keys())
def test_what_means_the_same_is_the_same_but_there_is_something_to_do(one, other):
    for judge in (of_input, of_output):
        for old, new in ((one, other), (other, one)):
            found = judge(old, new)
            assert found.verdict == "same"
            assert [cause.breaking for cause in found.causes] == [False]


CLOSED_BY_PARTS = {
    "allOf": ({"allOf": [obj(a=STRING), obj(b=STRING)]}, {"allOf": [obj(a=STRING)]}, {}, {}),
    "$ref": ({"$ref": "#/types/T"}, {"$ref": "#/types/T"}, {"T": obj(a=STRING, b=STRING)}, {"T": obj(a=STRING)}),
}


@pytest.mark.parametrize(("old", "new", "before", "after"), CLOSED_BY_PARTS.values(), ids=CLOSED_BY_PARTS.keys())
def test_what_closes_a_schema_of_parts_says_something_else_when_a_part_does(old, new, before, after):
    closed = {"unevaluatedProperties": False}
    assert of_input(old | closed, new | closed, before, after).verdict == "breaking"
    assert of_output(new | closed, old | closed, after, before).verdict == "breaking"
    renamed = {f"New{name}": schema for name, schema in before.items()}
    same = {"$ref": "#/types/NewT"} if renamed else {"title": "the same", **old}
    assert of_input(old | closed, same | closed, before, renamed).verdict == "same"


def test_an_optional_property_may_come_and_go():
    small, large = obj(["a"], a=INTEGER), obj(["a"], a=INTEGER, b=STRING)
    for old, new in ((small, large), (large, small)):
        assert of_input(old, new).verdict in {"compatible", "same"}
        assert of_output(old, new).verdict in {"compatible", "same"}
        assert of_input(old, new).causes


def test_an_optional_property_in_a_closed_answer_is_new_to_callers():
    small, large = obj(extra=False, a=INTEGER), obj(extra=False, a=INTEGER, b=STRING)
    [cause] = of_output(small, large).causes
    assert (cause.pointer, cause.breaking) == ("/output/properties/b", True)
    assert cause.message == "is allowed now, which nothing was"
    assert of_output(large, small).verdict == "compatible"
    assert of_input(small, large).verdict == "compatible"


def test_a_change_of_a_type_is_found_where_the_api_uses_it():
    types = {"T": {"type": "object", "properties": {"n": {"$ref": "#/types/N"}}}, "N": {**INTEGER, "maximum": 100}}
    later = {**types, "N": {**INTEGER, "maximum": 10}}
    found = of_input(
        {"type": "array", "items": {"$ref": "#/types/T"}},
        {"type": "array", "items": {"$ref": "#/types/T"}},
        types,
        later,
    )
    [cause] = found.causes
    assert (cause.pointer, cause.message) == ("/input/items/properties/n/maximum", "`maximum` was 100, is 10")
    assert of_input(STRING, STRING, types, later).causes == ()


def test_a_type_with_another_name_is_the_same_type():
    found = of_input({"$ref": "#/types/A"}, {"$ref": "#/types/B"}, {"A": STRING}, {"B": STRING})
    assert found.verdict == "same"


def test_recursive_types_end():
    tree = {"type": "object", "properties": {"kids": {"type": "array", "items": {"$ref": "#/types/Tree"}}}}
    tight = copy.deepcopy(tree)
    tight["properties"]["kids"]["maxItems"] = 2
    found = of_input({"$ref": "#/types/Tree"}, {"$ref": "#/types/Tree"}, {"Tree": tree}, {"Tree": tight})
    assert [cause.pointer for cause in found.causes] == ["/input/properties/kids/maxItems"]
    odd = {"A": {"$ref": "#/types/B"}, "B": {"$ref": "#/types/A"}}
    assert of_input({"$ref": "#/types/A"}, {"$ref": "#/types/A", "minimum": 1}, odd).verdict


def test_what_cannot_be_followed_is_breaking_unless_it_is_as_it_was():
    for key in ("$id", "$anchor", "$dynamicRef", "$dynamicAnchor"):
        old = {"properties": {"a": {key: "x"}}}
        assert of_input(old, copy.deepcopy(old)).causes == ()
        [cause] = of_input(old, {**old, "minimum": 1}).causes
        assert cause.breaking
        assert "cannot be proved" in cause.message


@pytest.mark.parametrize(
    ("old", "new", "verdict", "pointer"),
    [
        ({"path": "/a"}, {"path": "/b"}, "breaking", "/route"),
        ({}, {"stream": "sse"}, "breaking", "/stream"),
        ({"stream": "sse"}, {"stream": "ndjson"}, "breaking", "/stream"),
        ({"max_body": 2048}, {"max_body": 1024}, "breaking", "/max_body"),
        ({"max_body": 1024}, {"max_body": 2048}, "compatible", "/max_body"),
        ({}, {"timeout_s": 5.0}, "compatible", "/timeout"),
        ({}, {"timeout_s": 60.0}, "compatible", "/timeout"),
        ({}, {"errors": {"builtins:ValueError": 422}}, "compatible", "/errors/builtins:ValueError"),
        ({"errors": {"builtins:ValueError": 422}}, {}, "compatible", "/errors/builtins:ValueError"),
        ({}, {"output_check": False}, "compatible", "/output_check"),
        ({}, {"takes": "columns"}, "same", "/takes"),
        ({}, {"takes": "rows"}, "breaking", "/takes"),
        ({"takes": "rows", "max_size": 8}, {"takes": "rows", "max_size": 4}, "breaking", "/batching/max_size"),
        ({"takes": "rows", "max_size": 8}, {"takes": "rows"}, "compatible", "/batching/max_size"),
        ({"max_size": 8}, {"max_size": 4}, "same", "/batching/max_size"),
        ({}, {"max_delay_s": 0.5}, "same", "/batching/max_delay"),
        ({}, {"queue": 1}, "same", "/queue"),
        ({}, {"priority": 1}, "same", "/priority/default"),
        ({}, {"highest": 1}, "same", "/priority/highest"),
        ({}, {"concurrency": 1}, "same", "/concurrency"),
        ({}, {"retry": False}, "same", "/retry"),
        ({}, {"deprecated": True}, "same", "/deprecated"),
        ({}, {"summary": "x"}, "same", "/summary"),
        ({}, {"tags": ("x",)}, "same", "/tags"),
        ({}, {"examples": (Example("e", {"a": 1}),)}, "same", "/examples"),
    ],
)
def test_what_an_api_says_besides_its_schemas(old, new, verdict, pointer):
    found = change(route(**old), route(**new))
    assert (found.verdict, [cause.pointer for cause in found.causes]) == (verdict, [pointer])
    assert all(cause.breaking == (verdict == "breaking") for cause in found.causes)


def test_every_attribute_of_an_api_is_looked_at():
    values = {
        str: "other", bool: None, float: 7.5, int: 7, tuple: ("x",), dict: {"builtins:OSError": 500},
    }  # fmt: skip
    base = route()
    for name in ApiRoute.__slots__:
        if name in ("name", "examples"):
            continue
        before = getattr(base, name)
        after = (
            STRING
            if name in ("input", "output")
            else (not before if isinstance(before, bool) else values[type(before)])
        )
        assert change(base, replace(base, **{name: after})).causes, name


def test_apis_come_and_go():
    old, new = replace(PLAN, apis=(route(),)), replace(PLAN, apis=(replace(route(), name="b"),))
    assert [(one.name, one.verdict, one.breaking) for one in compared(old, new)] == [
        ("b", "added", False),
        ("a", "removed", True),
    ]


# ── hostile ──────────────────────────────────────────────────────────────────────────────────────


def deep(levels, leaf, key="items"):
    made = leaf
    for _ in range(levels):
        made = (
            {"properties": {"a": made}} if key == "properties" else {key: [made] if key in ("anyOf", "allOf") else made}
        )
    return made


@pytest.mark.parametrize("key", ["items", "properties", "anyOf", "allOf", "not"])
@pytest.mark.parametrize("levels", [50, 500, 20_000])
def test_deep_schemas_are_judged_or_given_up(key, levels):
    found = of_input(deep(levels, {"maximum": 9}, key), deep(levels, {"maximum": 8}, key))
    assert found.verdict == "breaking"


def test_huge_schemas_are_judged_or_given_up_in_bounded_time():
    many = {f"p{index}": {"$ref": "#/types/T"} for index in range(20_000)}
    types = {"T": obj(**{f"q{index}": {**INTEGER, "maximum": 9} for index in range(5_000)})}
    later = copy.deepcopy(types)
    later["T"]["properties"]["q4999"]["maximum"] = 8
    start = time.monotonic()
    found = of_input(obj(**many), obj(**many), types, later)
    assert found.verdict == "breaking"
    assert of_input(obj(**many), obj(**copy.deepcopy(many)), types, copy.deepcopy(types)).causes == ()
    assert time.monotonic() - start < 20


def test_alternatives_of_alternatives_end():
    def alternatives(levels, leaf):
        return (
            leaf if not levels else {"anyOf": [alternatives(levels - 1, {**leaf, "minimum": side}) for side in (0, 1)]}
        )

    start = time.monotonic()
    assert of_input(alternatives(9, INTEGER), alternatives(9, STRING)).verdict == "breaking"
    assert time.monotonic() - start < 20


def test_an_api_has_a_bounded_number_of_causes():
    old = obj(**{f"p{index}": STRING for index in range(1000)})
    new = obj(**{f"p{index}": dict(INTEGER) for index in range(1000)})
    found = of_input(old, new)
    assert len(found.causes) == MOST_CAUSES + 1
    assert found.causes[-1].breaking
    assert found.causes[-1].message.startswith("and ")
    assert all(len(cause.message) < 200 for cause in found.causes)
