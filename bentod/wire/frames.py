"""Length-prefixed frames, without any I/O: bytes in, payloads out.

A frame is a 32-bit little-endian length and that many bytes of MessagePack. Control channels put one message in a
frame; data channels put an array of entries in one (see `entries`), so many calls share a system call.
"""

from __future__ import annotations

import struct

from bentod.errors import WireError

_LENGTH = struct.Struct("<I")

LIMIT = 256 * 1024 * 1024
"""Bytes that one frame may hold. JSON numbers can more than double as MessagePack, so this is far above `max_body`."""


LENGTH_SIZE = _LENGTH.size
"""Bytes in front of each payload."""


def length_in(head: bytes) -> int:
    """The length that is in front of a payload."""
    (length,) = _LENGTH.unpack(head)
    return int(length)


def frame(payload: bytes, limit: int = LIMIT) -> bytes:
    """`payload` with its length in front. Raises WireError above `limit`."""
    if len(payload) > limit:
        raise WireError(f"a frame of {len(payload)} bytes is over the limit of {limit}")
    return _LENGTH.pack(len(payload)) + payload


class Splitter:
    """Cuts a byte stream into the payloads of its frames, whatever the chunks it comes in."""

    __slots__ = ("_buffer", "_limit")

    def __init__(self, limit: int = LIMIT) -> None:
        self._buffer = bytearray()
        self._limit = limit

    def feed(self, data: bytes) -> list[bytes]:
        """The payloads that `data` completes. Raises WireError as soon as a length above the limit is announced."""
        if not self._buffer and len(data) >= 4:
            (length,) = _LENGTH.unpack_from(data)
            if len(data) == length + 4 and length <= self._limit:  # the common case, without a copy through the buffer
                return [data[4:]]
        buffer = self._buffer
        buffer += data
        payloads, start = [], 0
        while len(buffer) - start >= 4:
            (length,) = _LENGTH.unpack_from(buffer, start)
            if length > self._limit:
                raise WireError(f"a frame of {length} bytes is over the limit of {self._limit}")
            end = start + 4 + length
            if len(buffer) < end:
                break
            payloads.append(bytes(memoryview(buffer)[start + 4 : end]))
            start = end
        del buffer[:start]
        return payloads

    @property
    def clean(self) -> bool:
        """Whether the stream may end here without cutting a frame off."""
        return not self._buffer
