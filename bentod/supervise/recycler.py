"""Replaces workers that have lived long enough, one at a time: by a successor that is ready first, or, where there is
no room for both, by one that starts when the old one has gone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace

from bentod.plan.model import ServicePlan, WorkerPlan
from bentod.supervise.exit import Exit
from bentod.supervise.recycle import Seen, due, heavy, retry_s
from bentod.supervise.seats import Seats
from bentod.supervise.worker import SupervisedWorker

Make = Callable[[SupervisedWorker], SupervisedWorker]
"""A worker that is to follow this one, with its plan and its history."""
Crowded = Callable[[WorkerPlan, int], str]
"""Why there is no room for a second process beside a worker's on its GPUs; empty if there is."""


class Recycler:
    """Decides by what `observe` is told, and acts in a task of its own. `changed` is called when the holder of an index
    is another."""

    def __init__(
        self, seats: Seats, make: Make, changed: Callable[[], None], log: Callable[..., None], crowded: Crowded
    ) -> None:
        self._seats = seats
        self._crowded = crowded
        self._make = make
        self._changed = changed
        self._log = log
        self._task: asyncio.Task[None] | None = None
        self._failures: dict[int, tuple[int, float]] = {}
        self._heavy: dict[int, tuple[int, float]] = {}
        self.renewing: SupervisedWorker | None = None

    @property
    def busy(self) -> bool:
        """Whether a worker is being replaced."""
        return self._task is not None and not self._task.done()

    def observe(
        self, service: ServicePlan, calls: Mapping[int, int], memory: Callable[[int], int | None], now: float
    ) -> None:
        """Replace the first worker whose time has come, unless one is being replaced."""
        if self.busy or self._seats.closed:
            return
        for worker in self._seats.ready():
            pid, age_s = worker.pid, worker.age_s
            if pid is None or age_s is None or now < self._failures.get(worker.plan.index, (0, 0.0))[1]:
                continue
            reason = self._over(worker, age_s, now)
            if not reason and service.recycle is not None:
                size = memory(pid) if service.recycle.max_memory is not None else None
                reason = due(service.recycle, Seen(calls.get(pid, 0), age_s, size, worker.luck))
            if reason:
                crowded = (
                    self._crowded(worker.plan, pid) if service.reload == "auto" and worker.plan.grant.shares else ""
                )
                reason += f"; it stops first: {crowded}" if crowded else ""
                self._log("worker.recycling", worker=worker.plan.index, pid=pid, reason=reason)
                stop_first = crowded or service.reload == "stop_first"
                self._task = asyncio.create_task((self._stop_first if stop_first else self._overlap)(worker, pid, now))
                return

    def _over(self, worker: SupervisedWorker, age_s: float, now: float) -> str:
        """Why a worker is replaced for its memory now, if it is."""
        failures, until = self._heavy.get(worker.plan.index, (0, 0.0))
        if not worker.over or now < until:
            return ""
        failures = heavy(failures, age_s)
        until = now + retry_s(failures, worker.service.restart.max_delay_s) if failures else 0.0
        self._heavy[worker.plan.index] = failures, until
        return worker.over

    async def wait(self) -> None:
        """Wait for the end of what goes on."""
        if self._task is not None:
            await asyncio.shield(self._task)

    async def _overlap(self, old: SupervisedWorker, pid: int, begun: float) -> None:
        if self._left(old):
            return
        successor = self._make(old)
        successor.trial = True
        self._seats.hire(successor)
        fit = await successor.decided()
        if not fit or self._left(old):
            await self._seats.end(successor, 0.0)
            if not self._left(old):
                self._failed(old, pid, successor.reason)
            return
        successor.trial, successor.proven = False, True
        self._follows(successor, old)
        self._changed()
        successor_pid = successor.pid
        await self._seats.end(old, old.service.stop_timeout_s)
        self._done(old, pid, successor_pid, begun)

    async def _stop_first(self, old: SupervisedWorker, pid: int, begun: float) -> None:
        self.renewing, over = old, old.over
        try:
            await self._seats.end(old, old.service.stop_timeout_s)
            if self._left(old):
                return
            successor = self.renewing = self._make(old)
            successor.proven = True
            self._follows(successor, old, over)
            self._seats.begin(successor)
            if await successor.decided():
                self._done(old, pid, successor.pid, begun)
        finally:
            self.renewing = None
            self._changed()

    def _follows(self, successor: SupervisedWorker, old: SupervisedWorker, over: str = "") -> None:
        """It has the index and the past of the old one, and knows how that ended if it had too much memory."""
        successor.history = replace(old.history, recycled=old.history.recycled + 1)
        if over := over or old.over:
            successor.exit = Exit("memory", f"replaced: {over}")
        self._seats.seat(successor)

    def _left(self, old: SupervisedWorker) -> bool:
        """Whether nobody is to have the index any more, or somebody else has it by now."""
        index = old.plan.index
        return self._seats.closed or index in self._seats.cleared or self._seats.held.get(index) is not old

    def _failed(self, old: SupervisedWorker, pid: int, reason: str) -> None:
        index = old.plan.index
        failures = self._failures.get(index, (0, 0.0))[0] + 1
        delay_s = retry_s(failures, old.service.restart.max_delay_s)
        self._failures[index] = (failures, asyncio.get_running_loop().time() + delay_s)
        text = f"its replacement cannot start, it goes on: {reason}"
        self._log(
            "worker.recycle_failed", level="warning", worker=index, pid=pid, delay_s=round(delay_s, 3), reason=text
        )

    def _done(self, old: SupervisedWorker, pid: int, successor: int | None, begun: float) -> None:
        index = old.plan.index
        self._failures.pop(index, None)
        seconds = round(asyncio.get_running_loop().time() - begun, 3)
        self._log("worker.recycled", worker=index, pid=pid, successor=successor, seconds=seconds)
