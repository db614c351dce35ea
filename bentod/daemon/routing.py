"""Which pool answers for which service now, and the route tables that follow from that."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any

from bentod.iotypes.mentioned import mentioned
from bentod.plan.model import Plan
from bentod.supervise.pool import Pool
from bentod.wire.messages import ApiRoute, Ceiling, Method, RouteTable, ServiceRoute


class Routing:
    """What the gateways are told. Every method changes only what the next `table` says."""

    def __init__(self, plan: Plan) -> None:
        self.number = 0
        self.plan = plan
        self.pools: dict[str, Pool] = {}
        self._moved: dict[str, Plan] = {}  # what describes the APIs of a service, where `plan` does not
        self._retiring: list[Pool] = []
        self._awaited: set[str] = set()
        self._tables = 0
        self._ceilings: dict[tuple[str, str], Ceiling] = {}  # of batches, by pool and API
        self._methods: dict[str, dict[str, Method]] = {}  # what was last known of each service's

    def show(self, number: int, plan: Plan, pools: Mapping[str, Pool]) -> None:
        """From now on a whole generation, and nothing else. What served before and does no more retires."""
        gone = [pool for pool in self.pools.values() if pool not in pools.values()]
        self.number, self.plan, self.pools = number, plan, dict(pools)
        self._moved.clear()
        self._awaited.clear()
        self._retire(gone)

    def move(self, plan: Plan, pool: Pool) -> None:
        """From now on another pool for one service, with what `plan` says of its APIs; the rest stays. Until one of
        its workers is ready, calls wait for it. The pool before it retires."""
        name = pool.plan.name
        before = self.pools[name]
        self.pools[name] = pool
        self._moved.pop(name, None)
        if plan is not self.plan:
            self._moved[name] = plan
        self._awaited.add(name)
        self._retiring = [one for one in self._retiring if one is not pool]
        if before is not pool:
            self._retire([before])

    def arrived(self, name: str) -> None:
        """Whatever has become of a service's pool, calls wait for it no longer than for any other."""
        self._awaited.discard(name)

    def gone(self, pool: Pool) -> None:
        """A pool that retired has ended."""
        self._retiring = [one for one in self._retiring if one is not pool]
        self._ceilings = {key: found for key, found in self._ceilings.items() if key[0] != pool.key}

    def bounded(self, found: Ceiling) -> bool:
        """A gateway has learned how large batches may be, or that what it believed was wrong. Returns whether this is
        news to the others."""
        key = found.pool, found.api
        if not found.most:
            return self._ceilings.pop(key, None) is not None
        known = self._ceilings.get(key)
        if found.pool not in {pool.key for pool in self.pools.values()} or (known and known.most <= found.most):
            return False
        self._ceilings[key] = found
        return True

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
            types=self._types(),
            apis=self._apis(),
            services=(
                *(self._route(name, pool) for name, pool in self.pools.items()),
                *(pool.route(retiring=True) for pool in self._retiring),
            ),
            labels=dict(plan.labels),
        )

    def _route(self, name: str, pool: Pool) -> ServiceRoute:
        route = pool.route()
        if self._ceilings:
            ceilings = tuple(found for key, found in self._ceilings.items() if key[0] == pool.key)
            route = replace(route, ceilings=ceilings)
        if route.workers:
            self._awaited.discard(name)
        if route.methods:
            self._methods[name] = {method.name: method for method in route.methods}
        if name not in self._awaited:
            return route
        # until a worker has told its methods they are what they were: calls that come meanwhile are made for these
        known = self._methods.get(name, {})
        guess = tuple(known.get(method, Method(method, "sync", None)) for method in pool.plan.methods)
        return replace(route, admit=True, methods=route.methods or guess)

    def _apis(self) -> tuple[ApiRoute, ...]:
        """Those of each service as its pool understands them. Of two with one name, or one path, that of the pool
        which came last holds: a path leads to one API."""
        found = [api for api in self.plan.apis if api.service not in self._moved]
        for name, plan in self._moved.items():
            came = [api for api in plan.apis if api.service == name]
            names, paths = {api.name for api in came}, {api.path for api in came}
            found = [api for api in found if api.name not in names and api.path not in paths] + came
        return tuple(found)

    def _types(self) -> dict[str, Any]:
        """Of all plans that describe something; for as long as they differ, the one that came last is right."""
        types = dict(self.plan.types)
        for plan in self._moved.values():
            types |= plan.types
        return types


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


def rehearsed(api: ApiRoute, types: Mapping[str, Any]) -> tuple[object, ...]:
    """What an API's examples try of it, the types that its schemas refer to included."""
    what = (api.service, api.method, api.input, api.output, api.errors, api.output_check)
    return (*what, mentioned((api.input, api.output), types), api.stream, api.takes, api.max_size, api.examples)


def unused(key: str, taken: Collection[str]) -> str:
    """A key that no pool has: one that serves in the place of a failed pool is another one to the gateways."""
    names = (key, *(f"{key}.{count}" for count in range(2, len(taken) + 3)))
    return next(name for name in names if name not in taken)
