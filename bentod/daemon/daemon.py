"""The daemon: what runs now, its public side, and what it says of itself."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import asdict, replace
from typing import Any

from bentod.daemon.desired import Desired
from bentod.daemon.devices import Devices
from bentod.daemon.folders import Folders
from bentod.daemon.front import AccessLogging, Front
from bentod.daemon.host import Host
from bentod.daemon.launch import ProcessLauncher
from bentod.daemon.listen import Inherited
from bentod.daemon.routing import Routing, rehearsal, rehearsed, unused
from bentod.daemon.stage import fit
from bentod.daemon.status import Pooled, Standing, call_document, status_document
from bentod.daemon.tasks import Tasks
from bentod.daemon.trouble import Again, survived, tell
from bentod.daemon.usage import sizes
from bentod.daemon.use import Meter
from bentod.errors import StartError
from bentod.plan.model import Plan, ServicePlan
from bentod.plan.times import WORKERS_AFTER_S, stop_s
from bentod.supervise.pool import Pool
from bentod.supervise.spawn import Spawned
from bentod.wire.messages import Heard, Killed, ServiceRoute, Unusable

_GRACE_S = 0.5
_OBSERVE_S = 2.0


class Daemon:
    """Makes a plan true and keeps it true; `change.Change` acts upon it. All methods are for one event loop."""

    def __init__(
        self,
        desired: Desired,
        folders: Folders,
        access: AccessLogging,
        log: Callable[..., None],
        host: Host,
        spawned: Spawned | None = None,
        *,
        gated: bool = True,
    ) -> None:
        self.desired = desired
        self.host = host
        self._gated = gated
        self.routing = Routing(desired.plan)
        self.devices = Devices(host, log, lambda: self.plan)
        self.front = Front(access, folders.files, log, self._heard, spawned)
        self.alive: set[Pool] = set()
        self._tried: dict[str, Plan] = {}  # what the workers of a pool that does not serve yet have to answer
        self._objects = str(folders.objects)
        self._log = log
        self._launcher = ProcessLauncher(desired.plan.project, folders.sockets, self._output)
        self._changed = asyncio.Event()
        self.moved = asyncio.Event()
        """Set whenever workers have changed, or have imported more."""
        self._tasks = Tasks()
        self._meter, self._scales = Meter(), Meter()
        self._started = time.monotonic()
        self.state = "starting"
        self.launched = asyncio.Event()
        self.settled = asyncio.Event()

    @property
    def plan(self) -> Plan:
        """The plan of the generation that runs."""
        return self.routing.plan

    @property
    def stop_seconds(self) -> float:
        """How long a stop takes at the most."""
        return stop_s(self.plan.server.drain_timeout_s)

    async def start(
        self, number: int, inherited: Sequence[Inherited] = (), *, unseen: bool = False, reason: str = "up"
    ) -> None:
        """Bind, start everything, and return once every worker is ready and every gateway serves by it. `launched` is
        set once all that this process can do by itself is done. `inherited` sockets need not be bound. `unseen`:
        connections wait, or another daemon has them, until everything is ready.

        Raises StartError; what was started then still has to be stopped.
        """
        begun, plan = time.monotonic(), self.desired.plan
        self.desired.announce(self._log, number, reason)
        try:
            self.front.start(plan.server, inherited, unseen=unseen)
            self._tasks.start(self._push_changes())
            self._tasks.start(self._observe())
            pools = {
                service.name: self.pool(plan, service, number, dict(self.desired.pins.get(service.name, {})))
                for service in plan.services
            }
            self.routing.show(number, plan, pools)
            self.host.follow(plan, self.desired.inventory)
            for pool in pools.values():
                pool.start()
            await self.push()
            self.launched.set()
            await fit(pools.values())
            self.accept(pools.values())
            await self.push()
            if unseen:
                await self.front.prepare(plan.server, inherited)
                self.front.swap(plan.server)
        except StartError:
            self.state = "failed"
            raise
        finally:
            self.launched.set()
        self.state = "ready"
        seconds = round(time.monotonic() - begun, 3)
        self._log("generation.ready", generation=number, seconds=seconds, url=" ".join(self.front.urls))

    async def stop(self, reason: str, linger_s: float = 0.0) -> None:
        """Accept nothing more, finish what was taken, stop the workers, remove every socket. `linger_s`: see Drain."""
        self.state = "draining"
        self._log("daemon.stopping", reason=reason)
        drain_s = self.plan.server.drain_timeout_s
        deadline = time.monotonic() + drain_s
        self.front.close()
        abandoned = 0
        with survived():
            abandoned = await self.front.stop(drain_s, linger_s)
        rest_s = max(WORKERS_AFTER_S, deadline - time.monotonic())
        stopping = (pool.stop(min(rest_s, pool.plan.stop_timeout_s)) for pool in list(self.alive))
        for error in filter(None, await asyncio.gather(*stopping, return_exceptions=True)):
            tell(error)
        with survived():
            await self._launcher.spares.close()
        with survived():
            await self.host.stop()
        await self._tasks.end()
        self.state = "stopped"
        self._log("daemon.stopped", abandoned=abandoned)

    # ── what a change acts upon ──────────────────────────────────────────────────────────────────

    def pool(self, plan: Plan, service: ServicePlan, number: int, pins: dict[str, str]) -> Pool:
        """A pool that has not been started. Its workers answer the examples of `plan` before they serve. Raises
        StartError if the daemon is about to stop."""
        if self.state in {"draining", "stopped"}:
            raise StartError("the daemon stops")

        def log(event: str, **keys: Any) -> None:
            self._log(event, service=service.name, **keys)

        made = Pool(
            service,
            plan.project,
            self._launcher,
            self._changed.set,
            log,
            key=unused(f"{service.name}@{number}", {pool.key for pool in self.alive}),
            objects=self._objects,
            pins=pins,
            rehearse=self._rehearse,
            limits=self._launcher.limits,
            devices=self.devices,
        )
        self._tried[made.key] = plan
        self.alive.add(made)
        return made

    def accept(self, pools: Iterable[Pool]) -> None:
        """They are what serves from now on: what their workers do when they start again is a restart."""
        for pool in pools:
            pool.accept()
            self._tried.pop(pool.key, None)

    def expect(self, names: Collection[str]) -> None:
        """These files are being written: who imported them will probably need new workers."""
        for pool in self.routing.pools.values():
            if pool.plan.reload != "stop_first" and not pool.files.keys().isdisjoint(names):
                self._launcher.prepare(pool.plan)

    async def push(self) -> None:
        """Have every gateway serve by the routes as they are now. One that cannot is replaced; its successor does."""
        try:
            await self.front.push(self.routing.table())
        except StartError:
            if self.state == "starting":
                raise

    def retire(self, pool: Pool) -> asyncio.Task[None]:
        """Drain a pool that gets no more calls."""
        return self._tasks.start(self._retire(pool))

    async def _retire(self, pool: Pool) -> None:
        await pool.stop(pool.plan.stop_timeout_s)
        self.alive.discard(pool)
        self.routing.gone(pool)
        self._changed.set()

    async def try_live(self, plan: Plan, pools: Collection[Pool]) -> None:
        """Have workers that go on answer what a new plan changes of their examples. Raises StartError."""
        known = {api.name: rehearsed(api, self.plan.types) for api in self.plan.apis}
        for pool in pools:
            own = [api for api in plan.apis if api.service == pool.plan.name]
            apis = tuple(api for api in own if known.get(api.name) != rehearsed(api, plan.types))
            route = pool.route()
            if not apis or not route.workers or not self._gated:
                continue
            table = rehearsal(replace(plan, apis=apis), replace(route, workers=route.workers[:1]))
            if text := await self.front.rehearse(table):
                raise StartError(f"service {pool.plan.name}: examples: {text}")

    async def _rehearse(self, _: ServicePlan, route: ServiceRoute) -> str:
        """Have a worker answer the examples. Returns why it is not fit, if it is not."""
        if not self._gated:
            return ""
        return await self.front.rehearse(rehearsal(self._tried.get(route.pool, self.plan), route))

    # ── what it says of itself ───────────────────────────────────────────────────────────────────

    async def status(self) -> dict[str, Any]:
        """The whole state as plain data."""
        front, pools = self.front, self.routing.pools
        ours = {one.pid: pool.plan.name for pool in self.alive for one in pool.status().workers if one.pid is not None}
        groups = [*ours, *(one.pid for one in front.status() if one.pid is not None)]
        stats, reading = await asyncio.gather(front.stats(), asyncio.to_thread(self._meter.read, groups))
        order = [service.name for service in self.plan.services]
        shown = sorted(pools, key=lambda name: order.index(name) if name in order else len(order))
        standing = Standing(
            plan=self.plan,
            generation=self.routing.number,
            state=self.state,
            urls=front.urls,
            started=self._started,
            gateways=front.status(),
            services=[Pooled(pools[name].status(), pools[name].key, pools[name].plan) for name in shown],
            stats=stats,
            reading=reading,
            inventory=self.host.latest,
            ours=ours,
        )
        return status_document(standing)

    def apis(self) -> dict[str, Any]:
        """What a client needs to know of each API, by its name."""
        url = self.front.urls[0] if self.front.urls else ""
        return {api.name: call_document(api, self.plan.types, url) for api in self.plan.apis}

    # ── what goes on all the time ────────────────────────────────────────────────────────────────

    async def _push_changes(self) -> None:
        """Tell the gateways about every change of a worker, many changes at once."""
        trouble = Again()
        while True:
            await self._changed.wait()
            self._changed.clear()
            with (
                trouble.survived(),
                contextlib.suppress(StartError),
            ):  # whoever is replaced gets the newest table anyway
                await self.front.push(self.routing.table())
            self.moved.set()

    async def _observe(self) -> None:
        """Tell the pools what their workers have done, where that decides how long these live."""
        trouble = Again()
        while True:
            await asyncio.sleep(_OBSERVE_S)
            calls, weighed = Counter[int](), dict[int, int]()
            with trouble.survived():
                if any(pool.plan.recycle for pool in self.routing.pools.values()):
                    for one in await self.front.stats():
                        calls.update({int(pid): count for pid, count in one.workers.items()})
                weighed = await sizes(self.routing.pools, self._scales)
            for pool in list(self.routing.pools.values()):
                with trouble.survived():
                    pool.observe(calls, weighed.get)

    def _heard(self, message: Heard) -> None:
        """What a gateway says of workers. If one that it cannot use has just died, that is noticed in a moment, with a
        better reason."""
        if isinstance(message, Killed):
            keys = {"pid": message.pid, "api": message.api, "request_id": message.request_id, "deaths": message.deaths}
            self._log("call.killed", level="error", service=message.service, **keys)
        elif isinstance(message, Unusable):
            asyncio.get_running_loop().call_later(_GRACE_S, self._replace, message)
        elif self.routing.bounded(message):
            self._log("batch.ceiling", level="warning", **asdict(message))
            self._changed.set()

    def _replace(self, message: Unusable) -> None:
        if self.state == "ready" and any(pool.replace(message.pid, message.reason) for pool in self.alive):
            self._log("worker.replaced", level="error", service=message.service, pid=message.pid, reason=message.reason)

    def _output(self, service: str, worker: int, stream: str, line: str) -> None:
        self._log("worker.output", service=service, worker=worker, stream=stream, line=line)
