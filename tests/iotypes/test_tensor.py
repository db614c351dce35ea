"""Shapes, named dimensions, raw memory, and other dtypes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bentod.iotypes.parts import Tensor
from bentod.iotypes.special import ITEM_BYTES, TensorType
from bentod.iotypes.tensor import Dimensions, Misfit, array, converted, from_array, from_memory, rearranged, size

dtypes = st.sampled_from(sorted(ITEM_BYTES))
shapes = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)


def kind(*shape: int | str) -> TensorType:
    return TensorType("float32", shape)


def test_named_dimensions_agree_within_a_call():
    dimensions = Dimensions()
    dimensions.fit((3, 4), kind("n", 4), "/a")
    dimensions.fit((3,), kind("n"), "/b")
    with pytest.raises(Misfit, match=r"the dimension 'n' is 5 here, and 3 at /a"):
        dimensions.fit((5,), kind("n"), "/c")
    with pytest.raises(Misfit, match="the dimension 'm' is 1 and 2"):
        dimensions.fit((1, 2), kind("m", "m"), "/d")
    assert dimensions.bound == {"n": 3}


def test_the_answer_has_the_dimensions_of_the_input():
    dimensions = Dimensions({"n": 3})
    with pytest.raises(Misfit, match="the dimension 'n' is 2 here, and 3 in the input"):
        dimensions.fit((2,), kind("n"), "")
    dimensions.fit((3, 7), kind("n", "k"), "")
    with pytest.raises(Misfit, match="and 7 at the root"):
        dimensions.fit((6,), kind("k"), "/x")


def test_a_misfit_binds_nothing():
    dimensions = Dimensions({"b": 1})
    with pytest.raises(Misfit):
        dimensions.fit((5, 2), kind("a", "b"), "")
    assert dimensions.bound == {"b": 1}


@pytest.mark.parametrize(
    ("shape", "wanted"), [((2,), (3,)), ((2, 3), (2,)), ((1, 2), (1, 3)), ((0,), (1,)), ((1, 1, 1), (-1, "n"))]
)
def test_a_shape_that_does_not_fit(shape, wanted):
    with pytest.raises(Misfit, match="the shape is"):
        Dimensions().fit(shape, kind(*wanted), "")


@pytest.mark.parametrize("dtype", ["float8", "", None, ["float32"], "object", "<f4", {}, "float32 "])
def test_what_is_no_dtype(dtype):
    with pytest.raises(Misfit, match="no dtype"):
        size(dtype, [1])


@pytest.mark.parametrize("shape", [None, 1, "12", [-1], [1.0], [True], [None], [1] * 65, {"a": 1}, [[1]]])
def test_what_is_no_shape(shape):
    with pytest.raises(Misfit, match="a shape is"):
        size("float32", shape)


@pytest.mark.parametrize("shape", [[2**62], [0, 2**61], [2**31, 0, 2**31], [2**70]])
def test_no_shape_is_larger_than_memory_can_be(shape):
    with pytest.raises(Misfit, match="no tensor can have this shape"):
        size("float32", shape)


def test_memory_is_not_copied_and_must_be_as_long_as_the_shape_says():
    data = bytearray(16)
    tensor = from_memory("float32", [2, 2], data)
    assert tensor.data is data
    for wrong in (b"", bytes(15), bytes(17)):
        with pytest.raises(Misfit, match=rf"has 16 bytes, and here are {len(wrong)}"):
            from_memory("float32", [2, 2], wrong)


def test_a_bool_is_0_or_1():
    assert array(from_memory("bool", [2], b"\0\1")).tolist() == [False, True]
    with pytest.raises(Misfit, match="a bool is"):
        from_memory("bool", [2], memoryview(b"\0\2"))


@given(st.data(), dtypes, shapes)
def test_arrays_of_any_memory_order_become_tensors_and_arrays_again(data, dtype, shape):
    wanted = data.draw(hnp.arrays(dtype, shape))
    for twin in (
        wanted,
        wanted.astype(wanted.dtype.newbyteorder(">")),
        np.array(wanted, order="F"),
        np.stack([wanted, wanted], -1)[..., 0],
    ):
        tensor = from_array(dtype, twin)
        assert (tensor.dtype, tensor.shape, bytes(tensor.data)) == (dtype, shape, wanted.tobytes())
        assert array(tensor).tobytes() == wanted.tobytes()


@given(st.data(), dtypes, shapes, st.booleans(), st.booleans())
def test_memory_in_another_order_is_rearranged(data, dtype, shape, big, fortran):
    wanted = data.draw(hnp.arrays(dtype, shape))
    order = np.dtype(dtype).newbyteorder(">" if big else "<")
    memory = wanted.astype(order).tobytes("F" if fortran else "C")
    found = rearranged(dtype, shape, memory, big_endian=big, fortran=fortran)
    assert bytes(found.data) == wanted.tobytes()


@given(st.data(), dtypes, dtypes, shapes)
def test_a_conversion_keeps_every_value_or_is_refused(data, old, new, shape):
    values = data.draw(hnp.arrays(old, shape))
    tensor = from_array(old, values)
    try:
        found = array(converted(tensor, new))
    except Misfit:
        assert old != new
        return
    if np.dtype(new).kind in "iub":
        assert found.tolist() == values.tolist()
    else:
        with np.errstate(over="ignore"):
            assert np.array_equal(found, values.astype(new), equal_nan=True)
        assert np.array_equal(np.isfinite(found), np.isfinite(values))


@pytest.mark.parametrize(
    ("values", "new", "fits"),
    [
        (np.array([1, 127], "int64"), "int8", True),
        (np.array([1, 128], "int64"), "int8", False),
        (np.array([-1], "int8"), "uint64", False),
        (np.array([2**64 - 1], "uint64"), "int64", False),
        (np.array([], "int64"), "uint8", True),
        (np.array([0.1]), "float32", True),
        (np.array([1e39]), "float32", False),
        (np.array([np.inf, np.nan]), "float32", True),
        (np.array([70000], "int32"), "float16", False),
        (np.array([1.0]), "int64", False),
        (np.array([True]), "int64", False),
        (np.array([1]), "bool", False),
        (np.array([1.5]), "complex64", True),
        (np.array([1j]), "float64", False),
    ],
)
def test_which_conversions_there_are(values, new, fits):
    tensor = from_array(str(values.dtype), values)
    if fits:
        assert converted(tensor, new).dtype == new
    else:
        with pytest.raises(Misfit):
            converted(tensor, new)


def test_the_same_dtype_is_not_converted():
    tensor = Tensor("float32", (1,), bytes(4))
    assert converted(tensor, "float32") is tensor
