"""One gateway: applies route tables, keeps a dispatcher per service, counts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from bentod.dispatch.dispatcher import Dispatcher
from bentod.dispatch.link import SocketLink
from bentod.gateway.app import App
from bentod.gateway.routes import Counts, Operation, Routes, limits, operation, pages
from bentod.wire.messages import ApiRoute, ApiStats, Message, RouteTable, Stats, Unusable


class Gateway:
    """What the daemon's messages act upon. `tell` sends a message to the daemon. It is number `index` of `gateways`."""

    def __init__(self, app: App, tell: Callable[[Message], None], index: int = 0, gateways: int = 1) -> None:
        self._app = app
        self._tell = tell
        self._index = index
        self._gateways = gateways
        self._dispatchers: dict[str, Dispatcher] = {}
        self._counts: dict[str, Counts] = {}
        self._operations: dict[str, Operation] = {}
        self._seen: dict[str, tuple[object, ...]] = {}
        self.table: RouteTable | None = None

    async def apply(self, table: RouteTable) -> None:
        """Connect to the table's workers, then serve by it."""
        for service in table.services:
            if service.name not in self._dispatchers:
                self._dispatchers[service.name] = self._dispatcher(service.name)
        await asyncio.gather(*(self._dispatchers[service.name].update(service) for service in table.services))
        operations = {api.path: self._operation(api, table) for api in table.apis}
        self._operations = {operation.api.name: operation for operation in operations.values()}
        self._seen = {name: key for name, key in self._seen.items() if name in self._operations}
        self._app.use(Routes(table, operations, pages(table)), self._dispatchers)
        self.table = table

    def _dispatcher(self, name: str) -> Dispatcher:
        turn = self._index / self._gateways
        return Dispatcher(name, SocketLink.open, lambda pid, reason: self._tell(Unusable(name, pid, reason)), turn)

    def _operation(self, api: ApiRoute, table: RouteTable) -> Operation:
        """Compiled anew only if something that matters changed."""
        service = next(service for service in table.services if service.name == api.service)
        key = (api, service.methods, table.types)
        if self._seen.get(api.name) != key:
            counts = self._counts.setdefault(api.name, Counts())
            dispatcher = self._dispatchers[api.service]
            made = operation(api, table.types, service.methods, dispatcher, counts)
            made.queue.limits = limits(api, self._index, self._gateways)
            self._operations[api.name] = made
            self._seen[api.name] = key
        return self._operations[api.name]

    def stats(self, number: int, connections: int) -> Stats:
        """What was counted so far."""
        apis = tuple(_stats(name, counts) for name, counts in self._counts.items())
        answered = [dispatcher.answered() for dispatcher in self._dispatchers.values()]
        workers = {str(pid): calls for one in answered for pid, calls in one.items()}
        return Stats(number, apis, workers, connections)


def _stats(name: str, counts: Counts) -> ApiStats:
    queue = counts.queue
    return ApiStats(name, queue.waiting, queue.running, dict(counts.codes), queue.batches, queue.batched)
