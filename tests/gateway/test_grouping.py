"""Which calls may share a batch, and what they weigh."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentod.errors import InvalidInput
from bentod.gateway.grouping import Grouping
from bentod.iotypes.parts import Blob, Picture, Stored, Tensor


def tensor(*shape, dtype="float32"):
    return {"type": "array", "format": "tensor", "dtype": dtype, "shape": list(shape)}


def filled(*shape, fill=0, dtype="uint8"):
    count = 1
    for length in shape:
        count *= length
    return Tensor(dtype, tuple(shape), bytes([fill]) * count)


def objects(required=(), **properties):
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


ARRAY = {"type": "array"}
ANY = Grouping("rows", 100, objects(x=ARRAY, y=ARRAY, z=True), {})


def same(grouping, left, right):
    """Whether two calls are of one group."""
    return grouping.place(left)[0] == grouping.place(right)[0]


# ── what needs no look ───────────────────────────────────────────────────────────────────────────

FIXED = objects(["a", "b"], a=tensor(2, 3), b={"type": "string"})


@pytest.mark.parametrize(
    ("takes", "max_size", "schema", "trivial"),
    [
        pytest.param("item", 32, objects(a=tensor(-1)), True, id="one call at a time"),
        pytest.param("columns", 0, objects(a=tensor(-1)), True, id="not batched"),
        pytest.param("columns", 32, FIXED, True, id="every property of one shape"),
        pytest.param("columns", 32, {"$ref": "#/types/Fixed"}, True, id="a type"),
        pytest.param("columns", 32, True, True, id="anything by position"),
        pytest.param("columns", 32, {"type": "object"}, True, id="objects by position"),
        pytest.param("columns", 32, tensor(3), True, id="tensor of one shape"),
        pytest.param("items", 32, FIXED, True, id="items of one form"),
        pytest.param("columns", 32, tensor(-1, 3), False, id="tensor of any length"),
        pytest.param("columns", 32, tensor("n", 3), False, id="tensor of a length with a name"),
        pytest.param("columns", 32, tensor(3) | {"type": ["array", "null"]}, False, id="tensor or null"),
        pytest.param("columns", 32, objects(["a"], a=tensor(-1)), False, id="property of any length"),
        pytest.param("columns", 32, objects(["a"], a=True, b=True), False, id="optional property"),
        pytest.param("columns", 32, FIXED | {"additionalProperties": True}, False, id="other properties"),
        pytest.param("columns", 32, FIXED | {"patternProperties": {"^x": {}}}, False, id="properties by pattern"),
        pytest.param("rows", 0, tensor(-1), False, id="rows"),
    ],
)
def test_most_apis_have_one_group(takes, max_size, schema, trivial):
    grouping = Grouping(takes, max_size, schema, {"Fixed": FIXED})
    assert grouping.trivial is trivial
    if trivial:
        assert grouping.place({"a": 1}) == (None, 1)


def test_undeclared_properties_that_do_not_reach_the_callable_make_no_groups():
    schema = {"properties": {"a": {}}, "required": ["a"]}
    assert Grouping("columns", 32, schema, {}, closed=True).trivial
    assert not Grouping("columns", 32, schema, {}).trivial


def test_lists_of_values_take_anything():
    assert Grouping("items", 32, {"properties": {"a": tensor(-1)}}, {}).trivial


# ── columns ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("left", "right", "together"),
    [
        pytest.param({"a": 1, "b": 2}, {"b": "x", "a": None}, True, id="names in any order, values of any kind"),
        pytest.param({"a": 1}, {"a": 1, "b": 2}, False, id="another name"),
        pytest.param({"a": filled(2, 3)}, {"a": filled(2, 3, fill=1)}, True, id="one shape"),
        pytest.param({"a": filled(2, 3)}, {"a": filled(3, 2)}, False, id="another shape"),
        pytest.param({"a": filled(2)}, {"a": filled(2, dtype="int8")}, False, id="another dtype"),
        pytest.param({"a": filled(2)}, {"a": None}, False, id="null and a tensor"),
        pytest.param({"a": None}, {"a": None}, True, id="null twice"),
        pytest.param({"a": [filled(2)]}, {"a": [filled(3)]}, True, id="tensors in lists are not stacked"),
    ],
)
def test_calls_go_together_if_their_arguments_can_be_stacked(left, right, together):
    schema = {"properties": {"a": tensor(-1, -1), "b": True}}
    assert same(Grouping("columns", 32, schema, {}), left, right) is together


def test_a_positional_tensor_has_a_group_for_its_shape():
    grouping = Grouping("columns", 32, tensor(-1), {})
    assert same(grouping, filled(2), filled(2, fill=7))
    assert not same(grouping, filled(2), filled(3))


def test_what_is_no_object_although_it_may_have_properties_is_one_item():
    grouping = Grouping("columns", 32, {"properties": {"a": {}}}, {})
    assert grouping.place([1]) == (None, 1)


# ── rows ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("value", "weight"),
    [
        pytest.param({"x": [1, 2, 3]}, 3, id="list"),
        pytest.param({"x": [1, 2], "y": filled(2, 9), "z": "text"}, 2, id="list, tensor and text"),
        pytest.param({"x": filled(5), "z": filled()}, 5, id="a tensor without dimensions is no row"),
        pytest.param({"x": []}, 1, id="no rows"),
        pytest.param({"x": [None] * 100}, 100, id="as many as there may be"),
    ],
)
def test_a_call_weighs_its_rows(value, weight):
    assert ANY.place(value)[1] == weight


@pytest.mark.parametrize(
    ("left", "right", "together"),
    [
        pytest.param({"x": [1]}, {"x": ["a", "b"]}, True, id="rows may differ"),
        pytest.param({"x": [1], "z": 1}, {"z": 1, "x": [1, 2]}, True, id="equal values"),
        pytest.param({"x": [1], "z": 1}, {"x": [1], "z": 1.0}, False, id="1 and 1.0"),
        pytest.param({"x": [1], "z": 1}, {"x": [1], "z": True}, False, id="1 and true"),
        pytest.param({"x": [1], "z": 0}, {"x": [1], "z": None}, False, id="0 and null"),
        pytest.param({"x": [1], "z": "1"}, {"x": [1], "z": 1}, False, id="1 and its text"),
        pytest.param({"x": [1], "z": None}, {"x": [1]}, False, id="null and nothing"),
        pytest.param({"x": [1], "y": [1]}, {"x": [1]}, False, id="rows and nothing"),
        pytest.param({"x": [1], "z": [1]}, {"x": [1], "z": 1}, False, id="rows and a value"),
        pytest.param(
            {"x": [1], "z": {"a": 1, "b": [2]}}, {"x": [1], "z": {"b": [2], "a": 1}}, True, id="order of names"
        ),
        pytest.param({"x": filled(1, 4)}, {"x": filled(9, 4)}, True, id="tensors of equal rows"),
        pytest.param({"x": filled(1, 4)}, {"x": filled(1, 5)}, False, id="tensors of longer rows"),
        pytest.param({"x": filled(1, 4)}, {"x": filled(1, 4, dtype="int8")}, False, id="tensors of other rows"),
        pytest.param({"x": filled(1)}, {"x": [1]}, False, id="tensor and list"),
        pytest.param({"x": [1], "z": "a" * 999}, {"x": [1], "z": "a" * 999}, True, id="long text"),
        pytest.param({"x": [1], "z": "a" * 999}, {"x": [1], "z": "a" * 998 + "b"}, False, id="other long text"),
        pytest.param({"x": [1], "z": filled(fill=1)}, {"x": [1], "z": filled(fill=1)}, True, id="equal scalars"),
        pytest.param({"x": [1], "z": filled(fill=1)}, {"x": [1], "z": filled(fill=2)}, False, id="other scalars"),
        pytest.param({"x": [1], "z": Blob(b"a")}, {"x": [1], "z": Blob(bytearray(b"a"))}, True, id="equal bytes"),
        pytest.param({"x": [1], "z": Blob(b"a")}, {"x": [1], "z": Blob(b"b")}, False, id="other bytes"),
        pytest.param(
            {"x": [1], "z": Picture("a/b", b"c")}, {"x": [1], "z": Picture("a/b", b"c", "/z")}, True, id="picture"
        ),
        pytest.param(
            {"x": [1], "z": Picture("a/b", b"c")}, {"x": [1], "z": Picture("a/d", b"c")}, False, id="other type"
        ),
        pytest.param({"x": [1], "z": Stored("/a/1")}, {"x": [1], "z": Stored("/a/2")}, False, id="files"),
    ],
)
def test_rows_go_together_if_all_else_is_equal(left, right, together):
    assert same(ANY, left, right) is together


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.sampled_from([0.0, 1.0, -1.0, 1e300])
    | st.text("ab", max_size=70),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=2), inner, max_size=3),
    max_leaves=6,
)


def identity(value):
    """What two values have in common that are equal and of equal types."""
    match value:
        case dict():
            return "object", frozenset((name, identity(item)) for name, item in value.items())
        case list():
            return "array", tuple(map(identity, value))
        case _:
            return type(value), value


@given(JSON, JSON)
def test_values_are_equal_if_their_json_and_their_types_are(left, right):
    found = same(ANY, {"x": [1], "z": {"in": left}}, {"x": [1], "z": {"in": right}})
    assert found == (identity(left) == identity(right))


def test_a_key_is_never_long():
    group, _ = ANY.place({"x": [1], "z": {"a": "b" * 100_000}})
    assert len(group[1]) == 32


def test_a_positional_array_is_the_rows():
    tensors, lists = Grouping("rows", 8, tensor(-1, 2), {}), Grouping("rows", 8, {"type": "array"}, {})
    assert tensors.place(filled(3, 2))[1] == lists.place([1, 2, 3])[1] == 3
    assert same(tensors, filled(3, 2), filled(1, 2))
    assert same(lists, [1], ["a", "b"])


def pointers(grouping, value):
    with pytest.raises(InvalidInput) as caught:
        grouping.place(value)
    return [(error.pointer, error.detail) for error in caught.value.errors]


def test_rows_of_one_call_are_equally_long_batched_or_not():
    value = {"x": [1, 2], "y": [1], "z": filled(3, 4)}
    wanted = [("/y", "1 row here, and 2 rows in 'x'"), ("/z", "3 rows here, and 2 rows in 'x'")]
    assert pointers(ANY, value) == wanted
    assert pointers(Grouping("rows", 0, objects(x=ARRAY, y=ARRAY, z=True), {}), value) == wanted


def test_a_pointer_is_escaped():
    [(pointer, _)] = pointers(ANY, {"x": [1], "a/b": []})
    assert pointer == "/a~1b"


def test_more_rows_than_a_batch_takes_are_too_many():
    grouping = Grouping("rows", 2, objects(x=ARRAY), {})
    assert grouping.place({"x": [1, 2]})[1] == 2
    assert pointers(grouping, {"x": [1, 2, 3]}) == [("/x", "3 rows, and 2 are the most")]
    assert pointers(Grouping("rows", 2, ARRAY, {}), [1, 2, 3]) == [("", "3 rows, and 2 are the most")]


def test_without_batching_there_may_be_any_number_of_rows_and_no_group():
    grouping = Grouping("rows", 0, objects(x=ARRAY, z=True), {})
    assert grouping.place({"x": [0] * 1000, "z": 1}) == (None, 1000)


@pytest.mark.parametrize("value", [{}, {"z": 1}, {"x": None}, {"x": filled()}])
def test_a_call_without_an_array_has_no_rows(value):
    assert pointers(ANY, value) == [("", "one array at least is needed, and its entries are the rows")]


@pytest.mark.parametrize("value", [None, 3, {"x": [1]}])
def test_a_positional_value_that_is_no_array_has_no_rows(value):
    assert len(pointers(Grouping("rows", 8, {"type": ["array", "object", "null", "integer"]}, {}), value)) == 1
