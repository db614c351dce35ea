"""Which pool answers for which service now, and the route tables that follow from that."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from bentod.plan.model import Plan
from bentod.supervise.pool import Pool
from bentod.wire.messages import ApiRoute, Method, RouteTable, ServiceRoute


class Routing:
    """What the gateways are told. Every method changes only what the next `table` says."""

    def __init__(self, plan: Plan) -> None:
        self.number = 0
        self.plan = plan
        self.pools: dict[str, Pool] = {}
        self._apis: dict[str, ApiRoute] = {}
        self._types: Mapping[str, Any] = {}
        self._retiring: list[Pool] = []
        self._awaited: dict[str, dict[str, Method]] = {}  # what was known of the methods of services without a worker
        self._tables = 0

    def show(self, number: int, plan: Plan, pools: Mapping[str, Pool]) -> None:
        """From now on a whole generation, and nothing else. What served before and does no more retires."""
        gone = [pool for pool in self.pools.values() if pool not in pools.values()]
        self.number, self.plan, self.pools = number, plan, dict(pools)
        self._apis = {api.name: api for api in plan.apis}
        self._types = plan.types
        self._awaited.clear()
        self._retire(gone)

    def move(self, plan: Plan, pool: Pool) -> Pool | None:
        """From now on another pool for one service, with what `plan` says of its APIs; the rest stays. Until one of
        its workers is ready, calls wait for it. Returns the pool that retires."""
        name = pool.plan.name
        before = self.pools.get(name)
        self.pools[name] = pool
        kept = {key: api for key, api in self._apis.items() if api.service != name}
        self._apis = kept | {api.name: api for api in plan.apis if api.service == name}
        self._types = {**self._types, **plan.types}
        known = {method.name: method for method in before.methods} if before is not None else {}
        self._awaited[name] = {**self._awaited.get(name, {}), **known}
        self._retiring = [one for one in self._retiring if one is not pool]
        if before is not None and before is not pool:
            self._retire([before])
        return before

    def gone(self, pool: Pool) -> None:
        """A pool that retired has ended."""
        self._retiring = [one for one in self._retiring if one is not pool]

    def _retire(self, pools: Iterable[Pool]) -> None:
        self._retiring += [pool for pool in pools if pool not in self._retiring]

    def table(self) -> RouteTable:
        """The routes as the workers are now; each call makes a newer one."""
        self._tables += 1
        plan = self.plan
        return RouteTable(
            number=self._tables,
            generation=self.number,
            name=plan.name,
            version=plan.version,
            description=plan.description,
            path_prefix=plan.server.path_prefix,
            docs=plan.server.docs,
            types=dict(self._types),
            apis=tuple(self._apis.values()),
            services=(
                *(self._route(name, pool) for name, pool in self.pools.items()),
                *(pool.route(retiring=True) for pool in self._retiring),
            ),
            labels=dict(plan.labels),
        )

    def _route(self, name: str, pool: Pool) -> ServiceRoute:
        route = pool.route()
        return replace(route, admit=True, methods=self._methods(name, pool)) if name in self._awaited else route

    def _methods(self, name: str, pool: Pool) -> tuple[Method, ...]:
        """Those of a pool; until a worker has told, what they were before: calls that come meanwhile are made for those."""
        known = self._awaited[name]
        return pool.methods or tuple(known.get(method, Method(method, "sync", None)) for method in pool.plan.methods)


def rehearsal(plan: Plan, route: ServiceRoute) -> RouteTable:
    """The table with which a gateway tries the workers of `route`: only its APIs, and of these only those that have
    examples."""
    return RouteTable(
        number=0,
        generation=0,
        name=plan.name,
        version=plan.version,
        description="",
        path_prefix=plan.server.path_prefix,
        docs=False,
        types=dict(plan.types),
        apis=tuple(api for api in plan.apis if api.service == route.name and api.examples),
        services=(route,),
    )
