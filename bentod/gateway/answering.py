"""Writing answers to a connection: whole or piece by piece, to the last word, but not for ever to who does not read."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Iterable, Sequence

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from bentod.gateway.phrases import STATUS_LINES
from bentod.gateway.record import Header
from bentod.gateway.shared import Shared
from bentod.wire.intake import Memory

_LINGER_S = 2.0
_RESET = struct.pack("ii", 1, 0)
_TOGETHER = 64 * 1024


class Answering(HttpToolsProtocol):
    """The half of a connection that answers."""

    def __init__(self, shared: Shared) -> None:
        super().__init__(shared.config, shared.state, {})
        self._shared = shared
        self._lingering = False
        self._current: RequestResponseCycle | None = None
        """The request that is being answered; `cycle` is the last one that was parsed."""
        self._write_timer: asyncio.TimerHandle | None = None
        self._idle_since = 0.0
        self._idle_timer: asyncio.TimerHandle | None = None

    def connection_lost(self, exc: Exception | None) -> None:
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """The client takes less than there is: from now on it must take something now and then."""
        super().pause_writing()
        self._watch_writing(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None

    def _watch_writing(self, left: int) -> None:
        self._write_timer = self.loop.call_later(self._shared.write_timeout_s, self._check_writing, left)

    def _check_writing(self, left: int) -> None:
        now = self.transport.get_write_buffer_size()
        if now < left:
            self._watch_writing(now)
        else:
            self.abort()

    @property
    def gone(self) -> bool:
        """Whether the client of the current request went away."""
        return self._current is not None and self._current.disconnected

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

    def respond_plainly(self, fields: bytes, body: bytes) -> None:
        """Send a good answer with these header fields, unless the client is gone."""
        cycle = self._current
        if cycle is None or cycle.disconnected:
            return
        end = b"\r\n" if cycle.keep_alive else b"connection: close\r\n\r\n"
        if len(body) <= _TOGETHER:
            self.transport.write(b"".join((STATUS_LINES[200], self._shared.date, fields, end, body)))
        else:
            self.transport.writelines([b"".join((STATUS_LINES[200], self._shared.date, fields, end)), body])
        cycle.response_complete = True
        if not cycle.keep_alive:
            self.transport.close()
        self.on_response_complete()

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
        parts = [STATUS_LINES[status], self._shared.date]
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
        self.on_response_complete()

    def on_response_complete(self) -> None:
        """uvicorn starts and cancels a timer for every request. Here one looks now and then when the last one ended."""
        if self._lingering or self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
            return
        self._idle_since = self.loop.time()
        if self._idle_timer is None:
            self._idle_timer = self.loop.call_later(self._shared.config.timeout_keep_alive, self._check_idle)

    def _check_idle(self) -> None:
        self._idle_timer = None
        if self._arriving or (self._current is not None and not self._current.response_complete):
            return  # the next answer's end starts it again
        left_s = self._idle_since + self._shared.config.timeout_keep_alive - self.loop.time()
        if left_s > 0:
            self._idle_timer = self.loop.call_later(left_s, self._check_idle)
        else:
            self.transport.close()

    def limits_changed(self) -> None:
        """What waits for the next request waits as long as is said now."""
        if self._idle_timer is not None:
            self._idle_timer.cancel()
            self._check_idle()

    @property
    def _arriving(self) -> bool:
        """Whether a part of a request has come."""
        raise NotImplementedError

    def abort(self) -> None:
        """Cut the connection off; reset it where its end would be the end of the answer (HTTP/1.0)."""
        cycle = self._current
        if cycle is not None and not cycle.response_complete:
            cycle.disconnected = True
            if cycle.scope["http_version"] != "1.1" and not self.transport.is_closing():
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

    def __init__(self, protocol: Answering) -> None:
        self._protocol = protocol
        self.write = protocol.transport.write
        self.writelines = protocol.transport.writelines
        self.is_closing = protocol.transport.is_closing

    def close(self) -> None:
        self._protocol.last_words_said()
