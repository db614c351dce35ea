"""Parts inside MessagePack and beside it."""

from __future__ import annotations

import contextlib

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentod.codec.parcels import NOTHING_ATTACHED, Parcel, opener
from bentod.errors import WireError
from bentod.iotypes.parts import Blob, Picture, Stored, Tensor
from bentod.wire.entries import DONE, EntryPacker, unpack

SMALL = 4096


def through(value, use=None):
    """A value after its journey, and how much travelled beside it."""
    parcel = Parcel()
    packed = msgpack.packb(value, default=parcel.extension)
    memory = parcel.clear()
    return msgpack.unpackb(packed, ext_hook=opener([bytes(one) for one in memory], use)), len(memory)


def parts(data):
    return [
        Tensor("float32", (2, 3), data),
        Tensor("bool", (), data),
        Picture("image/png", data, "/a/0"),
        Picture("image/webp", data),
        Blob(data),
    ]


@pytest.mark.parametrize("size", [0, 1, SMALL - 1, SMALL, SMALL + 1, 100_000])
def test_all_parts_arrive_as_they_were_and_large_ones_travel_beside(size):
    sent = parts(b"x" * size)
    assert through(sent) == (sent, len(sent) if size > SMALL else 0)


def test_files_are_named_and_never_read():
    sent = {"a": Stored("/no/such/file", "text/plain"), "b": [Stored("/ä")]}
    assert through(sent) == (sent, 0)


def test_many_parts_find_their_own_memory_again():
    sent = {str(number): Blob(bytes([number]) * (SMALL + 1 if number % 2 else 10)) for number in range(50)}
    assert through(sent) == (sent, 25)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
@pytest.mark.parametrize("size", [10, SMALL + 1])
def test_any_memory_will_do(kind, size):
    assert through(Blob(kind(b"x" * size)))[0] == Blob(b"x" * size)


@pytest.mark.parametrize("size", [256, 4 * SMALL])
def test_memory_with_gaps_is_closed_up(size):
    data = bytes(range(256)) * (size // 256)
    assert through(Blob(memoryview(data)[::2]))[0] == Blob(data[::2])


def test_nothing_is_kept_after_it_was_cleared():
    parcel = Parcel()
    parcel.extension(Blob(b"x" * 5000))
    assert len(parcel.clear()) == 1
    assert parcel.clear() == []


def test_other_values_are_made_into_parts_or_refused():
    parcel = Parcel(default=lambda value: Blob(b"set") if isinstance(value, set) else str(value))
    packed = msgpack.packb([{1}, 1j], default=parcel.extension)
    assert msgpack.unpackb(packed, ext_hook=NOTHING_ATTACHED) == [Blob(b"set"), "1j"]
    with pytest.raises(TypeError, match="complex"):
        msgpack.packb(1j, default=Parcel().extension)


def test_the_opener_may_make_something_else_of_parts():
    assert through([Blob(b"abc")], lambda part: len(part.data)) == ([3], 0)


# ── lies ─────────────────────────────────────────────────────────────────────────────────────────


def ext(code, fields):
    return msgpack.ExtType(code, fields if isinstance(fields, bytes) else msgpack.packb(fields))


LIES = {
    "unknown extension": ext(5, [0]),
    "extension of somebody else": ext(100, b""),
    "no fields": ext(4, b""),
    "broken fields": ext(4, b"\xc1"),
    "more behind the fields": ext(4, msgpack.packb([0]) + b"\0"),
    "a number for fields": ext(1, 5),
    "too few fields": ext(1, ["float32", [1]]),
    "too many fields": ext(2, ["image/png", "", 0, 0]),
    "no such attachment": ext(4, [2]),
    "an attachment before the first": ext(4, [-1]),
    "a text for an attachment": ext(4, ["0"]),
    "nothing for an attachment": ext(4, [None]),
    "a shape that is none": ext(1, ["float32", 5, 0]),
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES.keys())
def test_a_lie_is_a_wire_error(lie):
    packer = EntryPacker()
    payload = packer.frames([packer.entry((DONE, 1, 0.5, {"a": [lie]}))])[4:]
    with pytest.raises(WireError):
        unpack(payload, opener([bytearray(10), bytearray(10)]))


def test_attachments_that_are_named_where_there_are_none():
    packer = EntryPacker()
    with pytest.raises(WireError):
        unpack(packer.frames([packer.entry((DONE, 1, 0.5, ext(4, [0])))])[4:], NOTHING_ATTACHED)


@given(st.integers(0, 127), st.binary(max_size=40))
def test_no_extension_makes_unpacking_fail_otherwise(code, data):
    payload = msgpack.packb([msgpack.ExtType(code, data)])
    with contextlib.suppress(WireError):
        unpack(payload, opener([bytearray(3)]))
