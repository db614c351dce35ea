"""The data channel's vocabulary: what a gateway and a worker say about calls.

Gateway → worker: `(NAMED | POSITIONAL, id, method, deadline, argument, context)` and `(CANCEL, id)`.
Worker → gateway: `(DONE, id, run_s, value)`, `(DONE_WITH, id, run_s, value, status, headers)` and
`(RAISED, id, run_s, code, detail, log, classes)`.

`method` is an index into the service's methods; `deadline` is a time of the host's monotonic clock, which all of its
processes share; `context` is None or `(request id, headers)`; `classes` are the exception's classes as
`module:qualified.name`, most derived first. Tuples instead of objects, because every request passes here twice.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Sequence
from typing import Any

import msgpack

from bentod.errors import WireError
from bentod.wire.frames import frame

NAMED, POSITIONAL, CANCEL = 0, 1, 2
DONE, DONE_WITH, RAISED = 0, 1, 2

Entry = Sequence[Any]

_TOGETHER, _TOGETHER_BYTES = 64, 1024 * 1024


class EntryPacker:
    """Packs entries one by one and joins them into frames. Not for use by two threads at once."""

    def __init__(self, default: Callable[[Any], Any] | None = None) -> None:
        self._pack: Callable[[Any], bytes] = msgpack.Packer(default=default).pack
        self._heads: list[bytes] = [msgpack.Packer().pack_array_header(count) for count in range(_TOGETHER + 1)]

    def entry(self, entry: Entry) -> bytes:
        """One packed entry. Raises TypeError, ValueError or OverflowError for what MessagePack cannot hold."""
        return self._pack(entry)

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


def unpack(payload: bytes) -> list[Entry]:
    """The entries of one frame. Raises WireError if it holds anything else."""
    try:
        entries = _unpacked(payload)
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise WireError(f"not a frame of entries: {error}") from error
    if not isinstance(entries, list):
        raise WireError("not a frame of entries")
    return entries


def _unpacked(payload: bytes) -> Any:
    try:
        return msgpack.unpackb(payload, strict_map_key=False, use_list=True)
    except TypeError:  # a list as a map's key: MessagePack can hold what a tuple was, and Python can only as a tuple
        found = msgpack.unpackb(payload, strict_map_key=False, use_list=False)
        return list(found) if isinstance(found, tuple) else found


def same_user(peer: socket.socket, uid: int) -> bool:
    """Whether the process at the other end of a Unix socket runs as `uid` (or where the system cannot tell)."""
    if not hasattr(socket, "SO_PEERCRED"):
        return True
    credentials = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return bool(struct.unpack("3i", credentials)[1] == uid)
