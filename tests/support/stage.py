"""A stage on which nothing runs: pools that start and stop at a word, gateways that take every table. It keeps a log of
what happened, and notes at once what must never happen."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from bentod.daemon.devices import Devices
from bentod.daemon.host import Host
from bentod.daemon.routing import Routing, unused
from bentod.errors import StartError
from bentod.plan.model import Plan, ServerPlan, ServicePlan
from bentod.supervise.state import ServiceState, WorkerState
from bentod.supervise.status import ServiceStatus, WorkerStatus
from bentod.wire.messages import ApiRoute, ServiceRoute, WorkerRoute
from tests.support.children import plan as service_plan

SERVER = ServerPlan(("127.0.0.1:0",), "", 1, 1.0, 1.0, 1.0, 1.0, docs=True)


def service(name: str, workers: int = 1, **changed: Any) -> ServicePlan:
    """A service of this name."""
    return service_plan(workers, name=name, start_timeout_s=0.05, stop_timeout_s=0.05, **changed)


def api(name: str, of: str, **changed: Any) -> ApiRoute:
    """An API of a service."""
    return ApiRoute(name, of, "f", **{"path": f"/{name}", **changed})


def plan(*services: ServicePlan, apis: Iterable[ApiRoute] | None = None, **changed: Any) -> Plan:
    """A plan of these services, by default with an API for each."""
    routes = tuple(api(one.name, one.name) for one in services) if apis is None else tuple(apis)
    values: dict[str, Any] = {"name": "p", "version": "", "description": "", "labels": {}, "types": {}}
    return Plan(**{**values, "project": Path("/p"), "server": SERVER, **changed}, services=services, apis=routes)


class FakePool:
    """A pool. Its workers become ready, or fail, when somebody waits for that."""

    def __init__(self, stage: FakeStage, plan: ServicePlan, key: str, pins: dict[str, str]) -> None:
        self.plan, self.key, self.pins = plan, key, pins
        self.files = stage.imports(key)
        self.start_s: float | None = None
        self.inconsistent: tuple[str, ...] = ()
        self.live = self.closed = self.stuck = False
        self.state: dict[int, WorkerState] = {}
        self._stage = stage

    @property
    def ready(self) -> list[int]:
        wanted = {worker.index for worker in self.plan.workers}
        return [index for index in sorted(self.state) if self.state[index] is WorkerState.READY and index in wanted]

    def start(self, indexes: Collection[int] | None = None) -> None:
        assert not self.closed, f"{self.key} starts although it was stopped"
        for worker in self.plan.workers:
            if (indexes is None or worker.index in indexes) and self.state.get(worker.index) is not WorkerState.READY:
                self.state[worker.index] = WorkerState.STARTING
        self._stage.note("start", self.key, sorted(indexes) if indexes is not None else None)

    async def settled(self) -> bool:
        while WorkerState.STARTING in self.state.values() and not self.closed:
            await self._stage.tick()
            if self.stuck:
                continue
            for index, state in self.state.items():
                if state is WorkerState.STARTING:
                    fails = not self._stage.forgiving and self._stage.fails("start")
                    self.state[index] = WorkerState.FAILED if fails else WorkerState.READY
        return not self.closed and WorkerState.FAILED not in self.state.values()

    def failure(self) -> tuple[str, str]:
        return ("it broke", "Traceback …") if WorkerState.FAILED in self.state.values() else ("", "")

    def accept(self) -> None:
        self.live = True
        self._stage.note("accept", self.key)

    def grow(self, plan: ServicePlan) -> None:
        more = [worker for worker in plan.workers if worker.index not in {one.index for one in self.plan.workers}]
        self.plan = replace(self.plan, workers=(*self.plan.workers, *more))
        for worker in more:
            if self.state.get(worker.index) is not WorkerState.READY:
                self.state[worker.index] = WorkerState.STARTING
        self._stage.note("grow", self.key, len(plan.workers))

    def adopt(self, plan: ServicePlan) -> None:
        before = {worker.index for worker in self.plan.workers}
        self.plan = plan
        for worker in plan.workers:
            if worker.index not in before and self.state.get(worker.index) is not WorkerState.READY:
                self.state[worker.index] = WorkerState.STARTING
        self._stage.note("adopt", self.key, len(plan.workers))

    async def shrink(self) -> None:
        await self._stage.tick()
        for index in set(self.state) - {worker.index for worker in self.plan.workers}:
            del self.state[index]
        self._stage.note("shrink", self.key)

    async def stop(self) -> None:
        self.closed = True
        await self._stage.tick()
        self.state = dict.fromkeys(self.state, WorkerState.STOPPED)

    async def stop_workers(self, indexes: Collection[int], timeout_s: float) -> None:
        self.state.update(dict.fromkeys(indexes, WorkerState.STOPPED))
        self._stage.note("stop", self.key, sorted(indexes))
        await self._stage.tick()

    def status(self) -> ServiceStatus:
        workers = tuple(
            WorkerStatus(index, None, state, 0, "", "", None) for index, state in sorted(self.state.items())
        )
        state = ServiceState.READY if self.ready else ServiceState.STARTING
        return ServiceStatus(self.plan.name, state, len(self.ready), len(self.plan.workers), "", workers)

    def route(self, retiring: bool = False) -> ServiceRoute:
        workers = tuple(WorkerRoute(index, 1, "", 1, 1) for index in self.ready)
        return ServiceRoute(self.plan.name, "ready", 1, workers, bool(workers), pool=self.key, retiring=retiring)


class FakeFront:
    """Sockets and gateways that are always fine, unless they shall fail."""

    def __init__(self, stage: FakeStage) -> None:
        self._stage = stage
        self.prepared = False
        self.urls = ["http://127.0.0.1:1"]

    async def prepare(self, server: ServerPlan) -> None:
        self.prepared = True
        await self._stage.tick()
        if self._stage.fails("prepare"):
            raise StartError("cannot listen")
        self._stage.note("prepare")

    def swap(self, server: ServerPlan) -> None:
        self.prepared = False
        self._stage.note("swap")

    def drop(self) -> None:
        self.prepared = False
        self._stage.note("drop")


class FakeStage:
    """Generation 1, running. `failing`: what fails, as `start` (of a worker), `live` or `prepare` and which of them;
    `forgiving` pools start nevertheless: what has run before. `seen` is called whenever something happened."""

    def __init__(self, running: Plan, failing: Collection[tuple[str, int]] = ()) -> None:
        self.log: list[tuple[Any, ...]] = []
        self.pools: list[FakePool] = []
        self.ticks = 0
        self.seen: Callable[[], None] = lambda: None
        self.on_tick: Callable[[], None] = lambda: None
        self.forgiving = False
        self.imports: Callable[[str], dict[str, str]] = lambda key: {"code.py": key}
        self.desired: Any = None
        self._failing = failing
        self._counts: dict[str, int] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.front: Any = FakeFront(self)
        self.host = Host({})
        self.devices = Devices(self.host, lambda *args, **keys: None, lambda: self.plan)
        self.routing: Any = Routing(running)
        pools: Any = {one.name: self.pool(running, one, 1, {}) for one in running.services}
        for pool in pools.values():
            pool.state = dict.fromkeys((worker.index for worker in pool.plan.workers), WorkerState.READY)
            pool.live = True
        self.routing.show(1, running, pools)
        self.log.clear()

    @property
    def plan(self) -> Plan:
        plan: Plan = self.routing.plan
        return plan

    def note(self, *what: Any) -> None:
        self.log.append(what)
        self.seen()

    async def tick(self) -> None:
        self.ticks += 1
        self.seen()
        self.on_tick()
        await asyncio.sleep(0)

    def fails(self, what: str) -> bool:
        self._counts[what] = self._counts.get(what, 0) + 1
        return (what, self._counts[what]) in self._failing

    def events(self, *names: str) -> list[tuple[Any, ...]]:
        return [event for event in self.log if event[0] in names]

    # ── what a change acts upon ──────────────────────────────────────────────────────────────────

    def pool(self, plan: Plan, service: ServicePlan, number: int, pins: dict[str, str]) -> Any:
        key = unused(f"{service.name}@{number}", {pool.key for pool in self.pools})
        made = FakePool(self, service, key, pins)
        self.pools.append(made)
        return made

    def accept(self, pools: Iterable[Any]) -> None:
        for pool in pools:
            pool.accept()

    async def push(self) -> None:
        self.note("push", {name: pool.key for name, pool in self.routing.pools.items()}, self.routing.table())
        await self.tick()

    def retire(self, pool: Any) -> asyncio.Task[None]:
        self.note("retire", pool.key)
        task = asyncio.create_task(self._retire(pool))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _retire(self, pool: Any) -> None:
        await pool.stop()
        self.routing.gone(pool)

    async def try_live(self, plan: Plan, pools: Collection[Any]) -> None:
        await self.tick()
        if self.fails("live"):
            raise StartError("examples: no")

    async def drained(self) -> None:
        """Wait for what retires."""
        await asyncio.gather(*self._tasks)
