"""A gateway's server on a real socket, in process, and clients that read only what they want to."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import TracebackType

from bentod.gateway.app import App
from bentod.gateway.server import Server
from bentod.gateway.shared import shared


@asynccontextmanager
async def listening(
    app: App,
    header_timeout_s: float = 20.0,
    keep_alive_s: float = 20.0,
    drain_timeout_s: float = 5.0,
    write_timeout_s: float = 20.0,
) -> AsyncIterator[int]:
    """Serve an application; its port. At the end it drains."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    server = Server(app, shared(app, header_timeout_s, keep_alive_s, write_timeout_s))
    await server.start([listener.detach()])
    try:
        yield port
    finally:
        await server.drain(drain_timeout_s)


class Reader:
    """A client that sends what it is told and reads when it is told."""

    def __init__(self, port: int, *, small: bool = False) -> None:
        self.port = port
        self._small = small

    async def __aenter__(self) -> Reader:
        client = socket.socket()
        if self._small:  # what the kernel holds for a slow reader is little
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.setblocking(False)
        await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", self.port))
        self.reader, self.writer = await asyncio.open_connection(sock=client, limit=4096 if self._small else 65536)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.writer.close()

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def head(self) -> tuple[int, dict[str, str]]:
        """Status and headers."""
        start, *lines = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        pairs = [line.split(": ", 1) for line in lines if line]
        return int(start.split()[1]), {name.lower(): value for name, value in pairs}

    async def chunk(self) -> bytes:
        """The next piece of a chunked body, empty at its end. Raises IncompleteReadError if it is cut off."""
        size = int((await self.reader.readuntil(b"\r\n")), 16)
        return (await self.reader.readexactly(size + 2))[:size]

    async def rest(self) -> bytes:
        """All pieces until the end."""
        return b"".join([piece async for piece in self._pieces()])

    async def _pieces(self) -> AsyncIterator[bytes]:
        while piece := await self.chunk():
            yield piece

    async def body(self, headers: dict[str, str]) -> bytes:
        return await self.reader.readexactly(int(headers["content-length"]))

    async def ended(self) -> bool:
        """Whether the server ends the connection without another word."""
        try:
            return await self.reader.read(1) == b""
        except ConnectionError:
            return True
