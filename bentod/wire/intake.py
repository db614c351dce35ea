"""Cuts a data channel's bytes into frames, and reads what is large straight into its own memory.

A frame is a 32-bit little-endian length and that many bytes of MessagePack. With the top bit of the length set, the
frame has attachments: their number and the length of each follow as 32-bit numbers, then the MessagePack, then the
attachments themselves, as they are. Tensors and bytes travel so: neither end copies or decodes them.

There is no I/O here: the owner of a socket reads into `buffer()` and tells how much with `received()`.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from bentod.errors import WireError
from bentod.wire.frames import LIMIT

Memory = bytes | bytearray | memoryview

MOST_ATTACHMENTS = 16_000
"""Attachments that one frame may have; the lengths of all must fit into what is read at once."""

SEND_BUFFER = 1024 * 1024
"""Bytes that a data channel's socket may hold on their way, so that a large answer needs few changes of process."""

_ATTACHED = 0x8000_0000
_WORD = struct.Struct("<I")
_SCRATCH = 64 * 1024


Frame = tuple[bytes | bytearray, Sequence[bytearray]]
"""What one frame held: its MessagePack and its attachments."""


def attached(payload: bytes, attachments: Sequence[Memory], limit: int = LIMIT) -> list[Memory]:
    """A frame with attachments, as pieces to be written one after the other. Raises WireError above `limit`."""
    sizes = [memoryview(memory).nbytes for memory in attachments]
    if len(sizes) > MOST_ATTACHMENTS:
        raise WireError(f"a frame of {len(sizes)} attachments is over the limit of {MOST_ATTACHMENTS}")
    if len(payload) + sum(sizes) > limit:
        raise WireError(f"a frame of {len(payload) + sum(sizes)} bytes is over the limit of {limit}")
    head = struct.pack(f"<{2 + len(sizes)}I", len(payload) | _ATTACHED, len(sizes), *sizes)
    return [head + payload, *(memory for memory, size in zip(attachments, sizes, strict=True) if size)]


class Intake:
    """The receiving end of one data channel."""

    __slots__ = ("_end", "_filling", "_limit", "_scratch", "_view")

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._scratch = bytearray(_SCRATCH)
        self._view = memoryview(self._scratch)
        self._end = 0  # bytes in the scratch memory that belong to no complete frame yet
        self._filling: _Filling | None = None

    def buffer(self) -> memoryview:
        """Where the next bytes shall go; never empty."""
        return self._view[self._end :] if self._filling is None else self._filling.rest()

    def received(self, count: int) -> list[Frame]:
        """`count` more bytes are in the buffer: the frames that they complete. Raises WireError for a broken head."""
        if self._filling is None:
            if not self._end and count >= 4:  # the common case: exactly one frame
                (length,) = _WORD.unpack_from(self._scratch)
                if length + 4 == count:
                    return [(bytes(self._view[4:count]), ())]
        else:
            done = self._filling.advance(count)
            if done is None:
                return []
            self._filling = None
            return [done]
        return self._cut(self._end + count)

    def _cut(self, end: int) -> list[Frame]:
        """Take frames out of the scratch memory; what is left of it moves to its front, or to a frame's own memory."""
        frames: list[Frame] = []
        start = 0
        while end - start >= 4:
            (length,) = _WORD.unpack_from(self._scratch, start)
            if length & _ATTACHED:
                taken = self._start_attached(start, end, length & ~_ATTACHED)
            elif length > self._limit:
                raise WireError(f"a frame of {length} bytes is over the limit of {self._limit}")
            elif start + 4 + length <= end:
                frames.append((bytes(self._view[start + 4 : start + 4 + length]), ()))
                start += 4 + length
                continue
            elif length + 4 > _SCRATCH:
                taken = self._start_filling(_Filling(length, ()), start + 4, end)
            else:
                break
            if taken is None:
                break
            start = taken
            if self._filling is not None and (done := self._filling.finished()) is not None:
                self._filling = None
                frames.append(done)
        if start:
            self._scratch[: end - start] = self._scratch[start:end]
        self._end = end - start
        return frames

    def _start_attached(self, start: int, end: int, length: int) -> int | None:
        """Begin a frame with attachments: where its bytes in the scratch memory end; None if its head is not there."""
        if end - start < 8:
            return None
        (count,) = _WORD.unpack_from(self._scratch, start + 4)
        if not count <= MOST_ATTACHMENTS:
            raise WireError(f"a frame of {count} attachments")
        first = start + 8 + 4 * count
        if first > end:
            return None
        sizes = struct.unpack_from(f"<{count}I", self._scratch, start + 8)
        if length + sum(sizes) > self._limit:
            raise WireError(f"a frame of {length + sum(sizes)} bytes is over the limit of {self._limit}")
        return self._start_filling(_Filling(length, sizes), first, end)

    def _start_filling(self, filling: _Filling, start: int, end: int) -> int:
        self._filling = filling
        return start + filling.take(self._view[start:end])


class _Filling:
    """A frame whose parts are being filled."""

    __slots__ = ("_at", "_memory", "_part", "_view")

    def __init__(self, length: int, sizes: Sequence[int]) -> None:
        self._memory = [bytearray(length), *(bytearray(size) for size in sizes)]
        self._part = -1
        self._at = 0
        self._view = memoryview(b"")
        self._skip()

    def _skip(self) -> None:
        """Go on to the next part that has room."""
        while self._at == len(self._view) and self._part < len(self._memory) - 1:
            self._part += 1
            self._at = 0
            self._view = memoryview(self._memory[self._part])

    def rest(self) -> memoryview:
        return self._view[self._at :]

    def advance(self, count: int) -> Frame | None:
        """`count` bytes were put where `rest` said: the frame, if that was all."""
        self._at += count
        self._skip()
        return self.finished()

    def finished(self) -> Frame | None:
        if self._at < len(self._view):
            return None
        return self._memory[0], self._memory[1:]

    def take(self, data: memoryview) -> int:
        """Copy as much of `data` as there is room for; how much."""
        taken = 0
        while taken < len(data) and (room := self.rest()):
            count = min(len(room), len(data) - taken)
            room[:count] = data[taken : taken + count]
            taken += count
            self._at += count
            self._skip()
        return taken
