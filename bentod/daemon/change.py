"""From one generation to the next: what is new is started beside what runs, and takes its place once it is fit; or else
everything stays as it was."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from typing import Protocol

from bentod.daemon.front import Front
from bentod.daemon.routing import Routing
from bentod.errors import StartError
from bentod.plan.difference import Difference, Step
from bentod.plan.model import Plan, ServicePlan
from bentod.supervise.pool import Pool


class Stage(Protocol):
    """What a change acts upon."""

    routing: Routing
    front: Front

    def pool(self, plan: Plan, service: ServicePlan, number: int, pins: dict[str, str]) -> Pool:
        """A pool that has not been started."""

    def accept(self, pools: Iterable[Pool]) -> None:
        """They are what serves from now on."""

    async def push(self) -> None:
        """Have every gateway serve by the routes as they are now."""

    def retire(self, pool: Pool) -> asyncio.Task[None]:
        """Drain a pool that gets no more calls, in a task of its own."""

    async def try_live(self, plan: Plan, pools: Collection[Pool]) -> None:
        """Have pools that go on answer the examples of a new plan. Raises StartError."""


async def settled(pools: Collection[Pool]) -> None:
    """Wait until all workers of all pools are ready. Raises StartError as soon as one has failed."""
    settling = {asyncio.create_task(pool.settled()): pool for pool in pools}
    try:
        for done in asyncio.as_completed(settling):
            await done
            for task, pool in settling.items():
                if task.done() and not task.result():
                    reason, trace = pool.failure()
                    raise StartError(f"service {pool.plan.name}: {reason}", trace)
    finally:
        for task in settling:
            task.cancel()
    for pool in pools:
        if pool.inconsistent:
            raise StartError(f"service {pool.plan.name}: {pool.inconsistent[0]} was edited while its workers started")


class Change:
    """One attempt to become generation `number`, as `plan` says. `run` once."""

    def __init__(
        self,
        stage: Stage,
        number: int,
        plan: Plan,
        difference: Difference,
        steps: Sequence[Step],
        pins: dict[str, dict[str, str]],
    ) -> None:
        self._stage = stage
        self._number = number
        self._plan = plan
        self._difference = difference
        self._modes = {step.service: step.mode for step in steps}
        self._pins = pins
        self._pools: dict[str, Pool] = {}
        self._fresh: list[Pool] = []
        self._adopted: list[tuple[Pool, ServicePlan]] = []
        self._undoing: list[Callable[[], Awaitable[None]]] = []

    @property
    def pools(self) -> tuple[Pool, ...]:
        """Those that it has started so far."""
        return tuple(self._fresh)

    async def run(self) -> dict[str, Pool]:
        """Make it so. Returns the generation's pools; those that it replaced are retiring. Raises StartError."""
        try:
            await self._beside()
            for service in self._plan.services:
                if service.name not in self._pools:
                    await self._instead(service)
        except StartError:
            await self._undo()
            raise
        self._stage.accept(self._fresh)
        await self._commit()
        return self._pools

    async def _beside(self) -> None:
        """Everything that can start while the old one serves."""
        running = self._stage.routing.pools
        for service in self._plan.services:
            change = self._difference.of(service.name)
            if change.action in {"keep", "live"}:
                pool = self._pools[service.name] = running[service.name]
                self._adopted.append((pool, pool.plan))
                pool.adopt(service)
            elif change.action == "add" or self._modes.get(service.name, "overlap") == "overlap":
                self._pools[service.name] = self._make(service)
                self._pools[service.name].start()
        await settled(list(self._pools.values()) if self._waits_for_kept() else self._fresh)
        await self._stage.try_live(self._plan, [pool for pool, _ in self._adopted])
        if self._difference.gateways.action == "restart":
            await self._stage.front.prepare(self._plan.server)

    def _waits_for_kept(self) -> bool:
        return any(len(pool.plan.workers) > len(before.workers) for pool, before in self._adopted)

    async def _instead(self, service: ServicePlan) -> None:
        """A service whose old workers must make room for its new ones."""
        old = self._stage.routing.pools[service.name]
        new = self._pools[service.name] = self._make(service)
        if self._modes[service.name] == "one_by_one":
            await self._one_by_one(old, new)
            return
        self._undoing.append(lambda: self._restore(old, new))
        self._stage.routing.move(self._plan, new)
        await self._stage.push()
        await self._stage.retire(old)
        new.start()
        await settled([new])

    async def _one_by_one(self, old: Pool, new: Pool) -> None:
        """Each worker stops before its successor starts. New calls go to the new pool once half of it is there."""
        before, after = len(old.plan.workers), len(new.plan.workers)
        stopped: list[int] = []
        self._undoing.append(lambda: self._take_back(old, new, stopped))
        for index in range(after):
            if index < before:
                stopped.append(index)
                await old.stop_workers([index], old.plan.stop_timeout_s)
            new.start([index])
            await settled([new])
            if self._stage.routing.pools[old.plan.name] is old and 2 * (index + 1) >= after:
                self._stage.routing.move(self._plan, new)
                await self._stage.push()

    async def _commit(self) -> None:
        """All calls from now on are for the new generation."""
        routing = self._stage.routing
        before = list(routing.pools.values())
        routing.show(self._number, self._plan, self._pools)
        await self._stage.push()
        self._stage.front.swap(self._plan.server)
        for pool, _ in self._adopted:
            await pool.shrink()
        for pool in before:
            if pool not in self._pools.values():
                self._stage.retire(pool)

    async def _undo(self) -> None:
        """What ran goes on; what was started ends."""
        for pool, before in self._adopted:
            pool.adopt(before)
            await pool.shrink()
        self._stage.front.drop()
        for undo in reversed(self._undoing):
            with contextlib.suppress(StartError):
                await undo()
        await asyncio.gather(*(self._stage.retire(pool) for pool in self._fresh if pool not in self._kept()))

    def _kept(self) -> Collection[Pool]:
        return self._stage.routing.pools.values()

    async def _take_back(self, old: Pool, new: Pool, stopped: Sequence[int]) -> None:
        """The workers that had stopped start again, with the code that they had; those in their place make room."""
        routing = self._stage.routing
        for index in reversed(stopped):
            await new.stop_workers([index], new.plan.stop_timeout_s)
            old.start([index])
            await old.settled()
            if routing.pools[old.plan.name] is not old:
                routing.move(routing.plan, old)
                await self._stage.push()

    async def _restore(self, old: Pool, new: Pool) -> None:
        """A pool has ended for one that cannot start: another like it, with the code that it had."""
        routing = self._stage.routing
        pool = self._stage.pool(routing.plan, old.plan, self._number, dict(old.files))
        self._stage.accept([pool])
        routing.move(routing.plan, pool)
        await self._stage.push()
        await self._stage.retire(new)
        pool.start()
        await pool.settled()

    def _make(self, service: ServicePlan) -> Pool:
        pool = self._stage.pool(self._plan, service, self._number, self._pins.get(service.name, {}))
        self._fresh.append(pool)
        return pool
