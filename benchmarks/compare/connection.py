"""One HTTP/1.1 connection that asks and waits, cheap enough to measure with."""

from __future__ import annotations

import asyncio
from typing import Any

import httptools


class BrokenError(Exception):
    """The connection ended before the answer did."""


class Connection(asyncio.Protocol):
    """`ask` sends one request and returns the status and body of its answer."""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """Raises BrokenError."""
        self._parser = httptools.HttpResponseParser(self)
        self._body: list[bytes] = []
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer

    def close(self) -> None:
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result((self._parser.get_status_code(), b"".join(self._body)))

    def connection_lost(self, error: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(BrokenError(str(error)))


async def connected(port: int) -> Connection:
    """A new connection to this machine."""
    loop = asyncio.get_running_loop()
    return (await loop.create_connection(Connection, "127.0.0.1", port))[1]


def head(path: str, kind: str, length: int) -> bytes:
    """Of a request."""
    lines = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Type: {kind}", "Accept: application/json"]
    return "\r\n".join([*lines, f"Content-Length: {length}", "", ""]).encode()
