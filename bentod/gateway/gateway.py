"""One gateway: applies route tables, keeps a dispatcher per pool, counts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping

from bentod.dispatch.call import Call
from bentod.dispatch.crew import Connect
from bentod.dispatch.dispatcher import Dispatcher
from bentod.dispatch.link import SocketLink
from bentod.dispatch.queue import Queue
from bentod.gateway.app import App
from bentod.gateway.counts import Counts
from bentod.gateway.killers import ENOUGH
from bentod.gateway.pools import Pools, key
from bentod.gateway.routes import Operation, Routes, compiled, limits, pages, placed
from bentod.wire.messages import (
    ApiRoute,
    Ceiling,
    Killed,
    Message,
    Method,
    RouteTable,
    ServiceRoute,
    Stats,
    Unusable,
)

_AT_ONCE_S = 0.005  # of work on a table, then requests have their turn

_Key = tuple[ApiRoute, tuple[Method, ...], Mapping[str, object]]


class Gateway:
    """What the daemon's messages act upon. `tell` sends a message to the daemon. It is number `index` of `gateways`."""

    def __init__(
        self,
        app: App,
        tell: Callable[[Message], None],
        index: int = 0,
        gateways: int = 1,
        connect: Connect = SocketLink.open,
    ) -> None:
        self._connect = connect
        self._app = app
        self._tell = tell
        self._index = index
        self._gateways = gateways
        self._pools = Pools(self._dispatcher)
        self._counts: dict[str, Counts] = {}
        self._operations: dict[str, Operation] = {}
        self._seen: dict[str, _Key] = {}
        self.table: RouteTable | None = None

    async def apply(self, table: RouteTable) -> None:
        """Connect to the table's workers and compile its APIs, then serve by it, from one moment to the next."""
        current = await self._pools.connect(table.services)
        made, seen = await self._compiled(table, current)
        self._operations = {
            name: self._placed(operation, current[operation.api.service]) for name, operation in made.items()
        }
        self._seen = seen
        self._adopt(table.services)
        self._counts.update((name, operation.counts) for name, operation in made.items())
        operations = {operation.api.path: operation for operation in self._operations.values()}
        self._app.use(Routes(table, operations, pages(table)), current)
        self.table = table
        self._pools.use(current, table.services)
        self._drop_counts()

    async def _compiled(
        self, table: RouteTable, current: Mapping[str, Dispatcher]
    ) -> tuple[dict[str, Operation], dict[str, _Key]]:
        """The table's APIs by name, compiled anew only if something that matters changed."""
        types = table.types
        if self.table is not None and self.table.types == types:
            types = self.table.types  # so that the same is seen at a glance
        methods = {service.name: service.methods for service in table.services if not service.retiring}
        made: dict[str, Operation] = {}
        seen: dict[str, _Key] = {}
        since = time.monotonic()
        for api in table.apis:
            seen[api.name] = key = (api, methods[api.service], types)
            if self._seen.get(api.name) == key:
                made[api.name] = self._operations[api.name]
            else:
                counts = self._counts.get(api.name) or Counts()
                made[api.name] = compiled(api, types, methods[api.service], current[api.service], counts)
            if time.monotonic() - since > _AT_ONCE_S:
                await asyncio.sleep(0)
                since = time.monotonic()
        return made, seen

    def _placed(self, operation: Operation, dispatcher: Dispatcher) -> Operation:
        found = placed(operation, dispatcher)
        found.queue.limit(limits(found.api, self._index, self._gateways))
        return found

    def _adopt(self, services: Iterable[ServiceRoute]) -> None:
        """What other gateways have learned of batches in the pools of today holds here, too."""
        for found in [found for route in services if not route.retiring for found in route.ceilings]:
            operation = self._operations.get(found.api)
            if operation is not None and operation.api.service == found.service:
                operation.queue.adopt(found.most, found.at)

    def _dispatcher(self, route: ServiceRoute) -> Dispatcher:
        name, pool = route.name, key(route)

        def unusable(pid: int, reason: str) -> None:
            self._tell(Unusable(name, pid, reason))

        def killed(call: Call, pid: int) -> None:
            api = call.queue.api
            if call.losses >= ENOUGH:
                self._app.remember_killer(api, call.request_id, call.losses)
            self._tell(Killed(name, pid, api, call.request_id, call.losses))

        def bounded(queue: Queue) -> None:
            self._tell(Ceiling(name, pool, queue.api, queue.ceiling.most, queue.ceiling.at))

        return Dispatcher(name, self._connect, unusable, self._index / self._gateways, killed, bounded)

    def _drop_counts(self) -> None:
        """Forget APIs that are served no more, once their last calls are answered."""
        for name, counts in list(self._counts.items()):
            if name not in self._operations and counts.idle:
                del self._counts[name]

    def stats(self, number: int, connections: int) -> Stats:
        """What was counted so far."""
        apis = tuple(counts.stats(name) for name, counts in self._counts.items())
        workers = {str(pid): calls for pid, calls in self._pools.answered().items()}
        self._drop_counts()
        return Stats(number, apis, workers, connections)
