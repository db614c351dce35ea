"""Has workers answer the examples of their APIs before they get calls, each as one of these would be answered."""

from __future__ import annotations

import asyncio
import json
import sys
import traceback
from collections.abc import Callable, Iterable, MutableMapping, Sequence
from dataclasses import replace
from typing import Any

from bentod.codec import expect
from bentod.codec.expect import Expectation
from bentod.dispatch.crew import Connect
from bentod.dispatch.dispatcher import Dispatcher
from bentod.dispatch.link import SocketLink
from bentod.errors import DeadlineExceeded
from bentod.gateway.app import App
from bentod.gateway.counts import Counts
from bentod.gateway.exchange import CONNECTION, Scope
from bentod.gateway.infer import Limits
from bentod.gateway.problems import KINDS
from bentod.gateway.problems import MEDIA_TYPE as PROBLEM
from bentod.gateway.record import Header, Record
from bentod.gateway.routes import Operation, Routes, limits, operation, prepare
from bentod.iotypes.layout import layout, specials
from bentod.iotypes.media_types import JSON
from bentod.iotypes.special import SpecialType
from bentod.wire.intake import Memory
from bentod.wire.messages import (
    ApiRoute,
    Example,
    ExampleFailure,
    Message,
    Rehearse,
    Rehearsed,
    RouteTable,
    ServiceRoute,
    Unusable,
    WorkerRoute,
)

_MOST_ANSWER = 128 * 1024 * 1024
_MOST_LOG, _MOST_TEXT, _MOST_FAILURES = 2_000, 6_000, 100
_MARGIN_S = 5.0
_SOON = 64 * 1024  # bytes of an answer that are compared before others notice
_LATE = KINDS[DeadlineExceeded].code


class Rehearsals:
    """Those of one gateway; any number at once. `tell` sends a message to the daemon."""

    def __init__(self, limits: Limits, tell: Callable[[Message], None], connect: Connect = SocketLink.open) -> None:
        self._limits = limits
        self._tell = tell
        self._connect = connect
        self._running: dict[asyncio.Task[None], RouteTable] = {}

    @property
    def tables(self) -> tuple[RouteTable, ...]:
        """Whose workers are being tried now."""
        return tuple(self._running.values())

    def begin(self, order: Rehearse) -> None:
        """Try the workers of a table; the daemon is told what came of it."""
        task = asyncio.get_running_loop().create_task(self._run(order))
        self._running[task] = order.table
        task.add_done_callback(self._running.pop)

    async def _run(self, order: Rehearse) -> None:
        try:
            examples, failures = await self._tried(order.table)
        except Exception:  # noqa: BLE001 - the daemon waits for an answer
            sys.stderr.write(traceback.format_exc())
            examples, failures = 0, [ExampleFailure("", "", "the gateway could not try the examples: see its log")]
        self._tell(Rehearsed(order.number, examples, tuple(failures[:_MOST_FAILURES])))

    async def _tried(self, table: RouteTable) -> tuple[int, list[ExampleFailure]]:
        """How many examples were tried, and those that failed."""
        pairs = [(service, worker) for service in table.services for worker in service.workers]
        stages = [_Stage(table, service, worker, self._limits, self._tell, self._connect) for service, worker in pairs]
        found = await asyncio.gather(*(stage.run() for stage in stages if stage.apis))
        return sum(count for count, _ in found), [failure for _, failures in found for failure in failures]


