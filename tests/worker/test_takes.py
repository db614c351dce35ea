"""How calls become arguments, and answers become the calls' again: pure shaping."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentod.iotypes.parts import Tensor
from bentod.worker.parts import Unreadable
from bentod.worker.takes import (
    COLUMNS,
    ITEMS,
    PARTS,
    PLAIN,
    ROWS,
    VIEWS,
    Miscounted,
    arguments,
    failure_in,
    rows_in,
    split,
)


class Arraylike:
    """Has nothing of an array but its conversion."""

    def __init__(self, values):
        self.values = values

    def __array__(self, dtype=None, copy=None):
        return np.array(self.values, dtype=dtype)


# ── arguments ────────────────────────────────────────────────────────────────────────────────────


def test_columns_are_lists_by_name():
    assert arguments(COLUMNS, [{"a": 1, "b": [1]}, {"b": [2], "a": 2}], named=True) == (
        (),
        {"a": [1, 2], "b": [[1], [2]]},
    )
    assert arguments(COLUMNS, [1, "x"], named=False) == (([1, "x"],), {})
    assert arguments(COLUMNS, [{}, {}], named=True) == ((), {})


def test_items_are_one_list():
    given_ = [{"a": 1}, {"b": np.zeros(2)}]
    ((found,), named) = arguments(ITEMS, given_, named=False)
    assert found == given_
    assert named == {}


def test_tensors_are_stacked_on_a_new_axis():
    values = [np.full((2, 3), number, np.float32) for number in range(4)]
    _, named = arguments(COLUMNS, [{"x": value, "k": 1} for value in values], named=True)
    assert named["x"].shape == (4, 2, 3)
    assert named["x"].dtype == np.float32
    assert [block[0, 0] for block in named["x"]] == [0, 1, 2, 3]
    assert named["k"] == [1, 1, 1, 1]


def test_tensors_that_are_not_all_there_stay_a_list():
    values = [np.zeros(2), None, np.ones(2)]
    ((found,), _) = arguments(COLUMNS, values, named=False)
    assert type(found) is list
    assert [one is other for one, other in zip(found, values, strict=True)] == [True] * 3


@pytest.mark.parametrize("takes", [COLUMNS, ROWS])
def test_a_batch_of_one_copies_nothing(takes):
    value = np.arange(6).reshape(3, 2)
    ((found,), _) = arguments(takes, [value], named=False)
    assert np.shares_memory(found, value)
    assert found.shape == ((1, 3, 2) if takes == COLUMNS else (3, 2))
    rows = [1, 2]
    assert arguments(ROWS, [{"x": rows}], named=True)[1]["x"] is rows


def test_rows_are_concatenated_and_other_values_are_as_they_are():
    calls = [
        {"x": np.ones((2, 3)), "names": ["a", "b"], "k": 5},
        {"x": np.zeros((0, 3)), "names": [], "k": 5},
        {"x": np.zeros((1, 3)), "names": ["c"], "k": 5},
    ]
    _, named = arguments(ROWS, calls, named=True)
    assert named["x"].tolist() == [[1, 1, 1], [1, 1, 1], [0, 0, 0]]
    assert (named["names"], named["k"]) == (["a", "b", "c"], 5)
    assert [rows_in(call, named=True) for call in calls] == [2, 0, 1]


def test_a_tensor_without_dimensions_is_no_rows():
    calls = [{"x": [1], "scale": np.array(2.0)}, {"x": [2, 3], "scale": np.array(2.0)}]
    _, named = arguments(ROWS, calls, named=True)
    assert (named["x"], named["scale"]) == ([1, 2, 3], 2.0)


@pytest.mark.parametrize(
    ("argument", "named", "rows"),
    [
        ({"x": [1, 2], "s": "text", "b": b"bytes", "n": None}, True, 2),
        ({"s": "text"}, True, 0),
        ({}, True, 0),
        ([1, 2, 3], False, 3),
        (np.zeros((4, 2)), False, 4),
        (np.array(1), False, 0),
        ({"x": [1]}, False, 0),
        (5, False, 0),
    ],
)
def test_how_many_rows_a_call_brings(argument, named, rows):
    assert rows_in(argument, named=named) == rows


def test_arrays_of_one_call_must_agree():
    with pytest.raises(Unreadable) as caught:
        rows_in({"a": [1, 2], "b": "x", "c/d": np.zeros((3, 1))}, named=True)
    assert caught.value.pointer == "/c~1d"
    assert caught.value.detail == "3 rows, and 2 in 'a'"


@pytest.mark.parametrize(
    ("takes", "calls"),
    [
        (COLUMNS, [{"a": 1}, {"a": 1, "b": 2}]),
        (COLUMNS, [{"a": 1}, {"b": 2}]),
        (COLUMNS, [{"a": np.zeros(2)}, {"a": np.zeros(3)}]),
        (ROWS, [{"a": [1]}, {"a": 2}]),
        (ROWS, [{"a": np.zeros((1, 2))}, {"a": np.zeros((1, 3))}]),
    ],
)
def test_calls_that_cannot_share_a_batch(takes, calls):
    with pytest.raises(ValueError):  # noqa: PT011 - NumPy's texts are its own
        arguments(takes, calls, named=True)


# ── answers ──────────────────────────────────────────────────────────────────────────────────────

ARRAYS = st.builds(
    lambda count, inner, dtype: np.arange(count * int(np.prod(inner))).reshape(count, *inner).astype(dtype),
    st.integers(1, 9),
    st.lists(st.integers(0, 3), max_size=2),
    st.sampled_from(["float32", "int64", "uint8", "bool", "float16", "complex64"]),
)


@given(st.lists(st.integers(), min_size=1, max_size=40), st.sampled_from([list, tuple]))
def test_answers_go_back_in_order(values, kind):
    for takes in (COLUMNS, ITEMS):
        assert split(takes, kind(values), len(values), []) == values


def value_of(part):
    """What the gateway will see."""
    if isinstance(part, Tensor):
        return np.frombuffer(part.data, part.dtype).reshape(part.shape)
    return np.asarray(part)


@given(ARRAYS, st.sampled_from([PLAIN, PARTS, VIEWS]))
def test_arrays_go_back_in_order(array, form):
    answers = split(COLUMNS, array, len(array), [], form)
    assert len(answers) == len(array)
    for answer, wanted in zip(answers, array, strict=True):
        found = value_of(answer)
        assert found.shape == wanted.shape or (form == PLAIN and not found.size)
        assert found.tolist() == wanted.tolist()


@given(st.lists(st.integers(0, 5), min_size=1, max_size=8), st.data())
def test_rows_go_back_to_whom_they_belong(rows, data):
    """Each row says whose it is."""
    owners = [owner for owner, count in enumerate(rows) for _ in range(count)]
    form = data.draw(st.sampled_from([PLAIN, PARTS, VIEWS]))
    array = np.array([[owner, 7] for owner in owners], np.int32).reshape(len(owners), 2)
    answers = [
        split(ROWS, owners, len(rows), rows, form),
        split(ROWS, tuple(owners), len(rows), rows, form),
        split(ROWS, array, len(rows), rows, form),
        split(ROWS, {"a": owners, "b": array, "c": "all"}, len(rows), rows, form),
    ]
    for owner, (plain, pair, tensor, both) in enumerate(zip(*answers, strict=True)):
        assert list(plain) == list(pair) == both["a"] == [owner] * rows[owner]
        for found in (tensor, both["b"]):
            assert value_of(found).tolist() == [[owner, 7]] * rows[owner]
        assert both["c"] == "all"


def test_tensors_of_answers_are_not_copied():
    array = np.arange(12, dtype=np.float32).reshape(4, 3)
    for answers in (split(COLUMNS, array, 4, [], PARTS), split(ROWS, array, 2, [1, 3], PARTS)):
        assert all(np.shares_memory(np.frombuffer(answer.data, np.float32), array) for answer in answers)
    assert all(np.shares_memory(answer, array) for answer in split(COLUMNS, array, 4, [], VIEWS))


def test_numbers_of_an_array_are_plain_numbers():
    for form in (PLAIN, PARTS, VIEWS):
        assert [type(value) for value in split(COLUMNS, np.array([1.5, 2], np.float32), 2, [], form)] == [float] * 2
    assert split(COLUMNS, Arraylike([[1, 2], [3, 4]]), 2, [], PLAIN) == [[1, 2], [3, 4]]


def test_arrays_that_no_tensor_can_be_are_views():
    objects = np.array([[None, "x"], [1, 2]], object)
    assert [list(one) for one in split(COLUMNS, objects, 2, [], PARTS)] == [[None, "x"], [1, 2]]
    assert [one.tolist() for one in split(ROWS, objects, 2, [1, 1], PARTS)] == [[[None, "x"]], [[1, 2]]]


WRONG = [
    None,
    "abc",
    b"abc",
    5,
    {1: 1, 2: 2, 3: 3},
    {1, 2, 3},
    (x for x in "abc"),
    range(3),
    np.array(3),
    np.str_("abc"),
]


@pytest.mark.parametrize("value", [*WRONG, [], [1, 2], (1, 2, 3, 4), np.zeros(2), np.zeros((4, 3)), Arraylike(3)])
@pytest.mark.parametrize("takes", [COLUMNS, ITEMS, ROWS])
@pytest.mark.parametrize("form", [PLAIN, PARTS, VIEWS])
def test_a_wrong_number_of_answers_is_never_guessed(value, takes, form):
    if takes == ROWS and isinstance(value, dict):
        value = {"ok": [1, 2, 3], "wrong": [1, 2]}
    with pytest.raises(Miscounted):
        split(takes, value, 2 if takes == ROWS else 3, [1, 2], form)


def test_the_log_says_what_came_and_what_was_expected():
    said = {
        "the callable got 3 calls and returned 2 answers": lambda: split(COLUMNS, [1, 2], 3, []),
        "the callable got 3 rows and returned 4 answers": lambda: split(ROWS, np.zeros((4, 2)), 2, [1, 2]),
        "the callable got 3 rows and returned 1 answer in 'x'": lambda: split(ROWS, {"x": (1,)}, 2, [1, 2]),
        "the callable got 1 call and returned None instead of a list of answers": lambda: split(ITEMS, None, 1, []),
        "the callable got 1 call and returned a value of type dict instead of a list of answers": lambda: split(
            ITEMS, {}, 1, []
        ),
    }
    for text, act in said.items():
        with pytest.raises(Miscounted) as caught:
            act()
        assert str(caught.value) == text


def test_exceptions_among_the_answers():
    error = ValueError()
    assert failure_in(COLUMNS, error) is error
    assert failure_in(COLUMNS, [error]) is None
    assert failure_in(ROWS, [1, error]) is error
    assert failure_in(ROWS, {"a": np.zeros(2), "b": (1, error)}) is error
    assert failure_in(ROWS, {"a": error}) is None
    assert failure_in(ROWS, np.zeros(3)) is None
