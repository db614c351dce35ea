""".npy files: what NumPy writes, and what it should not."""

from __future__ import annotations

import contextlib
import io
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.lib import format as npy_format

from bentod.codec import npy
from bentod.iotypes.special import ITEM_BYTES, TensorType
from bentod.iotypes.tensor import Misfit, from_array

dtypes = st.sampled_from(sorted(ITEM_BYTES))
shapes = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)


def saved(values: np.ndarray, version: tuple[int, int] = (1, 0)) -> bytes:
    file = io.BytesIO()
    npy_format.write_array(file, values, version=version, allow_pickle=False)
    return file.getvalue()


def kind(values: np.ndarray) -> TensorType:
    return TensorType(values.dtype.name, (-1,) * values.ndim)


def made(head: str, data: bytes = b"", magic: bytes = b"\x93NUMPY\x01\x00") -> bytes:
    return magic + struct.pack("<H", len(head)) + head.encode() + data


@given(
    st.data(),
    dtypes,
    shapes,
    st.sampled_from([(1, 0), (2, 0), (3, 0)]),
    st.booleans(),
    st.booleans(),
)
def test_what_numpy_writes_is_read(data, dtype, shape, version, big, fortran):
    values = data.draw(hnp.arrays(dtype, shape))
    twin = values.astype(values.dtype.newbyteorder(">")) if big else values
    body = saved(np.array(twin, order="F" if fortran else "C"), version)
    found = npy.decode(body, kind(values))
    assert (found.dtype, found.shape, bytes(found.data)) == (dtype, shape, values.tobytes())


@given(st.data(), dtypes, shapes)
def test_numpy_reads_what_is_written(data, dtype, shape):
    values = data.draw(hnp.arrays(dtype, shape))
    tensor = from_array(dtype, values)
    body = npy.head(tensor) + bytes(tensor.data)
    found = np.load(io.BytesIO(body), allow_pickle=False)
    assert (found.dtype, found.shape, found.tobytes()) == (values.dtype, shape, values.tobytes())
    assert (len(body) - len(bytes(tensor.data))) % 64 == 0


def test_the_data_is_not_copied():
    body = bytearray(saved(np.arange(4, dtype="int32")))
    found = npy.decode(body, TensorType("int32", (4,)))
    body[-4:] = b"\x07\0\0\0"
    assert bytes(found.data)[-4:] == b"\x07\0\0\0"


@pytest.mark.parametrize(
    "values",
    [
        pytest.param(np.array(["a"]), id="text"),
        pytest.param(np.array([b"a"]), id="bytes"),
        pytest.param(np.array(["2020-01-01"], "datetime64[D]"), id="date"),
        pytest.param(np.zeros(1, [("a", "int8")]), id="structured"),
        pytest.param(np.zeros(1, np.longdouble), id="long double"),
    ],
)
def test_other_dtypes_are_refused(values):
    with pytest.raises(Misfit, match="dtype"):
        npy.decode(saved(values), TensorType("int8", (-1,)))


def test_objects_are_refused_without_looking_at_them():
    body = made("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", b"cos\nsystem\n(S'false'\ntR.")
    with pytest.raises(Misfit, match="dtype"):
        npy.decode(body, TensorType("int8", (-1,)))


GOOD = "{'descr': '|i1', 'fortran_order': False, 'shape': (2,), }\n"


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\x93NUMPY", id="magic only"),
        pytest.param(b"\x93NUMPY\x01\x00\x76", id="half a length"),
        pytest.param(b"\x93NUMPZ\x01\x00" + made(GOOD, b"ab")[8:], id="other magic"),
        pytest.param(made(GOOD, b"ab", b"\x93NUMPY\x04\x00"), id="version 4"),
        pytest.param(made(GOOD, b"a"), id="cut off"),
        pytest.param(made(GOOD, b"abc"), id="goes on"),
        pytest.param(made(GOOD, b"ab")[:30], id="cut off in the head"),
        pytest.param(made(" " * 5000 + GOOD, b"ab"), id="long head"),
        pytest.param(made("", b"ab"), id="no head"),
        pytest.param(made("{}", b"ab"), id="empty head"),
        pytest.param(made(GOOD.replace("'shape': (2,), ", ""), b"ab"), id="no shape"),
        pytest.param(made(GOOD.replace("(2,)", "(2)"), b"ab"), id="a number as shape"),
        pytest.param(made(GOOD.replace("(2,)", "(-2,)"), b"ab"), id="negative"),
        pytest.param(made(GOOD.replace("(2,)", "(,)"), b"a"), id="a comma as shape"),
        pytest.param(made(GOOD.replace("(2,)", "(2.0,)"), b"ab"), id="fraction"),
        pytest.param(made(GOOD.replace("(2,)", "(1,2)"), b"ab"), id="other rank"),
        pytest.param(made(GOOD.replace("(2,)", "(0,)"), b""), id="other length"),
        pytest.param(made(GOOD.replace("(2,)", f"({2**63},)"), b"ab"), id="huge"),
        pytest.param(made(GOOD.replace("False", "0"), b"ab"), id="order as a number"),
        pytest.param(made(GOOD.replace("|i1", "<f4"), b"a" * 8), id="other dtype"),
        pytest.param(made(GOOD.replace("'|i1'", "[('a', '|i1')]"), b"ab"), id="structured"),
        pytest.param(made(GOOD.replace("'|i1'", "__import__('os')"), b"ab"), id="code"),
        pytest.param(made(GOOD.replace("}", ", 'x': 1}"), b"ab"), id="one more"),
        pytest.param(made(GOOD.replace("}", "'shape': (2,)}"), b"ab"), id="twice"),
    ],
)
def test_what_is_refused(body):
    with pytest.raises(Misfit):
        npy.decode(body, TensorType("int8", (2,)))


def test_other_writers_use_other_blanks_and_quotes():
    for head in (
        '{"shape":(2,),"fortran_order":False,"descr":"|i1"}',
        "{'descr': '<i1', 'fortran_order': False, 'shape': (2L,), }   \n",
        "{ 'descr' : '|i1' , 'fortran_order' : True , 'shape' : ( 2 , ) }",
    ):
        assert npy.decode(made(head, b"ab"), TensorType("int8", (2,))).shape == (2,)


@given(st.binary(max_size=80) | st.text("{}'(),:0123descrf_ot i1", max_size=80).map(lambda text: made(text, b"ab")))
def test_nothing_but_a_misfit_is_raised(body):
    with contextlib.suppress(Misfit):
        npy.decode(body, TensorType("int8", (-1,)))


def test_a_long_head_of_hostile_blanks_is_quick():
    for head in ("{" + " " * 4090 + "}", "{'shape': (" + "1, " * 1300 + "}", "{'shape':" + " (" * 2000 + "}"):
        with pytest.raises(Misfit):
            npy.decode(made(head), TensorType("int8", (-1,)))
