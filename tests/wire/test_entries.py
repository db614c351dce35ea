"""Entries: packed one by one, sent together, refused when they are none."""

from __future__ import annotations

import contextlib
import os
import socket

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bentod.errors import WireError
from bentod.wire.entries import DONE, NAMED, RAISED, EntryPacker, same_user, unpack
from bentod.wire.frames import Splitter, frame

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=10,
)
entries = st.tuples(st.sampled_from([NAMED, DONE, RAISED]), st.integers(0, 2**40), values)


def through(packer: EntryPacker, sent) -> list:
    """`sent` after a journey."""
    stream = packer.frames([packer.entry(entry) for entry in sent])
    return [entry for payload in Splitter().feed(stream) for entry in unpack(payload)]


@settings(max_examples=40)
@given(st.lists(entries, min_size=1, max_size=200))
def test_entries_arrive_as_they_were_sent(sent):
    assert through(EntryPacker(), sent) == [list(entry) for entry in sent]


def test_many_small_entries_share_frames_and_large_ones_do_not():
    packer = EntryPacker()
    small = [packer.entry((DONE, number)) for number in range(130)]
    assert [len(unpack(payload)) for payload in Splitter().feed(packer.frames(small))] == [64, 64, 2]
    large = [packer.entry((DONE, number, b"x" * 700_000)) for number in range(3)]
    assert [len(unpack(payload)) for payload in Splitter().feed(packer.frames(large))] == [1, 1, 1]


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(2**64, id="integer too large"),
        pytest.param({1, 2}, id="set"),
        pytest.param(object(), id="object"),
        pytest.param("\ud800", id="half a surrogate pair"),
    ],
)
def test_what_cannot_be_packed_is_refused_and_leaves_the_packer_usable(value):
    packer = EntryPacker()
    with pytest.raises((TypeError, ValueError, OverflowError)):
        packer.entry((DONE, 1, [1, 2, value]))
    assert through(packer, [(DONE, 2, "fine")]) == [[DONE, 2, "fine"]]


def test_endless_nesting_is_refused():
    endless: list = []
    endless.append(endless)
    with pytest.raises((TypeError, ValueError, OverflowError)):
        EntryPacker().entry((DONE, 1, endless))


def test_default_sees_what_messagepack_does_not_know():
    assert through(EntryPacker(default=sorted), [(DONE, 1, {3, 1})]) == [[DONE, 1, [1, 3]]]


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\xc1", id="not MessagePack"),
        pytest.param(msgpack.packb(5), id="a number"),
        pytest.param(msgpack.packb({"a": 1}), id="a map"),
        pytest.param(msgpack.packb([[0, 1]]) + b"\0", id="more behind it"),
        pytest.param(msgpack.packb([[0, 1]])[:-1], id="cut off"),
        pytest.param(b"\x91" * 5000, id="nested too deeply"),
        pytest.param(b"\x81\x90\x01", id="a list as a name"),
        pytest.param(b"\xdd\xff\xff\xff\xff", id="four thousand million entries announced"),
        pytest.param(b"\x91\xa2\xff\xfe", id="text that is not UTF-8"),
    ],
)
def test_a_payload_that_holds_no_entries_is_a_wire_error(payload):
    with pytest.raises(WireError):
        unpack(payload)


@given(st.binary(max_size=60))
def test_no_bytes_make_unpacking_fail_otherwise(payload):
    with contextlib.suppress(WireError):
        assert isinstance(unpack(payload), list)


def test_frames_of_one_entry_are_frames():
    packer = EntryPacker()
    assert packer.frames([packer.entry((DONE, 1))]) == frame(msgpack.packb([[DONE, 1]]))


def test_the_peer_of_a_socket_pair_is_the_same_user_and_no_other():
    left, right = socket.socketpair()
    with left, right:
        assert same_user(left, os.getuid())
        assert not same_user(left, os.getuid() + 1)