class _Stage:
    """One worker, called by nobody else. Its calls go through an application like the one that serves."""

    def __init__(
        self,
        table: RouteTable,
        service: ServiceRoute,
        worker: WorkerRoute,
        limits: Limits,
        tell: Callable[[Message], None],
        connect: Connect,
    ) -> None:
        self.apis = [api for api in table.apis if api.service == service.name and api.examples]
        self._table = table
        self._service = replace(service, workers=(worker,), wanted=1, admit=False)
        self._worker = worker
        self._tell = tell
        self._dispatcher = Dispatcher(service.name, connect, self._unusable)
        self._app = App(limits, self._heard)
        self._lost = False
        self._record: Record | None = None

    def _unusable(self, pid: int, reason: str) -> None:
        self._lost = True
        self._tell(Unusable(self._service.name, pid, reason))

    def _heard(self, record: Record, api: str) -> None:
        self._record = record

    async def run(self) -> tuple[int, list[ExampleFailure]]:
        """How many examples were tried, and those that failed. The first that loses the worker, or its slot, is the
        last."""
        await asyncio.to_thread(prepare, self._kinds())  # others are served meanwhile
        await self._dispatcher.update(self._service)
        try:
            operations = {api.path: self._operation(api) for api in self.apis}
            self._app.use(Routes(self._table, operations, {}), {})
            return await self._all()
        finally:
            await self._dispatcher.update(replace(self._service, workers=()))

    def _kinds(self) -> list[SpecialType]:
        schemas = [schema for api in self.apis for schema in (api.input, api.output)]
        return [kind for schema in schemas for kind in specials(layout(schema, self._table.types))]

    def _operation(self, api: ApiRoute) -> Operation:
        """An API as it will serve, but nobody is waited for."""
        counts = Counts()
        made = operation(api, self._table.types, self._service.methods, self._dispatcher, counts)
        made.queue.limit(replace(limits(api), max_delay_s=0.0))
        return made

    async def _all(self) -> tuple[int, list[ExampleFailure]]:
        count = 0
        failures: list[ExampleFailure] = []
        for api in self.apis:
            expectation = Expectation(api.output, self._table.types, api.stream)
            for example in api.examples:
                count += 1
                text = await self._one(api, example, expectation)
                if text:
                    failures.append(ExampleFailure(api.name, example.name, text[:_MOST_TEXT]))
                if self._lost or (self._record is not None and self._record.code == _LATE):
                    return count, failures
                await asyncio.sleep(0)  # others have waited
        return count, failures

    async def _one(self, api: ApiRoute, example: Example, expectation: Expectation) -> str:
        """Why an example fails; empty if it does not."""
        if self._lost or not self._dispatcher.ready:
            self._lost = True
            return f"the worker (pid {self._worker.pid}) died, or cannot be reached"
        accept = expectation.accept(example.output, has_output=example.has_output)
        client = _Client(json.dumps(example.input).encode(), keep=example.has_output or bool(api.stream))
        limit_s = api.timeout_s + (api.stream_idle_s if api.stream else _MARGIN_S)
        timer = asyncio.get_running_loop().call_later(limit_s, client.leave)
        try:
            await self._app(_scope(api.path, accept, client), _nothing, _nowhere)
        finally:
            timer.cancel()
        return await self._judged(client, example, expectation, limit_s)

    async def _judged(self, client: _Client, example: Example, expectation: Expectation, limit_s: float) -> str:
        record = self._record
        assert record is not None
        if self._lost:
            return f"the worker (pid {self._worker.pid}) died while it answered this example"
        if client.full:
            return f"the answer is larger than {_MOST_ANSWER} bytes"
        if client.gone:
            record.code = _LATE
            return f"the answer was not complete after {limit_s:g} s"
        body = b"".join(client.pieces)
        if client.media_type == PROBLEM:
            return _lines(expect.refusal(client.status, body), record.log)
        if not client.complete:
            return _lines(f"the answer was cut off: {record.code}", record.log)
        given = (body, client.media_type, example.output, example.tolerance)
        if expectation.special or len(body) > _SOON:
            fault = await asyncio.to_thread(expectation.fault, *given, has_output=example.has_output)
        else:
            fault = expectation.fault(*given, has_output=example.has_output)
        return _lines(fault, record.log) if fault else ""


def _lines(text: str, log: str) -> str:
    """What is wrong, and what the worker said of it: the traceback of the user's code."""
    return f"{text}\n{log.strip()[-_MOST_LOG:]}" if log.strip() else text


class _Client:
    """The other end of one exchange: what our own server would be to it. `keep`: the body of a good answer matters."""

    def __init__(self, body: bytes, *, keep: bool) -> None:
        self.on_gone: Callable[[], None] | None = None
        self.gone = self.full = self.complete = False
        self.status = 0
        self.media_type = ""
        self.pieces: list[bytes] = []
        self._body: bytes | None = body
        self._keep = keep
        self._size = 0

    def leave(self) -> None:
        """Wait no longer."""
        self.gone = True
        if self.on_gone is not None:
            self.on_gone()

    def take_body(self) -> bytes | None:
        """The body, once."""
        body, self._body = self._body, None
        return body

    async def arrived(self, limit: int) -> bool:
        """All of it is there at once."""
        return True

    def respond(self, status: int, headers: Iterable[Header], body: Sequence[Memory]) -> bool:
        """A whole answer."""
        self.begin(status, headers, sized=True)
        for piece in body:
            self._take(piece)
        self.complete = True
        return True

    def begin(self, status: int, headers: Iterable[Header], *, sized: bool) -> None:
        """The head of an answer."""
        self.status = status
        self.media_type = dict(headers).get(b"content-type", b"").decode("latin-1")

    async def more(self, piece: bytes) -> None:
        """A piece of the answer."""
        self._take(piece)
        await asyncio.sleep(0)  # no other client is this fast

    def _take(self, piece: Memory) -> None:
        self._size += len(piece)
        if not self._keep and self.media_type != PROBLEM:
            return
        if self._size > _MOST_ANSWER:
            self.full = True
            self.leave()
            return
        self.pieces.append(bytes(piece))

    def end(self) -> None:
        """The answer is complete."""
        self.complete = True

    def abort(self) -> None:
        """The answer is cut off."""


def _scope(path: str, accept: str | None, client: _Client) -> Scope:
    headers = [(b"content-type", JSON.encode()), *([(b"accept", accept.encode())] if accept is not None else [])]
    return {"type": "http", "method": "POST", "path": path, "headers": headers, CONNECTION: client}


async def _nothing() -> MutableMapping[str, Any]:
    """No message comes: the client has the body."""
    return {"type": "http.disconnect"}


async def _nowhere(message: MutableMapping[str, Any]) -> None:
    """No message goes: the client takes the answer."""
