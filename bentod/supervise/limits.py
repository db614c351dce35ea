"""Looks again and again at all worker processes that have limits. One for the daemon; it does nothing while there are
no such workers."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable, Sequence

from bentod.plan.grants import Needs
from bentod.plan.model import ServicePlan, WorkerPlan
from bentod.supervise.cgroup import Group, Groups, delegated
from bentod.supervise.guard import Guard, Log, Seen
from bentod.supervise.processes import members

LOOK_S = 0.5
_SLOWLY = 4.0
"""So many times the time between two looks at memory may pass where only CPUs are looked at."""
_SHARE = 0.05
"""Looking takes no more of the time than this, as long as no more passes between two looks than that."""
_TRIES, _TRY_S = 50, 0.02


class Limits:
    """`groups` says once, when it is needed, whether the kernel can keep memory limits here."""

    def __init__(self, groups: Callable[[], Groups | None] = delegated, look_s: float = LOOK_S) -> None:
        self._ask = groups
        self._asked = False
        self._groups: Groups | None = None
        self._look_s = look_s
        self._page = os.sysconf("SC_PAGE_SIZE")
        self._guards: set[Guard] = set()
        self._task: asyncio.Task[None] | None = None
        self._soon = asyncio.Event()

    def guard(self, pid: int, service: ServicePlan, worker: WorkerPlan, log: Log) -> Guard | None:
        """Hold a process that has just been started to what its plan grants it. None: the spec does not say."""
        if service.needs is None:
            return None
        group = self._group(pid, service.needs)
        made = Guard(worker.index, pid, worker.grant.cpus, service.needs.memory, group, log)
        made.begin()
        self._guards.add(made)
        self._start()
        return made

    def adopt(self, guard: Guard, service: ServicePlan, worker: WorkerPlan) -> None:
        """From now on what this plan grants it."""
        needs = service.needs or Needs()
        if guard.group is not None:
            guard.group.share(needs.cpus)
        if guard.adopt(worker.grant.cpus, needs.memory):
            self._soon.set()
        self._start()

    async def excess(self, guard: Guard | None) -> str:
        """Why a process that has just started is too large already; empty if it is not, or the kernel sees to that."""
        if guard is None or not guard.weighs:
            return ""
        with contextlib.suppress(RuntimeError, OSError):  # there is another look soon
            [seen] = await asyncio.to_thread(self._seen, [guard])
            return guard.over or guard.excess(seen.memory)
        return ""

    async def release(self, guard: Guard | None) -> None:
        """Its process has ended."""
        if guard is None:
            return
        self._guards.discard(guard)
        if not self._guards and self._task is not None:
            self._task.cancel()
            self._task = None
        for _ in range(_TRIES):
            if guard.group is None or guard.group.remove():
                return
            await asyncio.sleep(_TRY_S)  # who was killed in it has to go first

    def _group(self, pid: int, needs: Needs) -> Group | None:
        if needs.memory is None and not needs.cpus:
            return None
        if not self._asked:
            self._asked, self._groups = True, self._ask()
        if self._groups is None or (needs.memory is None and not self._groups.shares):
            return None
        with contextlib.suppress(OSError):
            return self._groups.group(pid, needs.memory, needs.cpus)
        return None

    def _start(self) -> None:
        if (self._task is None or self._task.done()) and any(guard.holds for guard in self._guards):
            self._task = asyncio.create_task(self._look())
            self._task.add_done_callback(self._bug)

    def _bug(self, task: asyncio.Task[None]) -> None:
        """A look that goes wrong, such as where no thread can be started now, is told, and is not the last."""
        if not task.cancelled() and (error := task.exception()) is not None:
            told = {"message": "workers were not held to their limits", "exception": error}
            task.get_loop().call_exception_handler(told)
            self._start()

    async def _look(self) -> None:
        wait_s = self._look_s
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._soon.wait(), wait_s)
            self._soon.clear()
            guards = [guard for guard in self._guards if guard.holds]
            begun = time.monotonic()
            for guard, seen in zip(guards, await asyncio.to_thread(self._seen, guards), strict=True):
                if guard in self._guards:
                    guard.take(seen)
            took_s = time.monotonic() - begun
            slowest_s = self._look_s * _SLOWLY
            least_s = self._look_s if any(guard.weighs for guard in guards) else slowest_s
            wait_s = min(slowest_s, max(least_s, took_s / _SHARE))

    def _seen(self, guards: Sequence[Guard]) -> list[Seen]:
        found = members({guard.pid for guard in guards})
        return [guard.look(found[guard.pid], self._page) for guard in guards]
