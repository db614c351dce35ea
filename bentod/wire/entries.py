"""The data channel's vocabulary: what a gateway and a worker say about calls.

Gateway → worker: `(NAMED | POSITIONAL, id, method, deadline, argument, context, terms)`, `(CANCEL, id)` and
`(TAKEN, id, chunks)`: so many more chunks of a stream have found their reader. `(BATCH, id, count, takes, apart)`: the
next `count` calls run together, in one slot; `takes` says how the callable wants them, and `apart` whether they run one
by one if it raises. `(PASS, kind, refusals)`: slots that were offered are not wanted, by who knows of so many refusals.
Worker → gateway: `(DONE, id, run_s, value)`, `(DONE_WITH, id, run_s, value, status, headers)`,
`(RAISED, id, run_s, code, detail, log, about)`, and before a stream's end `(CHUNK, id, run_s, value)` and
`(CHUNK_WITH, id, run_s, value, status, headers)`. Where several gateways share a worker: `(REFUSED, id)`, a batch or a
call that was not begun, because no slot is free; and later `(FREE, kind, slots)`: so many are kept for this gateway,
which sends no more than was offered until it passes. A slot's kind is 0 for synchronous methods, 1 for `async def`.
Before the last answers of a batch that ran out of memory, and ran again in halves: `(SQUEEZED, id, size, well, again)`,
the id of one of its calls, how large it was in calls or rows, how large the largest part was that went well, and the
smaller half that ran out of memory as well, 1 if a call of it did so alone; 0 if there is none. `again` is the `size`
of a batch that may not run again.

`method` is an index into the service's methods; `deadline` is a time of the host's monotonic clock, which all of its
processes share; `context` is None or `(request id, headers)`; `terms` is None for a call of plain JSON, else `Terms`;
`about` are the exception's classes as `module:qualified.name`, most derived first, or the JSON Pointer of what could
not be read. Tuples instead of objects, because every request passes here twice.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgpack

from bentod.errors import WireError
from bentod.wire.frames import frame
from bentod.wire.intake import Memory, attached

NAMED, POSITIONAL, CANCEL, TAKEN, BATCH, PASS = 0, 1, 2, 3, 4, 5
DONE, DONE_WITH, RAISED, CHUNK, CHUNK_WITH, REFUSED, FREE, SQUEEZED = 0, 1, 2, 3, 4, 5, 6, 7

Entry = Sequence[Any]


class Terms(NamedTuple):
    """What a call has besides JSON. `packed`: the argument is MessagePack with parts, to be unpacked where it is used.

    `special`: the answer may have parts; without it arrays become lists. `image` is the media type for pictures.
    `folder` is the call's own, `within` are other folders that an answered file may lie in. `ahead` is how many chunks
    a stream may be ahead of its reader, 0 if the call is no stream.
    """

    packed: bool = False
    special: bool = False
    image: str = ""
    folder: str = ""
    within: Sequence[str] = ()
    ahead: int = 0


_TOGETHER, _TOGETHER_BYTES = 64, 1024 * 1024


class EntryPacker:
    """Packs entries one by one and joins them into frames. Not for use by two threads at once."""

    def __init__(self, default: Callable[[Any], Any] | None = None) -> None:
        self._pack: Callable[[Any], bytes] = msgpack.Packer(default=default).pack
        self._heads: list[bytes] = [msgpack.Packer().pack_array_header(count) for count in range(_TOGETHER + 1)]

    def entry(self, entry: Entry) -> bytes:
        """One packed entry. Raises TypeError, ValueError or OverflowError for what MessagePack cannot hold."""
        return self._pack(entry)

    def attached(self, packed: bytes, memory: Sequence[Memory]) -> list[Memory]:
        """One packed entry with what belongs to it, as pieces to be written. Raises WireError if it is too large."""
        return attached(self._heads[1] + packed, memory)

    def together(self, packed: Sequence[bytes], memory: Sequence[Memory]) -> bytes | list[Memory]:
        """At most 64 packed entries in one frame, with what belongs to them. Raises WireError if it is too large."""
        payload = self._heads[len(packed)] + b"".join(packed)
        return attached(payload, memory) if memory else frame(payload)

    def frames(self, packed: Sequence[bytes]) -> bytes:
        """The packed entries as frames, small ones together. Raises WireError if one entry alone is too large."""
        if len(packed) == 1:
            return frame(self._heads[1] + packed[0])
        frames, start, size = [], 0, 0
        for end, entry in enumerate(packed):
            if end > start and (end - start == _TOGETHER or size + len(entry) > _TOGETHER_BYTES):
                frames.append(frame(self._heads[end - start] + b"".join(packed[start:end])))
                start, size = end, 0
            size += len(entry)
        frames.append(frame(self._heads[len(packed) - start] + b"".join(packed[start:])))
        return b"".join(frames)


def unpack(payload: bytes | bytearray, extension: Callable[[int, bytes], Any] = msgpack.ExtType) -> list[Entry]:
    """The entries of one frame; `extension` makes values of MessagePack's extension types.

    Raises WireError if the frame holds anything else.
    """
    try:
        entries = _unpacked(payload, extension)
    except (ValueError, TypeError, LookupError, msgpack.UnpackException) as error:
        raise WireError(f"not a frame of entries: {error}") from error
    if not isinstance(entries, list):
        raise WireError("not a frame of entries")
    return entries


def _unpacked(payload: bytes | bytearray, extension: Callable[[int, bytes], Any]) -> Any:
    try:
        return msgpack.unpackb(payload, strict_map_key=False, use_list=True, ext_hook=extension)
    except TypeError:  # a list as a map's key: MessagePack can hold what a tuple was, and Python can only as a tuple
        found = msgpack.unpackb(payload, strict_map_key=False, use_list=False, ext_hook=extension)
        return list(found) if isinstance(found, tuple) else found


def same_user(peer: socket.socket, uid: int) -> bool:
    """Whether the process at the other end of a Unix socket runs as `uid` (or where the system cannot tell)."""
    if not hasattr(socket, "SO_PEERCRED"):
        return True
    return credentials(peer)[1] == uid


def credentials(peer: socket.socket) -> tuple[int, int, int]:
    """The process at the other end of a Unix socket, its user and its group. Raises OSError. Source: unix(7)."""
    found = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    pid, uid, gid = struct.unpack("3i", found)
    return pid, uid, gid
