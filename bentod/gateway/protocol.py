"""uvicorn's HTTP/1.1 protocol with what a public server needs besides: limits on slow heads, problems for what is no
HTTP, a call when a client leaves, and closing without losing the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from email.utils import formatdate
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from bentod.gateway import problems
from bentod.gateway.answering import Answering
from bentod.gateway.direct import Direct
from bentod.gateway.exchange import CONNECTION
from bentod.gateway.heads import Head
from bentod.gateway.phrases import STATUS_LINES
from bentod.gateway.problems import Kind
from bentod.gateway.record import new_request_id
from bentod.gateway.shared import Shared

_MAX_HEAD = 64 * 1024
_BODY_AHEAD = 1024 * 1024
_MOST_PIPELINED = 16
_VERSIONS = ("1.1", "1.0")
_SMALL, _AT_ONCE_S = 64 * 1024, 0.02


class HttpProtocol(Answering):
    """One client connection."""

    def __init__(self, shared: Shared) -> None:
        super().__init__(shared)
        self._head_timer: asyncio.TimerHandle | None = None
        self._head_bytes = 0
        self._in_head = False
        self._refusal: Kind | None = None
        self._found: Head | None = None
        """The head of a request that can be answered directly, while its body arrives: `_body`."""
        self._body = b""
        self._body_timer: asyncio.TimerHandle | None = None
        self._between = True
        """Whether the parser has had nothing since the last request was complete."""
        self._taken: tuple[Head, bytes] | None = None
        self.on_gone: Callable[[], None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(cast(asyncio.Transport, transport))
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_arrived()
        if self._found is not None:
            self._go_ordinary_way()
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
        if self.loop.time() - self._shared.date_at >= 1.0:
            self._fresh_date()
        if self._between and self._free and (seen := self._shared.heads.seen(data)) is not None:
            if self._head_timer is not None:
                self._head_arrived()
            self._begin_direct(seen, data[len(data) - seen.length :])
            return
        self._parse(data)
        if self._found is not None:
            self._await_body()
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > _MAX_HEAD:
                self._refuse(problems.HEAD_TOO_LARGE)
            elif self._head_timer is None:
                self._await_head()

    def _parse(self, data: bytes) -> None:
        first, self._between = self._between, False
        super().data_received(data)
        if self._taken is not None:
            if first:
                self._shared.heads.remember(data, *self._taken)
            self._taken = None

    def on_message_begin(self) -> None:
        """uvicorn makes the ASGI scope now; here that waits until it is known to be wanted."""
        self.url, self.headers, self.expect_100_continue = b"", [], False
        self._in_head, self._between = True, False

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._head_bytes = 0
        if self._head_timer is not None:
            self._head_arrived()
        version = self.parser.get_http_version()
        if version not in _VERSIONS:
            raise ValueError("an unknown version of HTTP")  # which makes it a malformed request
        if self._free and version == "1.1" and self._posts():
            self._found = self._shared.heads.fitting(self.url, self.headers)
        if self._found is None:
            self._begin_asgi()

    def _posts(self) -> bool:
        return self.parser.get_method() == b"POST" and self.parser.should_keep_alive()

    @property
    def _free(self) -> bool:
        """Whether nothing is being answered, and all answers are on their way."""
        current = self._current
        return (current is None or current.response_complete) and not self.pipeline and not self.flow.write_paused

    def _begin_asgi(self) -> None:
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expects
        self.headers += headers
        cast(dict[str, Any], self.scope)[CONNECTION] = self
        super().on_headers_complete()
        if 0 < len(self.pipeline) <= _MOST_PIPELINED:  # uvicorn has paused, and nobody would see the client leave
            self.flow.resume_reading()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._current = cycle
        if self._shared.leaving:
            cycle.keep_alive = False
        super()._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        self.on_gone = None
        super().on_response_complete()
        if self._refusal is not None and not self._lingering and not self.transport.is_closing():
            self._refuse(self._refusal)

    @property
    def _arriving(self) -> bool:
        return self._in_head or self._found is not None

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
        self._shared.date_at = self.loop.time()
        text = formatdate(usegmt=True).encode()
        self._shared.date = b"date: " + text + b"\r\n"
        self.server_state.default_headers[:] = [(b"date", text)]

    def send_400_response(self, msg: str) -> None:
        self._refuse(problems.MALFORMED_REQUEST)

    def _unsupported_upgrade_warning(self) -> None:
        """An upgrade that is not taken is ignored (RFC 9110, 7.8): no words about it."""
        self._between = False

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
                f"date: {formatdate(usegmt=True)}\r\n"
                f"content-type: {problems.MEDIA_TYPE}\r\ncontent-length: {len(body)}\r\n"
                f"x-request-id: {request_id}\r\nconnection: close\r\n\r\n"
            )
            self.transport.write(STATUS_LINES[kind.status] + head.encode() + body)
        self.transport.close()

    def on_body(self, body: bytes) -> None:
        """uvicorn's, with more room before a client has to wait."""
        if self._found is not None:
            self._body += body
            return
        cycle = self.cycle
        if cycle.response_complete:
            return
        cycle.body += body
        if len(cycle.body) > _BODY_AHEAD:
            self.flow.pause_reading()
        cycle.message_event.set()

    def on_message_complete(self) -> None:
        self._between = True
        late = self._body_timer is not None  # the body came after its head: the routes may have changed since
        if late and self._found is not None and self._shared.app.plain(self._found.target) is not self._found.operation:
            self._go_ordinary_way()
        if self._found is None:
            super().on_message_complete()
            return
        self._taken = found, body = self._found, self._body
        self._found, self._body = None, b""
        if self._body_timer is not None:
            self._body_timer.cancel()
            self._body_timer = None
        self._begin_direct(found, body)

    def _begin_direct(self, found: Head, body: bytes) -> None:
        direct = Direct(found, self, self._shared.app)
        self._current = self.cycle = cast(RequestResponseCycle, direct)  # it has all that uvicorn asks for
        if self._shared.leaving:
            direct.keep_alive = False
        direct.begin(body)

    def _await_body(self) -> None:
        """Only a part of the body has come. Many clients send it after the head: if it is small, it is here at once."""
        if len(self._body) > _SMALL:
            self._go_ordinary_way()
        elif self._body_timer is None:
            self._body_timer = self.loop.call_later(_AT_ONCE_S, self._go_ordinary_way)

    def _go_ordinary_way(self) -> None:
        """The body will take a while, or not come at all."""
        if self._body_timer is not None:
            self._body_timer.cancel()
            self._body_timer = None
        body, self._body, self._found = self._body, b"", None
        self._begin_asgi()
        if body:
            self.on_body(body)

    def see_off(self) -> None:
        """What is being answered is the last."""
        current = self._current
        if current is not None and not current.response_complete:
            current.keep_alive = False

    def shutdown(self) -> None:
        if self._found is not None:
            self._go_ordinary_way()
        super().shutdown()

    def cut_off(self) -> None:
        """The time to drain is over."""
        current: object = self._current
        if isinstance(current, Direct):
            current.cut_off()

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
        self.flow.resume_reading()  # also when all is here: else nobody would see the client leave
        return not cycle.disconnected


def factory(shared: Shared) -> Callable[[], Any]:
    """Makes a protocol for each connection."""
    return lambda: HttpProtocol(shared)
