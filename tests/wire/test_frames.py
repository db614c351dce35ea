"""Frames survive any chunking, and nothing above the limit passes."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentod.errors import WireError
from bentod.wire.frames import LIMIT, Splitter, frame

payloads = st.lists(st.binary(max_size=40), max_size=8)


def chunked(data: bytes, cuts: list[int]) -> list[bytes]:
    """`data` cut at these places."""
    places = sorted({cut % (len(data) + 1) for cut in cuts})
    return [data[start:end] for start, end in zip([0, *places], [*places, len(data)], strict=True)]


@given(payloads, st.lists(st.integers(0, 10_000), max_size=20))
def test_any_chunking_gives_the_payloads_in_order(sent, cuts):
    splitter = Splitter()
    received = []
    for chunk in chunked(b"".join(map(frame, sent)), cuts):
        received += splitter.feed(chunk)
    assert received == sent
    assert splitter.clean


@given(payloads)
def test_byte_by_byte_gives_the_same_as_at_once(sent):
    stream = b"".join(map(frame, sent))
    splitter = Splitter()
    single = [payload for byte in stream for payload in splitter.feed(bytes([byte]))]
    assert single == Splitter().feed(stream) == sent


@given(st.binary(max_size=20), st.data())
def test_a_stream_that_ends_inside_a_frame_is_not_clean(payload, data):
    stream = frame(payload)
    cut = data.draw(st.integers(1, len(stream) - 1))
    splitter = Splitter()
    assert splitter.feed(stream[:cut]) == []
    assert not splitter.clean
    assert splitter.feed(stream[cut:]) == [payload]
    assert splitter.clean


def test_a_frame_is_a_little_endian_length_and_its_payload():
    assert frame(b"abc") == b"\x03\0\0\0abc"
    assert frame(b"") == b"\0\0\0\0"


def test_a_payload_of_exactly_the_limit_passes_and_one_more_byte_does_not():
    assert Splitter(limit=10).feed(frame(b"x" * 10, limit=10)) == [b"x" * 10]
    with pytest.raises(WireError):
        frame(b"x" * 11, limit=10)


@given(st.integers(11, 60), st.lists(st.integers(0, 100), max_size=4), payloads)
def test_a_frame_over_the_limit_is_refused_however_it_comes(size, cuts, before):
    small = [payload[:10] for payload in before]
    stream = b"".join(map(frame, small)) + frame(b"x" * size)
    splitter = Splitter(limit=10)
    with pytest.raises(WireError):
        [splitter.feed(chunk) for chunk in chunked(stream, cuts)]


def test_a_frame_over_the_limit_is_refused_before_its_payload_comes():
    with pytest.raises(WireError):
        Splitter().feed(struct.pack("<I", LIMIT + 1))


def test_the_splitter_keeps_nothing_of_what_it_gave_out():
    splitter = Splitter()
    data = bytearray(frame(b"abc") + frame(b"def") + b"\x05\0")
    first, second = splitter.feed(bytes(data))
    splitter.feed(b"\0\0zzzzz")
    assert (first, second) == (b"abc", b"def")
