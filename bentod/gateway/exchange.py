"""One HTTP exchange over ASGI: what is known of the request, its body within limits, its one answer."""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, Protocol

from bentod.errors import BodyTimeout, BodyTooLarge, CallError, ClientGone, MalformedBody
from bentod.gateway import problems

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

    def take_body(self) -> bytes | None:
        """The whole body if it has arrived, once."""

    def respond(self, status: int, headers: Iterable[Header], body: bytes) -> bool:
        """Send a whole answer; false if it must go the ordinary way."""


class Exchange:
    """A request and its answer. `status`, `code`, `bytes_out` and the times are what the log will say."""

    __slots__ = (
        "_receive",
        "_send",
        "bytes_in",
        "bytes_out",
        "code",
        "connection",
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
        self.queue_s = self.run_s = 0.0

    def announced(self) -> int | None:
        """The body's length as the client announced it. Raises MalformedBody."""
        length = self.headers.get(b"content-length")
        if length is None:
            return None
        if not length.isdigit():
            raise MalformedBody("Content-Length is not a number")
        return int(length)

    async def body(self, limit: int, timeout_s: float) -> bytes:
        """The whole body. Raises BodyTooLarge as soon as it exceeds `limit`, BodyTimeout, ClientGone."""
        body = self.connection.take_body() if self.connection is not None else None
        if body is not None:
            self.bytes_in = len(body)
            if self.bytes_in > limit:
                raise too_large(limit)
            return body
        try:
            async with asyncio.timeout(timeout_s):
                return await self._read(limit)
        except TimeoutError:
            raise BodyTimeout(f"the body did not arrive within {timeout_s:g} s", headers=_CLOSE) from None

    async def _read(self, limit: int) -> bytes:
        chunks: list[bytes] = []
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            chunk = message.get("body", b"")
            self.bytes_in += len(chunk)
            if self.bytes_in > limit:
                raise too_large(limit)
            if not message.get("more_body", False):
                return chunk if not chunks else b"".join([*chunks, chunk])
            chunks.append(chunk)

    async def answer(self, status: int, body: bytes, media_type: bytes, headers: Iterable[Header] = ()) -> None:
        """Send the one answer."""
        self.status = status
        self.bytes_out = len(body)
        head = [
            (b"content-type", media_type),
            (b"content-length", b"%d" % len(body)),
            (b"x-request-id", self.request_id.encode()),
            # W3C Server Timing, in milliseconds
            (b"server-timing", b"queue;dur=%.3f, run;dur=%.3f" % (self.queue_s * 1e3, self.run_s * 1e3)),
            *headers,
        ]
        if self.connection is None or not self.connection.respond(status, head, body):
            await self._send({"type": "http.response.start", "status": status, "headers": head})
            await self._send({"type": "http.response.body", "body": body})

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
