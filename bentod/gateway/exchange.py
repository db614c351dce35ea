"""One HTTP exchange over ASGI: what is known of the request, its body within limits, its one answer."""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, MutableMapping, Sequence
from typing import Any, Protocol

from bentod.errors import BodyTimeout, BodyTooLarge, CallError, ClientGone, MalformedBody
from bentod.gateway import problems
from bentod.wire.intake import Memory

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Header = tuple[bytes, bytes]

CONNECTION = "bentod.connection"
"""The key of an ASGI scope under which our own server tells about the connection."""

_PREFIX = os.urandom(6).hex()
_COUNTER = itertools.count(1)
_LONGEST_ID = 128


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


class Exchange:
    """A request and its answer. `status`, `code`, `bytes_out` and the times are what the log will say;
    `batch` is how many calls, or rows, ran together, 0 where none ever do."""

    __slots__ = (
        "_receive",
        "_send",
        "batch",
        "bytes_in",
        "bytes_out",
        "code",
        "connection",
        "first_s",
        "headers",
        "log",
        "method",
        "path",
        "queue_s",
        "request_id",
        "run_s",
        "started",
        "status",
    )

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.started = time.monotonic()
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        if len(self.headers) != len(scope["headers"]):
            self.headers = _joined(scope["headers"])
        self.connection: Connection | None = scope.get(CONNECTION)
        self.request_id = _request_id(self.headers.get(b"x-request-id"))
        self._receive = receive
        self._send = send
        self.status = 0
        self.code = ""
        self.log = ""
        self.bytes_in = self.bytes_out = 0
        self.queue_s = self.run_s = self.first_s = 0.0
        self.batch = 0

    def announced(self) -> int | None:
        """The body's length as the client announced it. Raises MalformedBody."""
        length = self.headers.get(b"content-length")
        if length is None:
            return None
        if not length.isdigit():
            raise MalformedBody("Content-Length is not a number")
        return int(length)

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
        self.status = status
        self.bytes_out = sum(map(len, pieces))
        head = self._head(media_type, (b"content-length", b"%d" % self.bytes_out), headers)
        if self.connection is None or not self.connection.respond(status, head, pieces):
            await self._send({"type": "http.response.start", "status": status, "headers": head})
            await self._send({"type": "http.response.body", "body": b"".join(pieces)})

    async def begin(
        self, status: int, media_type: bytes, headers: Sequence[Header] = (), length: int | None = None
    ) -> None:
        """Begin an answer that comes piece by piece, of `length` bytes if that is known."""
        self.status = status
        head = self._head(media_type, (b"content-length", b"%d" % length) if length is not None else None, headers)
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

    def _head(self, media_type: bytes, size: Header | None, headers: Iterable[Header]) -> list[Header]:
        # W3C Server Timing, in milliseconds
        timing = b"queue;dur=%.3f, run;dur=%.3f" % (self.queue_s * 1e3, self.run_s * 1e3)
        if self.batch:
            timing += b', batch;desc="%d"' % self.batch
        if self.first_s:
            timing += b", ttfc;dur=%.3f" % (self.first_s * 1e3)
        head = [(b"content-type", media_type), (b"x-request-id", self.request_id.encode()), (b"server-timing", timing)]
        if size is not None:
            head.append(size)
        head += headers
        return head

    async def problem(self, error: CallError) -> None:
        """Send a problem, or nothing to a client that is gone."""
        kind = problems.kind_of(error)
        self.code, self.status = kind.code, kind.status
        if isinstance(error, ClientGone):
            return
        headers = [(name.encode(), value.encode()) for name, value in error.headers.items()]
        body = problems.body(error, self.request_id)
        await self.answer(kind.status, body, problems.MEDIA_TYPE.encode(), headers)


_CLOSE = {"connection": "close"}


def too_slow(timeout_s: float) -> BodyTimeout:
    """The error for a body that takes longer than `timeout_s`."""
    return BodyTimeout(f"the body did not arrive within {timeout_s:g} s", headers=_CLOSE)


def too_large(limit: int) -> BodyTooLarge:
    """The error for a body above `limit`; the connection ends with it, since the rest of the body is not read."""
    return BodyTooLarge(f"the body is larger than {limit} bytes", headers=_CLOSE)


def _joined(headers: Iterable[Header]) -> dict[bytes, bytes]:
    """Headers by name; those with one name are one list (RFC 9110, 5.3)."""
    found: dict[bytes, bytes] = {}
    for name, value in headers:
        found[name] = found[name] + b", " + value if name in found else value
    return found


def _request_id(given: bytes | None) -> str:
    """The client's id if it is printable and short enough, else a new one."""
    if given and len(given) <= _LONGEST_ID:
        text = given.decode("latin-1")
        if text.isascii() and text.isprintable():
            return text
    return new_request_id()


def new_request_id() -> str:
    """An id that no other request has."""
    return f"{_PREFIX}{next(_COUNTER):08x}"
