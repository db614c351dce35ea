"""What an API passes, against what its callable takes."""

import pytest

from bentod.spec.signature import compare, compare_init
from bentod.wire.messages import Method
from bentod.worker.target import describe

NAMED = {"type": "object", "properties": {"a": {}, "b": {}}, "required": ["a"]}


def misfits(function, schema, types=None):
    return [(m.path, m.code) for m in compare(describe("f", function), schema, types or {})]


@pytest.mark.parametrize(
    ("function", "schema", "expected"),
    [
        (lambda a, b=1: 0, NAMED, []),
        (lambda a, b=1, context=None: 0, NAMED, []),
        (lambda a, context, b=1: 0, NAMED, []),
        (lambda *, a, b=1, context: 0, NAMED, []),
        (lambda **values: 0, NAMED, []),
        (lambda a, **values: 0, NAMED, []),
        (lambda a: 0, NAMED, [(("input", "properties", "b"), "extra-parameter")]),
        (lambda a, b: 0, NAMED, [(("input", "properties", "b"), "optional-parameter")]),
        (lambda a, c, b=1: 0, NAMED, [(("input", "properties"), "missing-parameter")]),
        (lambda a, /, b=1: 0, NAMED, [(("input", "properties", "a"), "parameter-kind")]),
        (lambda *values: 0, NAMED, [(("input", "properties", n), "extra-parameter") for n in "ab"]),
        (lambda size: 0, {"properties": {"sise": {}}}, [(("input", "properties", "sise"), "misspelt-parameter")]),
        (lambda a, extra: 0, {"properties": {"a": {}}, "required": ["a", "extra"]}, []),
        (lambda context: 0, {"properties": {"context": {}}, "required": ["context"]}, []),
        (lambda x: 0, True, []),
        (lambda x, context: 0, True, []),
        (lambda x, y=1: 0, {"type": "array"}, []),
        (lambda *values: 0, True, []),
        (lambda x, /: 0, True, []),
        (lambda: 0, True, [(("input",), "parameter-count")]),
        (lambda context: 0, True, [(("input",), "parameter-count")]),
        (lambda x, y: 0, True, [(("input",), "parameter-count")]),
        (lambda **values: 0, True, [(("input",), "parameter-count")]),
        (lambda x, *, y: 0, True, [(("input",), "missing-parameter")]),
        (lambda x: 0, {"type": "object"}, []),
        (lambda x: 0, {"type": ["object", "null"], "properties": {"a": {}}}, []),
    ],
)
def test_what_fits_and_what_does_not(function, schema, expected):
    assert misfits(function, schema) == expected


def test_a_reference_to_a_type_is_followed_and_reported_where_it_stands():
    types = {"T": {"$ref": "#/types/U"}, "U": NAMED}
    assert misfits(lambda a, b=1: 0, {"$ref": "#/types/T"}, types) == []
    assert misfits(lambda a, c: 0, {"$ref": "#/types/T"}, types) == [
        (("input",), "extra-parameter"),
        (("input",), "missing-parameter"),
    ]


def test_a_misspelt_parameter_is_one_problem_that_names_it():
    [misfit] = compare(describe("f", lambda size: 0), {"properties": {"sise": {}}, "required": ["sise"]}, {})
    assert (misfit.message, misfit.hint) == ("`f` has no parameter `sise`", "did you mean `size`?")


@pytest.mark.parametrize("style", ["generator", "async generator"])
def test_generators_are_not_supported(style):
    [misfit] = compare(Method("f", style, ()), True, {})
    assert misfit.code == "not-supported"
    assert "streams are not supported by this version" in misfit.message


def test_what_has_no_signature_is_left_alone():
    assert compare(Method("f", "sync", None), NAMED, {}) == []


def test_init_is_passed_by_name():
    class Model:
        def __init__(self, size, depth=1, context=None): ...

    parameters = describe("Model", Model).parameters
    assert compare_init("Model", parameters, {"size": 1}) == []
    assert [m.code for m in compare_init("Model", parameters, {"sizes": 1})] == ["misspelt-parameter"]
    assert [m.code for m in compare_init("Model", parameters, {})] == ["missing-parameter"]
