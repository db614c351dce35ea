"""One HTTP exchange over ASGI: what is known of the request, its body within limits, its one answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, MutableMapping, Sequence
from typing import Any, Protocol

from bentod.errors import BodyTimeout, BodyTooLarge, CallError, ClientGone
from bentod.gateway import problems
from bentod.gateway.record import Header, Record, joined
from bentod.wire.intake import Memory

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

CONNECTION = "bentod.connection"
"""The key of an ASGI scope under which our own server tells about the connection."""


class Connection(Protocol):
    """What our own server adds to ASGI: whether the body is here already, and a call for when the client leaves."""

    on_gone: Callable[[], None] | None

    @property
    def gone(self) -> bool:
        """Whether the client of the current request went away."""

    def take_body(self) -> bytes | bytearray | None:
        """The whole body if it has arrived, once."""

    async def arrived(self, limit: int) -> bool:
        """Wait until the whole body is here or more than `limit` bytes of it are; false if the client went away."""

    def respond(self, status: int, headers: Iterable[Header], body: Sequence[Memory]) -> bool:
        """Send a whole answer; false if it must go the ordinary way."""

    def begin(self, status: int, headers: Iterable[Header], *, sized: bool) -> None:
        """Send the head of an answer that comes piece by piece."""

    async def more(self, piece: bytes) -> None:
        """Send a piece, after what the client has not taken yet."""

    def end(self) -> None:
        """The answer is complete."""

    def abort(self) -> None:
        """Cut the connection off."""


class Exchange(Record):
    """A request and its answer, over ASGI."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        if len(headers) != len(scope["headers"]):
            headers = joined(scope["headers"])
        super().__init__(scope["method"], scope["path"], headers)
        self.connection: Connection | None = scope.get(CONNECTION)
        self._receive = receive
        self._send = send

    async def body(self, limit: int, timeout_s: float) -> bytes | bytearray:
        """The whole body. Raises BodyTooLarge as soon as it exceeds `limit`, BodyTimeout, ClientGone."""
        body = self.connection.take_body() if self.connection is not None else None
        if body is None:
            try:
                async with asyncio.timeout(timeout_s):
                    body = await self._read(limit)
            except TimeoutError:
                raise too_slow(timeout_s) from None
        self.bytes_in = len(body)
        if self.bytes_in > limit:
            raise too_large(limit)
        return body

    async def _read(self, limit: int) -> bytes | bytearray:
        if self.connection is None:
            return b"".join([chunk async for chunk in self.chunks(limit)])
        if not await self.connection.arrived(limit):
            raise ClientGone
        body = self.connection.take_body()
        if body is None:
            raise too_large(limit)
        return body

    async def chunks(self, limit: int) -> AsyncIterator[bytes]:
        """The body as it comes. Raises BodyTooLarge as soon as it exceeds `limit`, ClientGone."""
        more = True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            chunk, more = message.get("body", b""), message.get("more_body", False)
            self.bytes_in += len(chunk)
            if self.bytes_in > limit:
                raise too_large(limit)
            yield chunk

    async def answer(
        self, status: int, body: bytes | Sequence[Memory], media_type: bytes, headers: Iterable[Header] = ()
    ) -> None:
        """Send the one answer, whole."""
        pieces = (body,) if isinstance(body, bytes) else body
        head = self.whole(status, sum(map(len, pieces)), media_type, headers)
        if self.connection is None or not self.connection.respond(status, head, pieces):
            await self._send({"type": "http.response.start", "status": status, "headers": head})
            await self._send({"type": "http.response.body", "body": b"".join(pieces)})

    async def begin(
        self, status: int, media_type: bytes, headers: Sequence[Header] = (), length: int | None = None
    ) -> None:
        """Begin an answer that comes piece by piece, of `length` bytes if that is known."""
        self.status = status
        head = self.head(media_type, (b"content-length", b"%d" % length) if length is not None else None, headers)
        if length is None and all(name != b"cache-control" for name, _ in headers):
            head.append((b"cache-control", b"no-store"))
        if self.connection is not None:
            self.connection.begin(status, head, sized=length is not None)
        else:
            await self._send({"type": "http.response.start", "status": status, "headers": head})

    async def more(self, piece: bytes) -> None:
        """Send a piece of the answer; waits while the client is slow. Raises ClientGone."""
        self.bytes_out += len(piece)
        if self.connection is None:
            await self._send({"type": "http.response.body", "body": piece, "more_body": True})
            return
        await self.connection.more(piece)
        if self.connection.gone:
            raise ClientGone

    async def end(self) -> None:
        """The answer is complete."""
        if self.connection is not None:
            self.connection.end()
        else:
            await self._send({"type": "http.response.body", "body": b""})

    def abort(self) -> None:
        """Cut the answer off, so that the client sees that it is not complete."""
        if self.connection is None:
            raise RuntimeError("the answer was cut off")  # the way to tell an ASGI server
        self.connection.abort()

    async def problem(self, error: CallError) -> None:
        """Send a problem, or nothing to a client that is gone."""
        problem = self.failed(error)
        if not isinstance(error, ClientGone):
            await self.answer(problem.status, problem.body, problems.MEDIA_TYPE.encode(), problem.headers)


_CLOSE = {"connection": "close"}


def too_slow(timeout_s: float) -> BodyTimeout:
    """The error for a body that takes longer than `timeout_s`."""
    return BodyTimeout(f"the body did not arrive within {timeout_s:g} s", headers=_CLOSE)


def too_large(limit: int) -> BodyTooLarge:
    """The error for a body above `limit`; the connection ends with it, since the rest of the body is not read."""
    return BodyTooLarge(f"the body is larger than {limit} bytes", headers=_CLOSE)
