"""The gateway's end of a worker's data channel."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Protocol, cast

from bentod.errors import WireError
from bentod.wire.entries import Entry, EntryPacker, same_user, unpack
from bentod.wire.frames import Splitter


class Link(Protocol):
    """A way to one worker."""

    def send(self, entry: bytes) -> None:
        """Hand a packed entry over; those of one turn of the loop travel together."""

    def close(self) -> None:
        """Close the way; nothing more is received."""


class SocketLink(asyncio.Protocol):
    """A connection to a worker's Unix socket. `received` gets entries, `lost` is called once when it is gone."""

    def __init__(self, packer: EntryPacker, received: Callable[[list[Entry]], None], lost: Callable[[], None]) -> None:
        self._packer = packer
        self._received = received
        self._lost = lost
        self._splitter = Splitter()
        self._outbox: list[bytes] = []
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
        if not same_user(transport.get_extra_info("socket"), os.getuid()):
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        try:
            for payload in self._splitter.feed(data):
                self._received(unpack(payload))
        except (WireError, ValueError, TypeError, LookupError):  # a worker that lies has lost its calls
            assert self._transport is not None
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost()

    def send(self, entry: bytes) -> None:
        if not self._outbox:
            self._loop.call_soon(self._flush)
        self._outbox.append(entry)

    def _flush(self) -> None:
        outbox, self._outbox = self._outbox, []
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(self._packer.frames(outbox))

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()
