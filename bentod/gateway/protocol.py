"""uvicorn's HTTP/1.1 protocol with what a public server needs besides: limits on slow heads, problems for what is no
HTTP, a call when a client leaves, and closing without losing the answer."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable, Iterable, Sequence
from email.utils import formatdate
from http import HTTPStatus
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from bentod.gateway import problems
from bentod.gateway.exchange import CONNECTION, Header, new_request_id
from bentod.gateway.problems import Kind
from bentod.gateway.shared import Shared
from bentod.wire.intake import Memory

_LINGER_S = 2.0
_RESET = struct.pack("ii", 1, 0)
_MAX_HEAD = 64 * 1024
_BODY_AHEAD = 1024 * 1024
_TOGETHER = 64 * 1024


class HttpProtocol(HttpToolsProtocol):
    """One client connection."""

    def __init__(self, shared: Shared) -> None:
        super().__init__(shared.config, shared.state, {})
        self._shared = shared
        self._head_timer: asyncio.TimerHandle | None = None
        self._head_bytes = 0
        self._in_head = False
        self._lingering = False
        self._current: RequestResponseCycle | None = None
        """The request that is being answered; `cycle` is the last one that was parsed."""
        self._refusal: Kind | None = None
        self.on_gone: Callable[[], None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(cast(asyncio.Transport, transport))
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_arrived()
        super().connection_lost(exc)
        current = self._current  # uvicorn tells only the last one that was parsed
        if current is not None and not current.response_complete:
            current.disconnected = True
            current.message_event.set()
            if self.on_gone is not None:
                self.on_gone()
        self.on_gone = None

    def data_received(self, data: bytes) -> None:
        if self._lingering or self._refusal is not None:
            return
        self._fresh_date()
        super().data_received(data)
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > _MAX_HEAD:
                self._refuse(problems.HEAD_TOO_LARGE)
            elif self._head_timer is None:
                self._await_head()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True
        cast(dict[str, Any], self.scope)[CONNECTION] = self

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._head_bytes = 0
        if self._head_timer is not None:
            self._head_arrived()
        super().on_headers_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._current = cycle
        super()._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        self.on_gone = None
        if self._lingering:
            return
        super().on_response_complete()
        if self._refusal is not None:
            self._refuse(self._refusal)

    def _await_head(self) -> None:
        self._head_timer = self.loop.call_later(self._shared.header_timeout_s, self._head_late)

    def _head_arrived(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_late(self) -> None:
        self._head_timer = None
        if self._in_head:
            self._refuse(problems.HEAD_TIMEOUT)
        else:
            self.transport.close()

    def _fresh_date(self) -> None:
        """The Date header, renewed once a second while somebody asks."""
        now = self.loop.time()
        if now - self._shared.date_at >= 1.0:
            self._shared.date_at = now
            text = formatdate(usegmt=True).encode()
            self._shared.date = b"date: " + text + b"\r\n"
            self.server_state.default_headers[:] = [(b"date", text)]

    def send_400_response(self, msg: str) -> None:
        self._refuse(problems.MALFORMED_REQUEST)

    def _unsupported_upgrade_warning(self) -> None:
        """An upgrade that is not taken is ignored (RFC 9110, 7.8): no words about it."""

    def _refuse(self, kind: Kind) -> None:
        """Answer what never became a request, after those before it that did, and close."""
        broken, current = cast(RequestResponseCycle | None, self.cycle), self._current
        if broken is not None and broken.more_body and not broken.response_complete:  # it broke in this one's body
            broken.disconnected = True
            broken.message_event.set()
            if broken is not current:
                self.pipeline.popleft()
        if current is not None and not current.response_complete and not current.disconnected:
            self._refusal = kind
            return
        if not self.transport.is_closing():
            request_id = new_request_id()
            body = problems.render(kind, request_id, {})
            head = (
                f"HTTP/1.1 {kind.status} {HTTPStatus(kind.status).phrase}\r\ndate: {formatdate(usegmt=True)}\r\n"
                f"content-type: {problems.MEDIA_TYPE}\r\ncontent-length: {len(body)}\r\n"
                f"x-request-id: {request_id}\r\nconnection: close\r\n\r\n"
            )
            self.transport.write(head.encode() + body)
        self.transport.close()

    def on_body(self, body: bytes) -> None:
        """uvicorn's, with more room before a client has to wait."""
        cycle = self.cycle
        if cycle.response_complete:
            return
        cycle.body += body
        if len(cycle.body) > _BODY_AHEAD:
            self.flow.pause_reading()
        cycle.message_event.set()

    @property
    def gone(self) -> bool:
        """Whether the client of the current request went away."""
        return self._current is not None and self._current.disconnected

    @property
    def stalled(self) -> bool:
        """Whether the client does not take what was sent."""
        return self.flow.write_paused

    def take_body(self) -> bytes | bytearray | None:
        """The whole body of the current request if it has arrived, once."""
        cycle = self._current
        if cycle is None or cycle.more_body or cycle.disconnected:
            return None
        body, cycle.body = cycle.body, bytearray()
        return body

    async def arrived(self, limit: int) -> bool:
        """Wait until the whole body is here or more than `limit` bytes of it are; false if the client went away."""
        cycle = self._current
        assert cycle is not None
        if cycle.waiting_for_100_continue and not self.transport.is_closing():
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            cycle.waiting_for_100_continue = False
        while cycle.more_body and not cycle.disconnected and len(cycle.body) <= limit:
            self.flow.resume_reading()
            cycle.message_event.clear()
            await cycle.message_event.wait()
        return not cycle.disconnected

    def respond(self, status: int, headers: Iterable[Header], body: Sequence[Memory]) -> bool:
        """Send a whole answer in one system call, if it can go out now.

        This does what uvicorn's `send` does with two messages, which costs a tenth of a call's time: it checks every
        header with regular expressions and writes head and body separately.
        """
        cycle = self._current
        if cycle is None or cycle.disconnected or cycle.response_started or self.flow.write_paused:
            return False
        head = self._started(cycle, status, headers)
        pieces = body if cycle.scope["method"] != "HEAD" else ()
        if sum(map(len, pieces)) <= _TOGETHER:
            cycle.transport.write(b"".join([*head, *pieces]))
        else:
            cycle.transport.writelines([b"".join(head), *pieces])
        self._completed(cycle)
        return True

    def begin(self, status: int, headers: Iterable[Header], *, sized: bool) -> None:
        """Send the head of an answer that comes piece by piece. Without a size HTTP/1.0 ends with the connection."""
        cycle = self._current
        if cycle is None or cycle.disconnected:
            return
        cycle.chunked_encoding = not sized and cycle.scope["http_version"] == "1.1"
        cycle.keep_alive = cycle.keep_alive and (sized or cycle.chunked_encoding)
        how = [(b"transfer-encoding", b"chunked")] if cycle.chunked_encoding else []
        cycle.transport.write(b"".join(self._started(cycle, status, [*headers, *how])))

    async def more(self, piece: bytes) -> None:
        """Send a piece, after what the client has not taken yet."""
        cycle = self._current
        if self.flow.write_paused:
            await self.flow.drain()
        if cycle is None or cycle.disconnected:
            return
        cycle.transport.write(b"%x\r\n%b\r\n" % (len(piece), piece) if cycle.chunked_encoding else piece)

    def end(self) -> None:
        """The answer is complete."""
        cycle = self._current
        if cycle is None or cycle.disconnected:
            return
        if cycle.chunked_encoding:
            cycle.transport.write(b"0\r\n\r\n")
        self._completed(cycle)

    def _started(self, cycle: RequestResponseCycle, status: int, headers: Iterable[Header]) -> list[bytes]:
        """The head of an answer, as it is written."""
        if cycle.more_body:  # the rest of the body will not be read, so this answer is the last one
            cycle.keep_alive = False
            cycle.transport = _LastWords(self)  # type: ignore[assignment]
        parts = [STATUS_LINE[status], self._shared.date]
        for name, value in headers:
            if name == b"connection":  # only ever `close`
                cycle.keep_alive = False
            else:
                parts += (name, b": ", value, b"\r\n")
        parts.append(b"\r\n" if cycle.keep_alive else b"connection: close\r\n\r\n")
        cycle.response_started = True
        return parts

    def _completed(self, cycle: RequestResponseCycle) -> None:
        cycle.response_complete = True
        cycle.message_event.set()
        if not cycle.keep_alive:
            cycle.transport.close()
        cycle.on_response()

    def abort(self) -> None:
        """Cut the connection off; reset it where its end would be the end of the answer (HTTP/1.0)."""
        cycle = self._current
        if cycle is not None:
            cycle.disconnected = True
            if cycle.scope["http_version"] == "1.0" and not self.transport.is_closing():
                peer = self.transport.get_extra_info("socket")
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.transport.abort()

    def last_words_said(self) -> None:
        """The last answer is written, while the client may still be sending. Closing now would make the kernel reset
        the connection, and the client could lose the answer: so say the end, listen a little, close."""
        self._lingering = True
        self.flow.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.loop.call_later(_LINGER_S, self.transport.close)

    def eof_received(self) -> None:
        if self._lingering:
            self.transport.close()


class _LastWords:
    """A transport that lingers instead of closing."""

    def __init__(self, protocol: HttpProtocol) -> None:
        self._protocol = protocol
        self.write = protocol.transport.write
        self.writelines = protocol.transport.writelines
        self.is_closing = protocol.transport.is_closing

    def close(self) -> None:
        self._protocol.last_words_said()


def factory(shared: Shared) -> Callable[[], Any]:
    """Makes a protocol for each connection."""
    return lambda: HttpProtocol(shared)
