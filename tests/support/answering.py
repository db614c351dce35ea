"""An HTTP server for tests of clients: it answers every request at once, or as a test says, over a Unix socket."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httptools


def answer(body: bytes = b"true", status: int = 200, kind: str = "application/json", **headers: str) -> bytes:
    """An answer as it is on the wire."""
    named = {"content-type": kind, "content-length": str(len(body)), **headers}
    lines = [f"HTTP/1.1 {status} X", *(f"{name.replace('_', '-')}: {value}" for name, value in named.items()), "", ""]
    return "\r\n".join(lines).encode() + body


class Request(asyncio.Protocol):
    """One connection. A server's `serve` is called with it for every request."""

    def __init__(self, server: Answering) -> None:
        self._server = server
        self._parser = httptools.HttpRequestParser(self)
        self.transport: asyncio.Transport | None = None
        self.body = self.url = b""
        self.headers: dict[bytes, bytes] = {}

    def connection_made(self, transport):
        self.transport = transport
        self._server.open.add(self)
        self._server.most_open = max(self._server.most_open, len(self._server.open))

    def connection_lost(self, exc):
        self._server.open.discard(self)

    def data_received(self, data):
        self._parser.feed_data(data)

    def on_message_begin(self):
        self.body, self.url, self.headers = b"", b"", {}

    def on_url(self, url):
        self.url += url

    def on_header(self, name, value):
        self.headers[name.lower()] = value

    def on_body(self, body):
        self.body += body

    def on_message_complete(self):
        self._server.asked += 1
        self._server.serve(self)


class Answering:
    """What was asked, and how it is answered."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.asked = self.most_open = 0
        self.open: set[Request] = set()
        self.serve: Callable[[Request], None] = self.gives(answer())

    @property
    def url(self) -> str:
        """As a daemon tells it."""
        return f"unix:{self.path}"

    @staticmethod
    def gives(*answers: bytes) -> Callable[[Request], None]:
        """These answers, in turn."""
        left: list[bytes] = []

        def serve(request: Request) -> None:
            left[:] = left or answers
            assert request.transport is not None
            request.transport.write(left.pop(0))

        return serve

    def stop(self) -> None:
        """Listen no more, and cut everybody off."""
        self._listener.close()
        self.path.unlink(missing_ok=True)  # Python 3.13 removes it by itself
        for request in [*self.open]:
            request.transport.abort()

    async def start(self) -> None:
        """Listen."""
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_unix_server(lambda: Request(self), str(self.path))


@asynccontextmanager
async def answering() -> AsyncIterator[Answering]:
    """A server in this loop until the block ends, in a folder with a path that is short enough for sockets."""
    with tempfile.TemporaryDirectory(prefix="ba") as folder:
        server = Answering(Path(folder) / "s")
        await server.start()
        try:
            yield server
        finally:
            if server.path.exists():
                server.stop()
