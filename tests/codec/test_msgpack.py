"""Strict MessagePack with tensors."""

from __future__ import annotations

import contextlib
import math
import re
import struct
import time

import msgpack as library
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bentod.codec import msgpack
from bentod.codec.json import MAX_DEPTH
from bentod.codec.places import MOST_PLACES
from bentod.errors import BodyTooLarge, MalformedBody, OutputUnserializable
from bentod.iotypes.layout import layout
from bentod.iotypes.parts import Blob, Picture, Stored, Tensor
from bentod.iotypes.special import ITEM_BYTES

names = st.text(max_size=40)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=300)
    | st.binary(max_size=300)
)


@st.composite
def tensors(draw: st.DrawFn) -> Tensor:
    dtype = draw(st.sampled_from(sorted(ITEM_BYTES)))
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))
    count = math.prod(shape) * ITEM_BYTES[dtype]
    data = draw(st.binary(min_size=count, max_size=count))
    return Tensor(dtype, shape, bytes(byte & 1 for byte in data) if dtype == "bool" else data)


values = st.recursive(
    scalars | tensors(),
    lambda inner: st.lists(inner, max_size=20) | st.dictionaries(names, inner, max_size=20),
    max_leaves=30,
)


def extension(tensor: Tensor) -> library.ExtType:
    return library.ExtType(1, library.packb([tensor.dtype, tensor.shape]) + bytes(tensor.data))


def packed(value: object) -> bytes:
    return library.packb(value, default=extension)


@given(values)
def test_any_value_is_read_unchanged(value):
    for body in (packed(value), bytearray(packed(value)), memoryview(packed(value))):
        assert msgpack.decode(body) == value


ANY = layout({"additionalProperties": {"type": "string", "format": "binary"}}, {})


@given(st.dictionaries(names, tensors() | st.binary(max_size=300), max_size=5))
def test_what_is_written_is_read_unchanged(value):
    pieces = msgpack.encode({name: Blob(x) if isinstance(x, bytes) else x for name, x in value.items()}, ANY)
    assert msgpack.decode(b"".join(pieces)) == value
    assert library.unpackb(b"".join(pieces), ext_hook=lambda code, data: (code, data)).keys() == value.keys()


def test_large_parts_are_not_copied():
    data = bytes(70_000)
    pieces = msgpack.encode({"a": Blob(data), "b": Picture("image/png", data)}, ANY)
    assert [piece is data for piece in pieces].count(True) == 2
    assert msgpack.decode(b"".join(pieces)) == {"a": data, "b": data}
    tensor = Tensor("uint8", (70_000,), data)
    body = b"".join(msgpack.encode(tensor, layout({"format": "tensor", "dtype": "uint8", "shape": [-1]}, {})))
    assert msgpack.decode(body) == tensor
    assert msgpack.decode(body).data.obj is body


