"""Services whose old workers make room for their new ones, because there is none for both; and the ways back."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Collection
from typing import Protocol

from bentod.daemon.stage import Stage, fit
from bentod.plan.model import Plan
from bentod.supervise.pool import Pool
from bentod.supervise.state import WorkerState


class Instead(Protocol):
    """One pool in the place of another, or of none. `ended`: the old one has been told to stop, all of it."""

    old: Pool
    ended: bool

    async def go(self) -> None:
        """Replace the old one; all workers of the new one are ready. Raises StartError."""

    async def back(self) -> None:
        """What the old one was serves again, if it can, and the new one has ended, whatever `go` came to. A new one
        that has no calls to itself has been stopped before."""


class StopFirst:
    """All old workers stop, then all new ones start. Calls wait meanwhile."""

    def __init__(self, stage: Stage, plan: Plan, number: int, old: Pool, new: Pool) -> None:
        self.old, self.new, self.ended = old, new, False
        self._stage = stage
        self._plan = plan
        self._number = number

    async def go(self) -> None:
        self._stage.routing.move(self._plan, self.new)
        await self._stage.push()
        self.ended = True
        await self._stage.retire(self.old)
        self.new.start()
        await fit([self.new])

    async def back(self) -> None:
        """A pool has ended for one that cannot start: another like it, with the code that it had."""
        stage, old = self._stage, self.old
        pool = old
        if self.ended:
            pool = stage.pool(stage.routing.plan, old.plan, self._number, dict(old.files))
            stage.accept([pool])
        stage.routing.move(stage.routing.plan, pool)
        await stage.push()
        await stage.retire(self.new)
        if self.ended:
            pool.start()
            await _up(pool)
        stage.routing.arrived(old.plan.name)


class OneByOne:
    """Each worker stops before its successor starts. New calls go to the new pool once half of it is there."""

    def __init__(self, stage: Stage, plan: Plan, number: int, old: Pool, new: Pool) -> None:
        self.old, self.new, self.ended = old, new, False
        self._stage = stage
        self._plan = plan
        self._number = number
        self._begun: list[int] = []
        self._stopped: set[int] = set()

    async def go(self) -> None:
        order = self._order()
        for count, index in enumerate(order, 1):
            self._begun.append(index)
            if index < len(self.old.plan.workers):
                self._stopped.add(index)
                await self.old.stop_workers([index], self.old.plan.stop_timeout_s)
            self.new.start([index])
            await fit([self.new])
            if not self._serves and 2 * count >= len(order):
                await self._move(self._plan, self.new)

    async def back(self) -> None:
        """The workers that had stopped start again, with the code that they had; those in their place make room."""
        if self._serves:
            await self._hand_back()
            await self._stage.retire(self.new)
        self.old.start(self._stopped)
        await _up(self.old)
        self._stage.routing.arrived(self.old.plan.name)

    async def _hand_back(self) -> None:
        """Until the old pool can do as much as the new one."""
        for index in reversed(self._begun):
            if self.old.status().ready >= max(1, self.new.status().ready):
                break
            await self.new.stop_workers([index], self.new.plan.stop_timeout_s)
            if index in self._stopped:
                self._stopped.discard(index)
                self.old.start([index])
                await _up(self.old)
        await self._move(self._stage.routing.plan, self.old)

    def _order(self) -> list[int]:
        """First those whose start takes nothing away: there is no old worker, or none that takes calls."""
        ready = {worker.index for worker in self.old.status().workers if worker.state is WorkerState.READY}
        return sorted((worker.index for worker in self.new.plan.workers), key=lambda index: (index in ready, index))

    @property
    def _serves(self) -> bool:
        return self._stage.routing.pools[self.old.plan.name] is self.new

    async def _move(self, plan: Plan, pool: Pool) -> None:
        self._stage.routing.move(plan, pool)
        await self._stage.push()


class Leaving:
    """Workers that nobody is to follow stop before the change is made: others need their room. If these are all of a
    service, nobody serves its callers from then on. The change itself ends the pool, if it is to end."""

    def __init__(self, old: Pool, indexes: Collection[int]) -> None:
        self.old, self.ended = old, True
        self._indexes = indexes

    async def go(self) -> None:
        await self.old.stop_workers(self._indexes, self.old.plan.stop_timeout_s)

    async def back(self) -> None:
        self.old.start(self._indexes)
        await _up(self.old)


async def _up(pool: Pool) -> None:
    """Wait until a pool that served before is ready again, for as long as a start may take: its workers are started
    again whatever becomes of them, and other changes must be possible meanwhile."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(pool.settled(), pool.plan.start_timeout_s)
