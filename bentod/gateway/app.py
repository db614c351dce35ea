"""The ASGI application: finds what a request is for, and answers it whatever happens."""

from __future__ import annotations

import asyncio
import sys
import traceback
from collections.abc import Callable, Mapping

from bentod.dispatch.dispatcher import Dispatcher
from bentod.errors import CallError, Draining, Internal, MethodNotAllowed, NotFound
from bentod.gateway import system
from bentod.gateway.exchange import Exchange, Receive, Scope, Send
from bentod.gateway.infer import Limits, infer
from bentod.gateway.killers import Killers
from bentod.gateway.problems import kind_of
from bentod.gateway.record import Record
from bentod.gateway.routes import Operation, Routes
from bentod.gateway.system import Documents, Page

AccessLog = Callable[[Record, str], None]
"""Takes a finished request to an API and the API's name."""

_NOT_PLAIN = frozenset("%?#")


class App:
    """Serves the current routes; `use` swaps them between two requests."""

    def __init__(self, limits: Limits, access_log: AccessLog | None) -> None:
        self._limits = limits
        self._access_log = access_log
        self._routes: Routes | None = None
        self._plain: dict[bytes, Operation] = {}
        self._dispatchers: Mapping[str, Dispatcher] = {}
        self._documents: Documents | None = None
        self.killers = Killers()
        self.changed: list[Callable[[], None]] = []
        """Called when a request may not be for what the same one was for before."""
        self.draining = False
        self.running = 0

    def use(self, routes: Routes, dispatchers: Mapping[str, Dispatcher]) -> None:
        """From now on serve these; requests that have begun end with those that they began with. `dispatchers` are
        those of the services."""
        before = self._routes.operations if self._routes is not None else {}
        self._routes, self._dispatchers = routes, dispatchers
        self._documents = Documents(routes.table)
        self._plain = {
            path.encode(): operation
            for path, operation in routes.operations.items()
            if operation.plain and _NOT_PLAIN.isdisjoint(path)
        }
        if any(routes.operations.get(path) is not operation for path, operation in before.items()):
            self._tell_changed()

    def limit(self, limits: Limits) -> None:
        """Requests that begin from now on have these limits."""
        self._limits = limits

    def remember_killer(self, api: str, request_id: str, deaths: int) -> None:
        """So many workers died of this request: refuse it if it comes again."""
        self.killers.add(api, request_id, deaths)
        self._tell_changed()

    def _tell_changed(self) -> None:
        for tell in self.changed:
            tell()

    def plain(self, target: bytes) -> Operation | None:
        """The API that a request's target names as it is, if its calls are plain JSON and may begin now."""
        return None if self.draining else self._plain.get(target)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One ASGI connection scope; only HTTP is spoken."""
        if scope["type"] != "http":
            raise RuntimeError(f"unknown ASGI scope {scope['type']}")
        exchange = Exchange(scope, receive, send)
        operation = self._routes.operations.get(exchange.path) if self._routes is not None else None
        self.running += 1
        try:
            await self._answer(exchange, operation)
        finally:
            self.ended(exchange, operation)

    def ended(self, record: Record, operation: Operation | None) -> None:
        """A request that was running has been answered: log it, count it."""
        self.running -= 1
        if self._access_log is not None and record.code:  # not the pages of the system, unless they are missed
            self._access_log(record, operation.api.name if operation is not None else "")
        if operation is not None:
            operation.counts.codes[record.code] += 1

    async def _answer(self, exchange: Exchange, operation: Operation | None) -> None:
        """The page, the API's answer, or the problem that is in the way. Raises only after an answer has begun."""
        try:
            if operation is None:
                await self._page(exchange)
                return
            if self.draining:
                raise draining()
            if self.killers:
                self.killers.check(operation.api.name, exchange.request_id)
            await infer(operation, exchange, self._limits)
        except CallError as error:
            exchange.log = exchange.log or error.log
            await exchange.problem(error)
        except asyncio.CancelledError:  # the time to drain is over
            if exchange.status:
                exchange.code = kind_of(draining()).code
                raise
            await exchange.problem(draining())
        except Exception:  # noqa: BLE001 - a bug of ours ends one exchange
            sys.stderr.write(traceback.format_exc())
            if exchange.status:
                exchange.code = kind_of(Internal()).code
                exchange.abort()
                return
            await exchange.problem(Internal())

    async def _page(self, exchange: Exchange) -> None:
        page = self._routes.pages.get(exchange.path) if self._routes is not None else "live"
        if page is None:
            raise NotFound(f"nothing is served at {exchange.path}")
        if exchange.method not in {"GET", "HEAD"}:
            raise MethodNotAllowed("the route takes GET", headers={"allow": "GET, HEAD"})
        status, body, media_type, headers = self._render(page)
        await exchange.answer(status, body, media_type, headers)

    def _render(self, page: str) -> Page:
        if self._routes is None or self._documents is None or page == "live":
            return system.live()
        table = self._routes.table
        if page == "ready":
            return system.ready(table, self._dispatchers)
        if page == "index":
            return system.index(table)
        return self._documents.openapi() if page == "openapi" else self._documents.docs()


def draining() -> Draining:
    """The error of a request that comes when the server ends, or is not done in time."""
    return Draining("the server is shutting down", headers={"connection": "close"})