def test_a_file_is_read_when_it_is_written(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert msgpack.decode(b"".join(msgpack.encode({"a": Stored(str(tmp_path / "a"))}, ANY))) == {"a": b"abc"}
    with pytest.raises(OutputUnserializable) as raised:
        msgpack.encode({"a": Stored(str(tmp_path / "b"))}, ANY)
    assert raised.value.detail == ""
    assert "cannot be read" in raised.value.log


def tensor_body(head: object, data: bytes = b"") -> bytes:
    return library.packb([library.ExtType(1, library.packb(head) + data)])


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\x01\x01", id="two values"),
        pytest.param(b"\xc1", id="the byte that is nothing"),
        pytest.param(b"\x92\x01", id="cut off list"),
        pytest.param(b"\xcb\x00", id="cut off number"),
        pytest.param(b"\xa5abc", id="cut off text"),
        pytest.param(b"\xdb\xff\xff\xff\xffabc", id="cut off long text"),
        pytest.param(b"\xc6\xff\xff\xff\xffabc", id="cut off bytes"),
        pytest.param(b"\xdd\xff\xff\xff\xff", id="four thousand million entries"),
        pytest.param(b"\xdf\xff\xff\xff\xff", id="four thousand million names"),
        pytest.param(b"\xa1\xff", id="not UTF-8"),
        pytest.param(b"\xa3\xed\xa0\x80", id="surrogate"),
        pytest.param(b"\x81\x01\x01", id="number as name"),
        pytest.param(b"\x81\xc4\x01a\x01", id="bytes as name"),
        pytest.param(b"\x81\xc0\x01", id="nil as name"),
        pytest.param(b"\x91\x81\xc4\x01a\x81\xc4\x01b\x01", id="bytes as names below"),
        pytest.param(library.packb(math.nan), id="NaN"),
        pytest.param(library.packb([1, {"a": math.inf}]), id="Infinity"),
        pytest.param(b"\x91\xca\x7f\x80\x00\x00", id="short Infinity"),
        pytest.param(library.packb(library.Timestamp(1)), id="timestamp"),
        pytest.param(b"\xc7\x0c\xff" + b"\xff" * 12, id="broken timestamp"),
        pytest.param(library.packb([library.ExtType(2, b"")]), id="other extension"),
        pytest.param(library.packb(library.ExtType(1, b"")), id="empty tensor"),
        pytest.param(tensor_body(["float32", [1]], b"abc"), id="cut off tensor"),
        pytest.param(tensor_body(["float32", [1]], b"abcde"), id="tensor goes on"),
        pytest.param(tensor_body(["object", [1]], bytes(8)), id="other dtype"),
        pytest.param(tensor_body(["int8", [-1]]), id="negative length"),
        pytest.param(tensor_body(["int8", [True]], b"a"), id="boolean as length"),
        pytest.param(tensor_body(["int8", [0, 2**63]]), id="length beyond memory"),
        pytest.param(tensor_body(["int8", 1], b"a"), id="shape is no list"),
        pytest.param(tensor_body(["int8"], b"a"), id="no shape"),
        pytest.param(tensor_body(["int8", [1], 1], b"a"), id="one more"),
        pytest.param(tensor_body(["bool", [1]], b"\x02"), id="no bool"),
        pytest.param(tensor_body({"a": 1, "b": 2}), id="map as head"),
        pytest.param(tensor_body("ab"), id="text as head"),
        pytest.param(tensor_body(["int8", [1] * 100], b"a"), id="many dimensions"),
    ],
)
def test_what_is_malformed(body):
    with pytest.raises(MalformedBody) as raised:
        msgpack.decode(body)
    assert raised.value.detail


@given(st.binary(max_size=60))
def test_nothing_but_malformed_body_is_raised(body):
    try:
        value = msgpack.decode(body)
    except MalformedBody:
        return
    assert msgpack.decode(packed(value)) == value


@given(values, st.data())
def test_a_body_with_a_wrong_byte_is_malformed_or_another_value(value, data):
    body = bytearray(packed(value))
    body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(MalformedBody):
        msgpack.decode(body)


def test_depth_64_passes_and_65_does_not():
    for open_, inner in ((b"\x91", b"\x01"), (b"\x81\xa1a", b"\x01"), (b"\xdc\x00\x01", b"\x90")):
        room = MAX_DEPTH - (inner == b"\x90")
        assert msgpack.decode(open_ * room + inner) is not None
        with pytest.raises(MalformedBody, match="64 levels"):
            msgpack.decode(open_ * (room + 1) + inner)
    with pytest.raises(MalformedBody):
        msgpack.decode(b"\x91" * 100_000)


def test_claims_of_many_entries_reserve_no_memory():
    size = 16 * 1024 * 1024
    head = b"\xdd" + struct.pack(">I", size - 10_000)
    body = head * 1000 + bytes(size - 1000 * len(head))
    begun = time.process_time()
    with pytest.raises(BodyTooLarge):
        msgpack.decode(body)
    assert time.process_time() - begun < 1


def listed(count: int, item: bytes) -> bytes:
    return b"\xdd" + struct.pack(">I", count) + item * count


