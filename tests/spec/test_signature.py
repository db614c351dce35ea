"""What an API passes, against what its callable takes."""

import pytest

from bentod.spec.signature import Manner, compare, compare_init
from bentod.wire.orders import Method, Parameter
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


def test_a_reference_inside_the_schema_is_followed_too():
    schema = {"$ref": "#/$defs/In", "$defs": {"In": NAMED}}
    assert misfits(lambda a, b=1: 0, schema) == []
    assert [code for _, code in misfits(lambda a, b: 0, schema)] == ["optional-parameter"]


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


X = (Parameter("x", "POSITIONAL_OR_KEYWORD", True),)


@pytest.mark.parametrize("style", ["generator", "async generator"])
def test_a_generator_is_for_streams(style):
    assert compare(Method("f", style, X), True, {}, Manner("sse")) == []
    [misfit] = compare(Method("f", style, X), True, {})
    assert (misfit.path, misfit.code) == ((), "missing-stream")
    assert "add `stream: sse`" in misfit.hint


@pytest.mark.parametrize("style", ["sync", "async"])
def test_a_stream_needs_a_generator(style):
    [misfit] = compare(Method("f", style, X), True, {}, Manner("raw"))
    assert (misfit.path, misfit.code) == (("stream",), "no-generator")
    assert misfit.message == "`stream: raw` needs a generator, and `f` is none"


def test_what_has_no_signature_may_return_a_generator():
    assert compare(Method("f", "sync", None), True, {}, Manner("sse")) == []


def test_a_generator_that_does_not_fit_is_two_mistakes():
    assert [m.code for m in compare(Method("f", "generator", ()), True, {})] == ["missing-stream", "parameter-count"]


@pytest.mark.parametrize(
    ("manner", "path"),
    [
        (Manner(takes="columns"), ("takes",)),
        (Manner(takes="items", batching=True), ("takes",)),
        (Manner(batching=True), ("batching",)),
    ],
)
def test_a_generator_answers_one_call(manner, path):
    [misfit] = compare(Method("f", "generator", X), True, {}, manner)
    assert (misfit.path, misfit.code) == (path, "conflict")


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda calls: 0, []),
        (lambda calls, context: 0, []),
        (lambda calls, /, size=1: 0, []),
        (lambda *calls: 0, []),
        (lambda a, b: 0, [(("takes",), "parameter-count")]),
        (lambda context: 0, [(("takes",), "parameter-count")]),
        (lambda **values: 0, [(("takes",), "parameter-count")]),
        (lambda calls, *, b: 0, [(("takes",), "missing-parameter")]),
    ],
)
def test_items_are_one_list_and_objects_are_not_spread(function, expected):
    found = compare(describe("f", function), NAMED, {}, Manner(takes="items"))
    assert [(m.path, m.code) for m in found] == expected
    assert {m.hint for m in found} <= {
        "give it one parameter, the list of the calls' values, or choose `takes: columns`"
    }


@pytest.mark.parametrize("takes", ["columns", "rows"])
def test_columns_and_rows_are_passed_as_one_call_is(takes):
    manner = Manner(takes=takes, batching=True)
    assert compare(describe("f", lambda a, b=1, context=None: 0), NAMED, {}, manner) == []
    assert [m.code for m in compare(describe("f", lambda values: 0), NAMED, {}, manner)] == [
        "extra-parameter",
        "extra-parameter",
        "missing-parameter",
    ]
    assert compare(describe("f", lambda values: 0), True, {}, manner) == []


def test_what_has_no_signature_is_left_alone():
    assert compare(Method("f", "sync", None), NAMED, {}) == []


def test_init_is_passed_by_name():
    class Model:
        def __init__(self, size, depth=1, context=None): ...

    parameters = describe("Model", Model).parameters
    assert compare_init("Model", parameters, {"size": 1}) == []
    assert [m.code for m in compare_init("Model", parameters, {"sizes": 1})] == ["misspelt-parameter"]
    assert [m.code for m in compare_init("Model", parameters, {})] == ["missing-parameter"]
