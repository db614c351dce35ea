"""The workers of one service that run the same code with the same settings, and what they amount to."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path

from bentod.plan.model import ServicePlan
from bentod.supervise.devices import NO_DEVICES, Devices
from bentod.supervise.exit import KillCounter, kernel_kills
from bentod.supervise.files import Files
from bentod.supervise.life import Launcher
from bentod.supervise.limits import Limits
from bentod.supervise.outage import Outage
from bentod.supervise.recycler import Recycler
from bentod.supervise.routes import alone, serving
from bentod.supervise.seats import Seats
from bentod.supervise.state import ServiceState, WorkerState, service_state
from bentod.supervise.status import ServiceStatus, WorkerStatus
from bentod.supervise.surroundings import History, Surroundings
from bentod.supervise.worker import SupervisedWorker
from bentod.wire.messages import Method, ServiceRoute, WorkerRoute

Rehearse = Callable[[ServicePlan, ServiceRoute], Awaitable[str]]
"""Has the one worker of a route answer the examples. Returns why it is not fit, empty if it is."""

_ENDED = frozenset({WorkerState.STOPPED, WorkerState.FAILED})
_SOON_S = 5.0
"""A service whose next start is nearer than this lets its calls wait; otherwise they are refused."""


class Pool:
    """Runs and supervises workers. `changed` is called whenever a worker changed state or has imported more.

    `key` tells the pools of a service apart. `pins` are files that the workers must import as they were, `objects` is
    the folder with their contents. A pool is on probation until `accept`: then a worker that cannot start has failed.
    """

    def __init__(  # noqa: PLR0913 - four of them are what a pool is made of, the others what it is made for
        self,
        plan: ServicePlan,
        project: Path,
        launcher: Launcher,
        changed: Callable[[], None],
        log: Callable[..., None],
        *,
        key: str = "",
        objects: str = "",
        pins: Mapping[str, str] | None = None,
        rehearse: Rehearse | None = None,
        kills: KillCounter = kernel_kills,
        limits: Limits | None = None,
        devices: Devices = NO_DEVICES,
    ) -> None:
        self.plan, self.key = plan, key
        self._outside = changed
        self._rehearse_with = rehearse
        self._pinned = dict(pins or {})
        self._files = Files()
        self._seats = Seats()
        self._recycler = Recycler(self._seats, self._successor, self._changed, log, devices.crowded)
        self._moved = asyncio.Event()
        self._live = False
        self._outage = Outage(log)
        self._around = Surroundings(
            launcher=launcher,
            project=str(project),
            objects=objects,
            pins=self._pins,
            rehearse=self._rehearse,
            live=lambda: self._live,
            changed=self._changed,
            log=log,
            jitter=random.random,  # not a secret
            kills=kills,
            limits=limits or Limits(),
            devices=devices,
        )

    # ── from start to stop ───────────────────────────────────────────────────────────────────────

    def start(self, indexes: Collection[int] | None = None) -> None:
        """Start all workers that do not run, or these, at once; see `settled`."""
        for worker in self.plan.workers:
            if indexes is None or worker.index in indexes:
                self._start(worker.index, proven=self._live)

    async def settled(self) -> bool:
        """Wait until every worker that was started is or has been ready (True), or one has failed (False)."""
        while (verdict := self._verdict()) is None:
            self._moved.clear()
            await self._moved.wait()
        return verdict

    def accept(self) -> None:
        """The pool has gone live: from now on its workers are started again whatever becomes of them, with the files
        that they have now, and examples that they do not answer are a warning."""
        self._live = True
        self._files.keep()
        for worker in self._seats.held.values():
            worker.proven = True

    def adopt(self, plan: ServicePlan) -> None:
        """From now on other values that need no other process, and more or fewer workers. More are started, see
        `settled`; those that are too many leave the route, and go on until `shrink`."""
        before = {worker.index for worker in self.plan.workers}
        self.plan = plan
        wanted = {worker.index: worker for worker in plan.workers}
        for worker in self._seats:
            worker.adopt(plan, wanted.get(worker.plan.index))
        for index in sorted(wanted.keys() - before):
            self._start(index, proven=False)
        self._changed()

    def grow(self, plan: ServicePlan) -> None:
        """Start the workers that this plan has more. Whether it comes to it is not decided: those that run keep what
        they have, such as their memory, until `adopt`."""
        before = {worker.index for worker in self.plan.workers}
        more = [worker for worker in plan.workers if worker.index not in before]
        self.plan = replace(self.plan, workers=(*self.plan.workers, *more))
        for worker in more:
            self._start(worker.index, proven=False, plan=plan)
        self._changed()

    @property
    def surplus(self) -> tuple[int, ...]:
        """The workers that are too many."""
        wanted = {worker.index for worker in self.plan.workers}
        return tuple(index for index in self._seats.held if index not in wanted)

    async def shrink(self) -> None:
        """Drain the workers that are too many, and forget them."""
        surplus = self.surplus
        await self._seats.clear(surplus, self.plan.stop_timeout_s)
        for index in set(surplus) & set(self.surplus):
            del self._seats.held[index]
            self._files.forget(index)
        self.start(set(surplus))  # what was wanted back meanwhile
        self._changed()

    async def stop(self, timeout_s: float) -> None:
        """Drain every worker for at most `timeout_s`, then kill. Those that are starting are killed at once."""
        self._seats.closed = True
        self._moved.set()
        await self._seats.close(timeout_s)
        await self._recycler.wait()

    async def stop_workers(self, indexes: Collection[int], timeout_s: float) -> None:
        """Drain these workers; they stay stopped until they are started."""
        await self._seats.clear(indexes, timeout_s)

    def revive(self) -> bool:
        """Start the workers that have failed, with their past forgotten. Returns whether there were any."""
        failed = [one for one in self._seats.held.values() if one.state is WorkerState.FAILED and not one.told]
        for worker in failed:
            worker.revive()
            self._seats.begin(worker)
        return bool(failed)

    def replace(self, pid: int, reason: str) -> bool:
        """Replace the worker with this process id. Returns whether it still lived, and was not about to go anyway."""
        found = [one for one in self._seats if one.pid == pid and one.state is not WorkerState.DRAINING]
        for worker in found:
            worker.replace(reason)
        return bool(found)

    def observe(self, calls: Mapping[int, int], memory: Callable[[int], int | None]) -> None:
        """Told every few seconds how many calls each process has answered: replaces a worker whose time has come.
        `memory` is asked only where it matters."""
        for worker in self._seats:
            worker.look()
        if self._live:
            self._recycler.observe(self.plan, calls, memory, asyncio.get_running_loop().time())

    # ── what it amounts to ───────────────────────────────────────────────────────────────────────

    @property
    def files(self) -> Mapping[str, str]:
        """The project's files that its workers have imported, each with the SHA-256 of its content; before they have
        reported any, those that they must import as they were."""
        return self._files.union or self._pinned

    @property
    def inconsistent(self) -> tuple[str, ...]:
        """The files that its workers have imported with different contents."""
        return self._files.inconsistent

    @property
    def methods(self) -> tuple[Method, ...]:
        """The methods, as the first worker that was ready reported them."""
        return next((worker.methods for worker in self._seats if worker.methods), ())

    @property
    def start_s(self) -> float | None:
        """How long the last start of a worker took, until it could take calls."""
        return max((one.last_start for one in self._seats if one.last_start is not None), default=(0.0, None))[1]

    def status(self) -> ServiceStatus:
        """What the service does now."""
        holders = self._holders()
        ready = sum(worker.state is WorkerState.READY for worker in holders)
        lacking = [worker for worker in holders if worker.state is not WorkerState.READY]
        reason = next((worker.reason for worker in lacking if worker.reason), "")
        others = [worker for worker in self._seats if worker not in holders]
        missing = [one.index for one in self.plan.workers if one.index not in self._seats.held]
        workers = [worker.status() for worker in holders]
        workers += [WorkerStatus(index, None, WorkerState.STOPPED, 0, "", "", None) for index in missing]
        workers.sort(key=lambda worker: worker.index)
        workers += [worker.status() for worker in others]
        state, wanted = self._state(holders), len(self.plan.workers)
        return ServiceStatus(self.plan.name, state, ready, wanted, reason, tuple(workers))

    def failure(self) -> tuple[str, str]:
        """Reason and traceback of the first worker that failed."""
        for worker in self._seats.held.values():
            if worker.state is WorkerState.FAILED:
                return worker.reason, worker.traceback
        return "", ""

    def route(self, retiring: bool = False) -> ServiceRoute:
        """What the gateways must know. Workers of a pool that is `retiring` are there until they have gone."""
        status = self.status()
        shown = {WorkerState.READY, WorkerState.DRAINING} if retiring else {WorkerState.READY}
        routes = [worker.route() for worker in self._holders() if worker.state in shown]
        workers = tuple(route for route in routes if route is not None)
        route = serving(self.plan, self.key, status, workers, self.methods)
        return replace(route, retiring=retiring, admit=route.admit or (self._soon() and not retiring))

    def _holders(self) -> list[SupervisedWorker]:
        """The workers that were started and are not too many."""
        wanted = {worker.index for worker in self.plan.workers}
        return [worker for index, worker in self._seats.held.items() if index in wanted]

    def _state(self, holders: Collection[SupervisedWorker]) -> ServiceState:
        missing = [WorkerState.STOPPED] * (len(self.plan.workers) - len(holders))
        was_ready = any(worker.served or worker.proven for worker in holders)
        return service_state([*(worker.state for worker in holders), *missing], was_ready=was_ready)

    def _soon(self) -> bool:
        """Whether a worker that has served before is about to be back."""
        now = asyncio.get_running_loop().time()
        return self._recycler.renewing is not None or any(
            (worker.served or worker.proven)
            and (
                worker.state is WorkerState.STARTING
                or (worker.state is WorkerState.BACKOFF and (worker.next_start or now) - now < _SOON_S)
            )
            for worker in self._holders()
        )

    def _verdict(self) -> bool | None:
        if self._seats.closed:
            return False
        started = [worker for worker in self._holders() if not worker.told]
        if any(worker.state is WorkerState.FAILED and not (self._live and worker.served) for worker in started):
            return False
        if all(worker.state is WorkerState.READY or (self._live and worker.served) for worker in started):
            return True
        return None

    # ── what its workers share ───────────────────────────────────────────────────────────────────

    def _successor(self, old: SupervisedWorker) -> SupervisedWorker:
        return SupervisedWorker(old.service, old.plan, self._around, old.history)

    def _start(self, index: int, *, proven: bool, plan: ServicePlan | None = None) -> None:
        held = self._seats.held.get(index)
        if self._seats.closed or (held is not None and held.state not in _ENDED):
            return
        own = next(worker for worker in self.plan.workers if worker.index == index)
        history = History(recycled=held.history.recycled if held is not None else 0)
        worker = SupervisedWorker(plan or self.plan, own, self._around, history)
        worker.proven = proven
        self._seats.cleared.discard(index)
        self._seats.seat(worker)
        self._seats.begin(worker)

    def _pins(self) -> Mapping[str, str]:
        return {**self._pinned, **self._files.union} if self._live else self._pinned

    async def _rehearse(self, worker: WorkerRoute, methods: tuple[Method, ...]) -> str:
        if self._rehearse_with is None:
            return ""
        return await self._rehearse_with(self.plan, alone(self.plan, self.key, worker, methods))

    def _changed(self) -> None:
        for index, worker in self._seats.held.items():
            if worker.files:
                self._files.report(index, worker.files)
        self._moved.set()
        if self._live and not self._seats.closed and self._recycler.renewing is None:
            now = asyncio.get_running_loop().time()
            self._outage.note(self._state(self._holders()), self.failure()[0], now)
        self._outside()
