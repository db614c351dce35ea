"""The gateway's end of a worker's data channel."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Sequence
from typing import Protocol, cast

from bentod.codec.parcels import NOTHING_ATTACHED, opener
from bentod.errors import WireError
from bentod.wire.entries import Entry, EntryPacker, same_user, unpack
from bentod.wire.intake import SEND_BUFFER, Intake, Memory


class Link(Protocol):
    """A way to one worker."""

    def send(self, entry: bytes, memory: Sequence[Memory] = ()) -> None:
        """Hand over a packed entry and what belongs to it; those of one turn of the loop travel together."""

    def flush(self) -> None:
        """Send what was handed over now."""

    def close(self) -> None:
        """Close the way; nothing more is received."""


class SocketLink(asyncio.BufferedProtocol):
    """A connection to a worker's Unix socket. `received` gets entries, `lost` is called once when it is gone."""

    def __init__(self, packer: EntryPacker, received: Callable[[list[Entry]], None], lost: Callable[[], None]) -> None:
        self._packer = packer
        self._received = received
        self._lost = lost
        self._intake = Intake()
        self._outbox: list[bytes] = []
        self._pieces: list[Memory] = []
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None

    @classmethod
    async def open(
        cls, path: str, packer: EntryPacker, received: Callable[[list[Entry]], None], lost: Callable[[], None]
    ) -> SocketLink:
        """Connect. Raises OSError."""
        loop = asyncio.get_running_loop()
        _, link = await loop.create_unix_connection(lambda: cls(packer, received, lost), path)
        return link

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are none by inheritance
        peer = transport.get_extra_info("socket")
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        if not same_user(peer, os.getuid()):
            self._transport.abort()

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._intake.buffer()

    def buffer_updated(self, nbytes: int) -> None:
        try:
            for payload, attachments in self._intake.received(nbytes):
                self._received(unpack(payload, opener(attachments) if attachments else NOTHING_ATTACHED))
        except (WireError, ValueError, TypeError, LookupError):  # a worker that lies has lost its calls
            assert self._transport is not None
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost()

    def send(self, entry: bytes, memory: Sequence[Memory] = ()) -> None:
        if not self._outbox and not self._pieces:
            self._loop.call_soon(self.flush)
        if memory:
            self._join()
            self._pieces += self._packer.attached(entry, memory)
        else:
            self._outbox.append(entry)

    def _join(self) -> None:
        """What waits in the outbox becomes pieces: it came before what is large."""
        if self._outbox:
            outbox, self._outbox = self._outbox, []
            self._pieces.append(self._packer.frames(outbox))

    def flush(self) -> None:
        if self._pieces:
            self._join()
            pieces, self._pieces = self._pieces, []
            if self._transport is not None and not self._transport.is_closing():
                self._transport.writelines(pieces)
            return
        outbox, self._outbox = self._outbox, []
        if outbox and self._transport is not None and not self._transport.is_closing():
            self._transport.write(self._packer.frames(outbox))

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()
