"""One request of `bentod bench` and what came back, and the connection that carries them. Times are monotonic.

A client library costs more than many an answer: with aiohttp the generator, not the server, is what one measures.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from contextlib import suppress
from typing import cast

import httptools

from bentod.codec.chunks import DECODERS, Decoder, StreamFailed

_MOST_OF_A_PROBLEM = 64 * 1024
_TIMING = re.compile(rb'(queue|run|batch);(?:dur|desc)="?([0-9]+(?:\.[0-9]+)?)')
_CODE = re.compile(r"[a-z0-9-]{1,64}")
Clock = Callable[[], float]


class Exchange:
    """A request that is to start at `intended`, and then its answer. `failure` is a problem's code, or ours."""

    __slots__ = ("_body", "_decoder", "chunks", "ended", "failure", "first", "headers", "intended", "late", "request",
                 "size", "status")  # fmt: skip

    def __init__(self, intended: float, request: bytes) -> None:
        self.intended = intended
        self.request = request
        self.late = self.first = self.ended = 0.0
        self.status = self.size = self.chunks = 0
        self.failure = ""
        self.headers: dict[bytes, bytes] = {}
        self._body = b""
        self._decoder: Decoder | None = None

    @property
    def timing(self) -> dict[bytes, float]:
        """What `Server-Timing` says: `queue` and `run` in milliseconds, and the size of the `batch`."""
        return {name: float(value) for name, value in _TIMING.findall(self.headers.get(b"server-timing", b""))}

    def begin(self, status: int) -> None:
        """The head has come."""
        self.status = status
        kind = self.headers.get(b"content-type", b"").partition(b";")[0].strip()
        decoder = DECODERS.get(kind.decode("latin-1"))
        if status < 300 and decoder is not None:
            self._decoder = decoder()

    def more(self, data: bytes, now: float) -> None:
        """A piece of the body has come."""
        self.first = self.first or now
        self.size += len(data)
        if self.status >= 300 and len(self._body) < _MOST_OF_A_PROBLEM:
            self._body += data
        elif self._decoder is not None and not self.failure:
            try:
                self.chunks += sum(1 for _ in self._decoder.feed(data))
            except StreamFailed as error:
                self.failure = code(str(error), "stream-failed")

    def end(self, now: float, failure: str = "") -> None:
        """All has come, or there was a failure."""
        self.ended = now
        if not failure and self.status >= 300:
            failure = code(self._body, f"http-{self.status}")
        elif not failure and self._decoder is not None and not self.failure:
            try:
                self._decoder.end()
            except StreamFailed as error:
                failure = code(str(error), "stream-failed")
        self.failure = self.failure or failure

    @property
    def detail(self) -> str:
        """The problem as it came, for people."""
        return self._body.decode("utf-8", "replace")


def code(problem: str | bytes, otherwise: str) -> str:
    """The code of a problem in JSON; `otherwise` if it is something else."""
    with suppress(ValueError, RecursionError):
        found = json.loads(problem)
        if isinstance(found, dict) and isinstance(found.get("code"), str) and _CODE.fullmatch(found["code"]):
            return str(found["code"])
    return otherwise


class Connection(asyncio.Protocol):
    """Carries one exchange at a time. `ended` is told of each that was sent, `lost` of the connection's own end."""

    def __init__(
        self, clock: Clock, ended: Callable[[Connection, Exchange], None], lost: Callable[[Connection], None]
    ) -> None:
        self._clock = clock
        self._ended = ended
        self._lost = lost
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._exchange: Exchange | None = None
        self._complete = False
        self.usable = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """From now on it can be used."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by its class
        self.usable = True

    def send(self, exchange: Exchange) -> None:
        """Send a request; the one before has been answered."""
        assert self._transport is not None
        self._exchange, self._complete = exchange, False
        self._transport.write(exchange.request)

    def close(self) -> None:
        """Nobody is told of an exchange that is cut off so."""
        self.usable, self._exchange = False, None
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Read an answer, or what nobody asked for."""
        exchange = self._exchange
        if exchange is None:
            self.close()
            self._lost(self)
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._fail("no-http")
            return
        if self._complete:
            self._exchange = None
            exchange.end(self._clock())
            if not self.usable:
                self.close()
            self._ended(self, exchange)

    def connection_lost(self, exc: Exception | None) -> None:
        """The peer, or we, have closed it."""
        self._fail("connection-lost")
        self._lost(self)

    def _fail(self, failure: str) -> None:
        exchange = self._exchange
        self.close()
        if exchange is not None:
            exchange.end(self._clock(), failure)
            self._ended(self, exchange)

    # ── httptools calls these ────────────────────────────────────────────────────────────────────

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header of the answer."""
        if self._exchange is not None:
            self._exchange.headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        """The head of the answer."""
        if self._exchange is not None:
            self._exchange.begin(self._parser.get_status_code())

    def on_body(self, body: bytes) -> None:
        """A piece of the answer's body."""
        if self._exchange is not None:
            self._exchange.more(body, self._clock())

    def on_message_complete(self) -> None:
        """The answer's end."""
        self._complete = True
        self.usable = self._parser.should_keep_alive()
