"""Control channels: a socket pair, one end in the daemon, the other inherited by a child. This is the asynchronous end.

Both ends speak `messages` in `frames`. The end of the stream is itself a message: the peer process is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import cast

from bentod.errors import WireError
from bentod.wire.frames import Splitter, frame
from bentod.wire.messages import Message, decode, encode


class Channel(asyncio.Protocol):
    """The asynchronous end."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._splitter = Splitter()
        self._transport: asyncio.Transport | None = None
        self._received: asyncio.Queue[Message | None] = asyncio.Queue()
        self._error: WireError | None = None

    @classmethod
    async def open(cls, end: socket.socket) -> Channel:
        """A channel over one end of a connected socket pair."""
        _, channel = await asyncio.get_running_loop().create_connection(lambda: cls(end), sock=end)
        return channel

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are none by inheritance

    def data_received(self, data: bytes) -> None:
        try:
            for payload in self._splitter.feed(data):
                self._received.put_nowait(decode(payload))
        except WireError as error:
            self._error = error
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._received.put_nowait(None)

    def send(self, message: Message) -> None:
        """Hand a message to the peer; nothing happens if it is gone."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(frame(encode(message)))

    async def receive(self) -> Message | None:
        """The next message; None once the peer is gone. Raises WireError if it sent what no peer of ours sends."""
        message = await self._received.get()
        if message is None:
            self._received.put_nowait(None)
            if self._error is not None:
                raise self._error
        return message

    def ended(self) -> None:
        """The peer is gone, though somebody may hold its end still, such as a process that it has forked: what it said
        is received, and nothing more."""
        with contextlib.suppress(OSError):
            self._end.shutdown(socket.SHUT_RD)

    def close(self) -> None:
        """Close this end."""
        if self._transport is not None:
            self._transport.close()
