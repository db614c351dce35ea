"""Answers that come chunk by chunk: server-sent events, lines of JSON, or text and bytes as they are.

A client can always tell an end from a failure: events end with `event: end` or `event: error`, lines with nothing or
with `{"error": …}`, and raw streams that fail are cut off.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bentod.dispatch.call import Answer, StreamCall, TargetFailure
from bentod.errors import CallError, ClientGone, DeadlineExceeded, Draining, InvalidOutput
from bentod.gateway import head, problems
from bentod.gateway.exchange import Exchange
from bentod.gateway.routes import Operation
from bentod.iotypes.parts import Blob

_HEARTBEAT_S = 15.0
_NO_CHUNK = Answer(None, 0.0, 0.0)
_TELL_CHUNKS, _TELL_BYTES = 4, 64 * 1024  # what a client must have taken before its worker is told


@dataclass(frozen=True, slots=True)
class Framing:
    """How chunks are told apart. `error` is empty where a failure can only be told by cutting off."""

    chunk: bytes
    end: bytes = b""
    error: bytes = b""
    idle: bytes = b""


FRAMINGS = {
    # WHATWG HTML, 9.2 "Server-sent events"
    "sse": Framing(b"data: %b\n\n", b"event: end\ndata: null\n\n", b"event: error\ndata: %b\n\n", b":\n\n"),
    "ndjson": Framing(b"%b\n", error=b'{"error":%b}\n'),
    "raw": Framing(b"%b"),
}


async def stream(
    operation: Operation, exchange: Exchange, call: StreamCall, media_type: str, dimensions: Mapping[str, int]
) -> None:
    """Answer a call that streams. Raises CallError for what comes before the first chunk; later ones are sent."""
    sender = _Sender(operation, exchange, call, dimensions)
    begun = False
    try:
        chunks = await sender.first()
        await sender.begin(chunks, media_type)
        begun = True
        await sender.rest(chunks[1:])
    except CallError as error:
        failure = error
        if isinstance(error, TargetFailure):
            exchange.log, failure = error.log, problems.from_worker(error, operation.api.errors)
            exchange.run_s = exchange.run_s if begun else error.run_s
        if not begun:
            raise failure from None
        await sender.failed(failure)
    except asyncio.CancelledError:  # the time to drain is over
        if not begun:
            raise
        await sender.failed(Draining("the server is shutting down"))
    finally:
        operation.dispatcher.abandon(call)  # unless it has finished


class _Sender:
    """Sends the chunks of one call."""

    def __init__(
        self, operation: Operation, exchange: Exchange, call: StreamCall, dimensions: Mapping[str, int]
    ) -> None:
        self._operation = operation
        self._exchange = exchange
        self._call = call
        self._dimensions = dimensions
        self._framing = FRAMINGS[operation.api.stream]
        self._idle_s = operation.api.stream_idle_s
        self._untold_chunks = self._untold_bytes = 0

    async def first(self) -> list[Answer]:
        """The first chunks; none if the stream is empty. Raises CallError."""
        chunks: list[Answer] | None = []
        while chunks == []:
            chunks = await self._call.next(_HEARTBEAT_S)  # its deadline ends the call
        return chunks or []

    async def begin(self, chunks: list[Answer], media_type: str) -> None:
        """The head and the first chunk. Raises CallError before anything is sent."""
        exchange = self._exchange
        if chunks:
            exchange.first_s = time.monotonic() - exchange.started
            exchange.queue_s, exchange.run_s = chunks[0].queue_s, chunks[0].run_s
        status, headers = head.chosen(chunks[0] if chunks else _NO_CHUNK)
        first = self._framed(chunks[0]) if chunks else b""
        exchange.code = "ok"
        await exchange.begin(status, media_type.encode("latin-1"), headers)
        await self._send(first, 1)

    async def rest(self, chunks: list[Answer] | None) -> None:
        """All that comes after. Raises CallError."""
        waited_s = 0.0
        while chunks is not None:
            if chunks:
                waited_s = 0.0
                await self._send_all(chunks)
            step_s = min(_HEARTBEAT_S, self._idle_s - waited_s)
            chunks = await self._call.next(step_s)
            if chunks == []:
                waited_s += step_s
                if waited_s >= self._idle_s:
                    raise DeadlineExceeded(f"nothing came for {self._idle_s:g} s")
                await self._send(self._framing.idle, 0)
        await self._send(self._framing.end, 0)
        await self._exchange.end()

    async def failed(self, error: CallError) -> None:
        """End a stream that has begun with a problem, in a way that no client takes for its end."""
        exchange = self._exchange
        exchange.code, exchange.log = problems.kind_of(error).code, exchange.log or error.log
        if isinstance(error, ClientGone):
            return
        if not self._framing.error:
            exchange.abort()
            return
        await self._send(self._framing.error % problems.body(error, exchange.request_id), 0)
        await exchange.end()

    async def _send_all(self, chunks: list[Answer]) -> None:
        """Send chunks together; those before one that is no valid chunk all the same. Raises CallError."""
        framed: list[bytes] = []
        try:
            framed.extend(map(self._framed, chunks))
        finally:
            await self._send(b"".join(framed), len(framed))

    async def _send(self, data: bytes, chunks: int) -> None:
        """Send, and tell the worker now and then. Raises ClientGone."""
        if data:
            await self._exchange.more(data)
        self._untold_chunks += chunks
        self._untold_bytes += len(data)
        if self._untold_chunks >= _TELL_CHUNKS or self._untold_bytes >= _TELL_BYTES:
            self._operation.dispatcher.taken(self._call, self._untold_chunks)
            self._untold_chunks = self._untold_bytes = 0

    def _framed(self, chunk: Answer) -> bytes:
        """One chunk as its client wants it. Raises InvalidOutput or OutputUnserializable."""
        if self._operation.api.stream == "raw":
            return self._raw(chunk.value)
        return self._framing.chunk % self._operation.writer.json(chunk.value, self._dimensions)

    def _raw(self, value: Any) -> bytes:
        if isinstance(value, bytes) and self._operation.writer.layout is None:
            if self._operation.api.output in (True, {}):
                return value
            raise InvalidOutput(log="a chunk is bytes, and the output's schema is not: write `format: binary`")
        checked = self._operation.writer.check(value, self._dimensions)
        if isinstance(checked, Blob):
            return bytes(checked.data)
        if isinstance(checked, str):
            return checked.encode("utf-8", "replace")
        raise InvalidOutput(
            log=f"a chunk of a raw stream is text or bytes, and the callable gave {type(value).__name__}"
        )
