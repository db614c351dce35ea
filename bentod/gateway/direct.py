"""Calls of plain JSON, answered without ASGI: no scope, no task, no events, and nothing that a client could tell."""

from __future__ import annotations

import asyncio
import sys
import time
import traceback
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from bentod.dispatch.call import Answer, Call
from bentod.errors import CallError, Internal
from bentod.gateway import head, problems
from bentod.gateway.app import App, draining
from bentod.gateway.heads import Head
from bentod.gateway.infer import admitted, taken
from bentod.gateway.record import Header, Record, new_request_id
from bentod.iotypes.media_types import JSON
from bentod.wire.intake import Memory

_JSON = JSON.encode()
_NO_DIMENSIONS: dict[str, int] = {}


class Connection(Protocol):
    """What a call needs of the connection that it came on."""

    loop: asyncio.AbstractEventLoop
    on_gone: Any

    def respond(self, status: int, headers: Iterable[Header], body: Sequence[Memory]) -> bool:
        """Send a whole answer, unless the client is gone."""

    def respond_plainly(self, fields: bytes, body: bytes) -> None:
        """Send a good answer with these header fields, unless the client is gone."""


class _Silent:
    """An event that nobody waits for."""

    def set(self) -> None:
        """Nothing happens."""


class Direct(Record):
    """One call, at once its record and what uvicorn knows a request by that is being answered."""

    more_body = False
    waiting_for_100_continue = False
    message_event = _Silent()
    scope: Mapping[str, str] = {"method": "POST", "http_version": "1.1"}

    _call: Call | None = None
    _error: CallError | None = None
    keep_alive = True
    disconnected = response_started = response_complete = False

    def __init__(self, found: Head, connection: Connection, app: App) -> None:
        self.started = time.monotonic()
        self.method, self.path, self.headers = "POST", found.path, found.headers
        self.request_id = found.request_id or new_request_id()
        self._operation = found.operation
        self._connection = connection
        self._app = app

    @property
    def transport(self) -> Any:
        """Where the answer goes."""
        return self._connection.transport  # type: ignore[attr-defined]

    def begin(self, body: bytes) -> None:
        """Have the call made, or refused; the answer follows."""
        operation = self._operation
        self._app.running += 1
        self.bytes_in = len(body)
        try:
            call = self._call = admitted(operation, self, body)
            call.on_finished = self.answer
            self._connection.on_gone = self._left
            operation.dispatcher.submit(call)
            operation.deadlines.watch(call)
        except CallError as error:
            self._fail(error)
        except Exception:  # noqa: BLE001 - a bug of ours ends one exchange
            sys.stderr.write(traceback.format_exc())
            self._fail(Internal())

    def _fail(self, error: CallError) -> None:
        """The answer comes later: a parser may be in the middle of what follows."""
        self._error = error
        self._connection.on_gone = None
        if self._call is not None:
            self._call.on_finished = None
            self._call = None
        self._connection.loop.call_soon(self.answer)

    def _left(self) -> None:
        """The client has gone."""
        if self._call is not None:
            self._operation.dispatcher.abandon(self._call)

    def cut_off(self) -> None:
        """The time to drain is over."""
        call = self._call
        if call is not None and not call.done:
            self._error = draining()
            self._operation.dispatcher.abandon(call)

    def answer(self) -> None:
        """Send what the call has come to."""
        try:
            if self._error is not None or self._call is None:
                raise self._error or Internal()
            self._tell(taken(self._operation, self, self._call))
        except CallError as error:
            self.log = self.log or error.log
            self._refuse(error)
        except Exception:  # noqa: BLE001 - as above
            sys.stderr.write(traceback.format_exc())
            self._refuse(Internal())
        finally:
            if self._call is not None:
                self._call.on_finished = None
                self._call = None
            self._app.ended(self, self._operation)

    def _tell(self, answer: Answer) -> None:
        """Send an answer. Raises CallError."""
        operation = self._operation
        payload = operation.writer.json(answer.value, _NO_DIMENSIONS)
        if answer.status is not None or answer.headers:
            status, headers = head.chosen(answer)
            self.code = "ok"
            self._connection.respond(status, self.whole(status, len(payload), _JSON, headers), (payload,))
            return
        self.code = "ok"
        self.status, self.bytes_out = 200, len(payload)
        self._connection.respond_plainly(
            b"content-type: application/json\r\nx-request-id: %b\r\nserver-timing: %b\r\ncontent-length: %d\r\n"
            % (self.request_id.encode(), self.timing(), self.bytes_out),
            payload,
        )

    def _refuse(self, error: CallError) -> None:
        problem = self.failed(error)
        if not self.disconnected:
            media_type = problems.MEDIA_TYPE.encode()
            fields = self.whole(problem.status, len(problem.body), media_type, problem.headers)
            self._connection.respond(problem.status, fields, (problem.body,))
