"""Nested lists become tensors exactly, or it is said what is wrong where."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bentod.iotypes.nested import from_lists
from bentod.iotypes.parts import Tensor
from bentod.iotypes.special import ITEM_BYTES, TensorType
from bentod.iotypes.tensor import Misfit, array

REAL = [dtype for dtype in ITEM_BYTES if not dtype.startswith("complex")]
shapes = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)


def free(dtype: str, rank: int) -> TensorType:
    return TensorType(dtype, (-1,) * rank)


@given(st.data(), st.sampled_from(REAL), shapes, st.booleans())
def test_what_numpy_writes_as_lists_is_read_exactly(data, dtype, shape, booleans):
    elements = {"allow_nan": False, "allow_infinity": False} if dtype.startswith("float") else {}
    wanted = data.draw(hnp.arrays(dtype, shape, elements=hnp.from_dtype(np.dtype(dtype), **elements)))
    found = from_lists(wanted.tolist(), TensorType(dtype, shape), booleans=booleans or dtype == "bool")
    assert found.shape == shape
    assert bytes(found.data) == wanted.tobytes()


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
@pytest.mark.parametrize("shape", [(), (1,), (3,), (2, 3), (0,), (2, 0), (0, 2)])
def test_complex_numbers_are_pairs(dtype, shape):
    wanted = (np.arange(math.prod(shape)) + 1.5j).reshape(shape).astype(dtype)
    pairs = np.stack([wanted.real, wanted.imag], -1).tolist()
    found = from_lists(pairs, TensorType(dtype, shape))
    assert array(found).tolist() == wanted.tolist()
    assert found.shape == shape


numbers = st.one_of(
    st.integers(-(2**63), 2**64 - 1),
    st.integers(-300, 300),
    st.floats(allow_nan=False, allow_infinity=False),
    st.integers(-300, 300).map(float),
    st.booleans(),
    st.none(),
    st.text(max_size=2),
    st.just([]),
    st.just({}),
)


def expected(dtype: str, value: object) -> object:
    """The slow truth about one number; None if it is none of the dtype."""
    if dtype == "bool":
        return value if type(value) is bool else None
    if type(value) not in (int, float):
        return None
    if "int" in dtype:
        limits = np.iinfo(dtype)
        return int(value) if float(value).is_integer() and limits.min <= value <= limits.max else None
    with np.errstate(over="ignore"):
        short = np.dtype(dtype).type(value)
    return float(short) if np.isfinite(short) else None


@given(st.sampled_from(REAL), st.lists(numbers, min_size=1, max_size=4))
def test_each_number_fits_or_its_place_is_told(dtype, values):
    wanted = [expected(dtype, value) for value in values]
    if None not in wanted:
        assert array(from_lists(values, free(dtype, 1))).tolist() == wanted
        return
    with pytest.raises(Misfit) as raised:
        from_lists(values, free(dtype, 1))
    assert raised.value.path == (wanted.index(None),)


values = st.recursive(numbers, lambda inner: st.lists(inner, max_size=4), max_leaves=12)


@given(st.sampled_from(sorted(ITEM_BYTES)), st.integers(0, 3), values)
def test_nothing_but_a_misfit_is_raised(dtype, rank, value):
    try:
        found = from_lists(value, free(dtype, rank))
    except Misfit as error:
        for step in error.path:
            value = value[step]
    else:
        assert len(found.shape) == rank


@pytest.mark.parametrize(
    ("value", "kind", "text", "path"),
    [
        pytest.param([1, 2], TensorType("int8", (3,)), r"the shape is \[2\], wanted \[3\]", (), id="length"),
        pytest.param([[1], [2]], TensorType("int8", (2,)), "a list is no whole number", (0,), id="too deep"),
        pytest.param([1, 2], TensorType("int8", (2, 1)), "no list", (0,), id="too flat"),
        pytest.param([[1, 2], [3]], free("int8", 2), "has 1 entries, and the first one here has 2", (1,), id="ragged"),
        pytest.param([[1, 2], 3], free("int8", 2), "3 is no list", (1,), id="a number among lists"),
        pytest.param([[], [1]], free("int8", 2), "has 1 entries", (1,), id="ragged with an empty one"),
        pytest.param([[1], {"a": 1}], free("int8", 2), "an object is no list", (1,), id="object"),
        pytest.param([[1], "a"], free("int8", 2), "a string is no list", (1,), id="string"),
        pytest.param([[1], b"a"], free("int8", 2), "no list", (1,), id="bytes"),
        pytest.param([1, None], free("float64", 1), "null is no number", (1,), id="null"),
        pytest.param([1.0, True], free("float64", 1), "true is no number", (1,), id="boolean"),
        pytest.param([True, 1], free("bool", 1), "1 is neither true nor false", (1,), id="number as boolean"),
        pytest.param([1, 128], free("int8", 1), "128 does not fit in int8", (1,), id="range"),
        pytest.param([2**64 - 1], free("int64", 1), "does not fit in int64", (0,), id="64 bits"),
        pytest.param([-1], free("uint64", 1), "-1 does not fit in uint64", (0,), id="sign"),
        pytest.param([1.5], free("int64", 1), "1.5 is no whole number", (0,), id="fraction"),
        pytest.param([1, 65520.0], free("float16", 1), "too large for float16", (1,), id="float16"),
        pytest.param([1, 1e39], free("float32", 1), "too large for float32", (1,), id="float32"),
        pytest.param([10**400], free("float64", 1), "a huge number is too large", (0,), id="float64"),
        pytest.param([[1, 2, 3]], free("complex64", 1), "no complex number", (0,), id="no pair"),
        pytest.param([[1, "2"]], free("complex64", 1), "a string is no number", (0, 1), id="in a pair"),
        pytest.param("1", free("float32", 0), "a string is no number", (), id="scalar"),
    ],
)
def test_what_is_wrong_and_where(value, kind, text, path):
    with pytest.raises(Misfit, match=text) as raised:
        from_lists(value, kind)
    assert raised.value.path == path


def test_64_bits_are_exact():
    for dtype in ("int64", "uint64"):
        limits = np.iinfo(dtype)
        wanted = [int(limits.min), int(limits.max), 2**53 + 1]
        assert array(from_lists(wanted, free(dtype, 1))).tolist() == wanted
        assert array(from_lists([*wanted, 1.0], free(dtype, 1))).tolist() == [*wanted, 1]


@pytest.mark.parametrize(
    ("value", "shape", "wanted"),
    [([], (-1, 4), (0, 4)), ([], (0, "n"), (0, -1)), ([[], []], (2, -1), (2, 0)), ([], (-1,), (0,))],
)
def test_an_empty_list_says_nothing_of_what_is_below(value, shape, wanted):
    assert from_lists(value, TensorType("float32", shape)) == Tensor("float32", wanted, b"")


def test_a_long_string_among_numbers_costs_nothing():
    value = ["x" * 1_000_000, *range(1_000_000)]  # as an array of strings: four terabytes
    with pytest.raises(Misfit, match="a string is no number"):
        from_lists(value, free("float32", 1))


def test_the_one_that_is_wrong_among_many_is_found():
    many: list = [[1.0, 2]] * 50_000
    for index, row in ((0, 0), (25_000, 1), (49_999, 1)):
        value = [list(pair) for pair in many]
        value[index][row] = None
        with pytest.raises(Misfit, match="null") as raised:
            from_lists(value, free("int32", 2))
        assert raised.value.path == (index, row)


def test_byte_order_is_little_endian():
    assert from_lists([1, 258], free("uint16", 1)).data == b"\x01\x00\x02\x01"
