"""Frames with and without attachments, however their bytes arrive."""

from __future__ import annotations

import contextlib
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bentod.errors import WireError
from bentod.wire.frames import frame
from bentod.wire.intake import MOST_ATTACHMENTS, Frame, Intake, attached

SCRATCH = 64 * 1024
MOST = MOST_ATTACHMENTS


def pushed(intake: Intake, data: bytes, sizes=()) -> list[Frame]:
    """The frames in `data`, which arrives in chunks of at most these sizes, then at once."""
    found, left, sizes = [], memoryview(data), list(sizes)
    while left:
        room = intake.buffer()
        assert len(room) > 0
        count = min(len(room), len(left), sizes.pop(0) if sizes else len(left))
        room[:count] = left[:count]
        left = left[count:]
        found += intake.received(count)
    return found


def whole(frames) -> list[tuple[bytes, list[bytes]]]:
    return [(bytes(payload), [bytes(one) for one in attachments]) for payload, attachments in frames]


def sent(payload: bytes, attachments) -> bytes:
    return b"".join(attached(payload, attachments)) if attachments is not None else frame(payload)


sizes_of_frames = st.integers(0, 40) | st.sampled_from([SCRATCH - 5, SCRATCH - 4, SCRATCH - 3, SCRATCH, 3 * SCRATCH])
some_bytes = st.builds(lambda size, first: bytes([first]) * size, sizes_of_frames, st.integers(0, 255))
some_frames = st.lists(st.tuples(some_bytes, st.none() | st.lists(some_bytes, max_size=4)), max_size=6)


@settings(max_examples=60, deadline=None)
@given(some_frames, st.lists(st.integers(1, 2 * SCRATCH) | st.integers(1, 9), max_size=60))
def test_frames_are_the_same_whatever_chunks_they_come_in(frames, sizes):
    data = b"".join(sent(*one) for one in frames)
    found = whole(pushed(Intake(), data, sizes))
    assert found == [(payload, attachments or []) for payload, attachments in frames]


def test_byte_by_byte():
    frames = [(b"ab", None), (b"", None), (b"", []), (b"x", [b"", b"yz", b""]), (b"", [b""]), (b"c", [b"d" * 70])]
    data = b"".join(sent(*one) for one in frames)
    assert whole(pushed(Intake(), data, [1] * len(data))) == [(one, more or []) for one, more in frames]


def test_attachments_are_the_receivers_own_memory():
    intake = Intake()
    ((_, (first,)),) = pushed(intake, sent(b"a", [b"1" * 100]))
    ((_, (second,)),) = pushed(intake, sent(b"b", [b"2" * 100]))
    first[:] = b"9" * 100
    assert isinstance(first, bytearray)
    assert bytes(second) == b"2" * 100


def test_what_is_large_is_read_straight_into_its_own_memory():
    """Once its head is there, the buffer is as large as what is missing."""
    intake = Intake()
    head, _ = attached(b"payload", [b"x" * 1_000_000])
    assert pushed(intake, bytes(head)) == []
    assert len(intake.buffer()) == 1_000_000
    plain = Intake()
    assert pushed(plain, struct.pack("<I", 500_000)) == []
    assert len(plain.buffer()) == 500_000


# ── limits ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("limit", [10, SCRATCH - 4, SCRATCH, 200_000])
def test_a_frame_of_exactly_the_limit_passes_and_one_byte_more_does_not(limit):
    parts = [b"p" * 4, b"x" * (limit - 7), b"yyy"]
    for good in (frame(b"z" * limit, limit), b"".join(attached(parts[0], parts[1:], limit))):
        assert len(pushed(Intake(limit), good)) == 1
    with pytest.raises(WireError, match=f"{limit + 1} bytes"):
        attached(b"ppppp", parts[1:], limit)
    for bad in (frame(b"z" * (limit + 1)), b"".join(attached(b"ppppp", parts[1:]))):
        with pytest.raises(WireError, match=f"{limit + 1} bytes"):
            pushed(Intake(limit), bad[:40], [1] * 40)  # as soon as it is announced


def test_as_many_attachments_as_may_and_one_more():
    attachments = [b"%d" % number for number in range(MOST)]
    ((payload, found),) = whole(pushed(Intake(), b"".join(attached(b"p", attachments)), [7] * 5000))
    assert (payload, found) == (b"p", attachments)
    with pytest.raises(WireError):
        attached(b"p", [*attachments, b""])


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(struct.pack("<II", 0x8000_0000, MOST + 1), id="too many attachments"),
        pytest.param(struct.pack("<II", 0x8000_0000, 0xFFFF_FFFF), id="four thousand million attachments"),
        pytest.param(struct.pack("<III", 0x8000_0000, 1, 0xFFFF_FFFF), id="an attachment over the limit"),
        pytest.param(struct.pack("<IIII", 0x8000_0000, 2, 0x0FFF_FFFF, 2), id="attachments over the limit together"),
        pytest.param(struct.pack("<III", 0x8FFF_FFFF, 1, 2), id="attachment and payload over the limit together"),
        pytest.param(struct.pack("<II", 0xFFFF_FFFF, 0), id="a payload over the limit, attached"),
        pytest.param(struct.pack("<I", 0x7FFF_FFFF), id="a payload over the limit"),
    ],
)
def test_a_broken_head_is_a_wire_error_and_costs_no_memory(head):
    with pytest.raises(WireError):
        pushed(Intake(), frame(b"fine") + head)
    with pytest.raises(WireError):
        pushed(Intake(), head, [1] * len(head))


@settings(max_examples=200)
@given(st.binary(max_size=200), st.lists(st.integers(1, 20), max_size=20))
def test_no_bytes_make_it_fail_otherwise(data, sizes):
    with contextlib.suppress(WireError):
        pushed(Intake(1000), data, sizes)


# ── sending ──────────────────────────────────────────────────────────────────────────────────────


def test_pieces_are_the_senders_memory_and_none_is_empty():
    large, view = bytearray(b"l" * 100), memoryview(b"abcdefgh").cast("I")
    pieces = attached(b"p", [b"", large, b"", view])
    assert pieces[1] is large
    assert pieces[2] is view
    assert len(pieces) == 3
    ((_, found),) = whole(pushed(Intake(), b"".join(bytes(piece) for piece in pieces)))
    assert found == [b"", bytes(large), b"", b"abcdefgh"]