@pytest.mark.parametrize(
    ("body", "what"),
    [
        pytest.param(listed(0xF00000, b"\x90"), "values", id="empty lists"),
        pytest.param(listed(0xF00000, b"\x01"), "values", id="numbers"),
        pytest.param(listed(600_000, b"\x90"), "lists and maps", id="empty lists, fewer"),
        pytest.param(listed(600_000, b"\x81\xa1a\x80"), "lists and maps", id="maps"),
        pytest.param(listed(300_000, b"\x9f" + bytes(15)), "values", id="short lists"),
        pytest.param(listed(300_000, b"\xdc\x00\x0f" + bytes(15)), "values", id="short lists, long heads"),
        pytest.param(
            b"\xdf\x00\x20\x00\x00" + b"".join(b"\xa6%06x\x01" % at for at in range(2**21)), "values", id="map"
        ),
    ],
)
def test_there_is_a_most_of_values_and_of_lists_and_maps(body, what):
    begun = time.process_time()
    with pytest.raises(BodyTooLarge, match=what):
        msgpack.decode(body)
    assert time.process_time() - begun < 1.5


@pytest.mark.parametrize(
    "value",
    [
        pytest.param([0.1] * 1_700_000, id="numbers"),
        pytest.param([[0.1, 0.2, 0.3]] * 400_000, id="rows"),
        pytest.param({"a": b"\x90" * 15_000_000}, id="bytes"),
        pytest.param({"a": "[" * 15_000_000}, id="text"),
    ],
)
def test_honest_large_bodies_are_read(value):
    assert msgpack.decode(library.packb(value)) == value


@pytest.mark.parametrize("head", [b"\x82", b"\xde\x00\x02", b"\xdf\x00\x00\x00\x02"])
def test_a_name_that_occurs_twice_at_the_top_is_malformed(head):
    assert msgpack.decode(head + b"\xa1a\x01\xa1b\x81\xa1a\x01") == {"a": 1, "b": {"a": 1}}
    with pytest.raises(MalformedBody, match="twice"):
        msgpack.decode(head + b"\xa1a\x01\xa1a\x02")


def test_there_is_a_most_of_tensors():
    tensor = Tensor("int8", (0,), b"")
    assert len(msgpack.decode(packed([tensor] * MOST_PLACES))) == MOST_PLACES
    for one in (tensor, Tensor("int8", (1,), b"a")):
        with pytest.raises(BodyTooLarge):
            msgpack.decode(packed([one] * (MOST_PLACES + 1)))


def test_long_lists_are_fine():
    for value in ([1] * 100_000, ["x" * 40] * 70_000, [[1.5, None]] * 70_000, {str(n): n for n in range(70_000)}):
        assert msgpack.decode(packed(value)) == value


@pytest.mark.parametrize("value", [2**64, {1, 2}, object(), "\ud800"])
def test_what_messagepack_cannot_hold_is_unserializable(value):
    with pytest.raises(OutputUnserializable):
        msgpack.encode([value], None)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        pytest.param(b"\x91" * 1100 + b"\xc0", "nested more than 64 levels", id="deeper than the unpacker goes"),
        pytest.param(b"\x92\x01", "cut off", id="cut off in a list"),
        pytest.param(b"\xa1\xff", "a text in it is not UTF-8", id="no UTF-8"),
        pytest.param(b"\x81\x01\x02", "a name that is no text", id="a number as a name"),
        pytest.param(b"\x81\x90\x02", "a name that is no text", id="a list as a name"),
        pytest.param(
            b"\x81\xc7\x0c\x01\x92\xa4int8\x91\x04abcd\x02", "a name that is no text", id="a tensor as a name"
        ),
        pytest.param(b"\xc1", "a byte that is nothing", id="nothing"),
        pytest.param(b"", "cut off", id="empty"),
        pytest.param(b"\xd7\x02" + b"a" * 8, "the extension 2 is unknown", id="another extension"),
        pytest.param(b"\xc7\x01\x01a", "a tensor begins with", id="no tensor"),
    ],
)
def test_what_is_wrong_is_said_in_words_of_our_own(body, text):
    with pytest.raises(MalformedBody, match=text) as raised:
        msgpack.decode(body)
    assert not re.search("Error|Exception|strict|unpack|codec|<class", str(raised.value), re.IGNORECASE)
