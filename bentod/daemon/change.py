"""From one generation to the next: what is new is started beside what runs, and takes its place once it is fit; or else
everything stays as it was."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable, Callable, Sequence

from bentod.daemon.instead import Instead, Leaving, OneByOne, StopFirst
from bentod.daemon.stage import Stage, fit
from bentod.daemon.trouble import survived
from bentod.errors import StartError
from bentod.plan.difference import Difference, Step
from bentod.plan.inventory import Inventory
from bentod.plan.model import Plan, ServicePlan
from bentod.supervise.pool import Pool

Moved = Callable[[Sequence[Pool]], Awaitable[str]]
"""Says which file is another by now than these pools were made from; "" if none is."""


class Change:
    """One attempt to become generation `number`, as `plan` says, which was placed in what is `there`. `run` once."""

    def __init__(
        self,
        stage: Stage,
        number: int,
        plan: Plan,
        difference: Difference,
        steps: Sequence[Step],
        pins: dict[str, dict[str, str]],
        there: Inventory | None = None,
    ) -> None:
        self._stage = stage
        self._number = number
        self._plan = plan
        self._difference = difference
        self._modes = {step.service: step.mode for step in steps}
        self._pins = pins
        self._there = there
        self._pools: dict[str, Pool] = {}
        self._fresh: list[Pool] = []
        self._grown: list[tuple[Pool, ServicePlan]] = []
        self._instead: list[Instead] = []

    @property
    def pools(self) -> tuple[Pool, ...]:
        """Those that it has started so far."""
        return tuple(self._fresh)

    async def run(self, moved: Moved | None = None) -> dict[str, Pool]:
        """Make it so, unless a file has `moved` meanwhile. Returns the generation's pools; those that it replaced are
        retiring. Raises StartError.

        Whoever cancels it is about to stop everything: nothing more is started, and what serves is left to that.
        """
        try:
            await self._hold(self._plan)
            await self._prepare()
            if moved is not None and (file := await moved(self._fresh)):
                raise StartError(f"{file} was edited while what it had said was starting", again=True)
            if self._difference.gateways.action == "restart":  # last: from now on clients come to these, too
                await self._stage.front.prepare(self._plan.server)
        except asyncio.CancelledError:
            await self._leave()
            raise
        except StartError:
            await self._undo()
            raise
        except Exception as error:  # a bug of ours must not leave half a change
            await self._undo()
            raise StartError(f"{type(error).__name__}: {error}", traceback.format_exc()) from error
        await self._commit()
        return self._pools

    async def _hold(self, coming: Plan | None = None) -> None:
        """Have the host's other daemons hear what runs, and what comes. Raises StartError, if what comes is to have
        what another one was quicker to get."""
        if taken := await self._stage.host.hold(self._stage.routing.plan, coming, self._there):
            raise StartError(taken, again=True)

    async def _prepare(self) -> None:
        """Everything up to the point from which there is no way back."""
        await self._beside()
        for service in self._plan.services:
            if not self._overlaps(service):
                await self._make_room(service)
                await self._replace(service)
        if self._instead:
            await fit(self._fresh)

    async def _beside(self) -> None:
        """Everything that can start while the old one serves."""
        running = self._stage.routing.pools
        kept = []
        for service in self._plan.services:
            change = self._difference.of(service.name)
            if change.action in {"keep", "live"}:
                pool = self._pools[service.name] = running[service.name]
                kept.append(pool)
                if self._overlaps(service):
                    self._grow(pool, service)
            elif self._overlaps(service):
                self._pools[service.name] = self._make(service)
                self._pools[service.name].start()
        # a pool that goes on as it was may be in any state: that is no reason against others
        await fit(self._fresh, [pool for pool, _ in self._grown])
        await self._stage.try_live(self._plan, kept)

    def _overlaps(self, service: ServicePlan) -> bool:
        return self._modes.get(service.name, "overlap") == "overlap"

    def _grow(self, pool: Pool, service: ServicePlan) -> None:
        """More workers start before the change, fewer are there only after it."""
        if len(service.workers) > len(pool.plan.workers):
            self._grown.append((pool, pool.plan))
            pool.grow(service)

    async def _replace(self, service: ServicePlan) -> None:
        """A service whose workers need room that others make: its own old ones, or those that go."""
        old = self._stage.routing.pools.get(service.name)
        if old is not None and old is self._pools.get(service.name):
            self._grow(old, service)
            await fit([], [old])
            return
        new = self._pools[service.name] = self._make(service)
        if old is None:
            new.start()
            await fit([new])
            return
        one_by_one = self._modes[service.name] == "one_by_one" and len(old.plan.workers) > 1
        make: Callable[..., Instead] = OneByOne if one_by_one else StopFirst
        self._instead.append(make(self._stage, self._plan, self._number, old, new))
        await self._instead[-1].go()

    async def _make_room(self, service: ServicePlan) -> None:
        """Workers that have GPUs which these are to have stop now, if nobody follows them: those of services that are
        removed, and those that are too many."""
        wanted = {share.device for worker in service.workers for share in worker.grant.shares}
        staying = {(one.name, worker.index) for one in self._plan.services for worker in one.workers}
        for name, pool in self._stage.routing.pools.items():
            going = [worker for worker in pool.plan.workers if (name, worker.index) not in staying]
            there = [one.index for one in going if wanted & {share.device for share in one.grant.shares}]
            if there and self._difference.of(name).action != "restart":
                self._instead.append(Leaving(pool, there))
                await self._instead[-1].go()

    async def _commit(self) -> None:
        """All calls from now on are for the new generation. It is live, whatever bug of ours gets in the way."""
        stage, routing = self._stage, self._stage.routing
        with survived():
            stage.accept(self._fresh)
        ending = [*routing.pools.values(), *(way.old for way in self._instead if not way.ended)]
        kept = [pool for pool in self._pools.values() if pool not in self._fresh]
        routing.show(self._number, self._plan, self._pools)
        for pool in kept:
            with survived():
                pool.adopt(next(service for service in self._plan.services if service.name == pool.plan.name))
        with survived():
            await stage.push()
        with survived():
            stage.front.swap(self._plan.server)
        for pool in ending:
            if pool not in self._pools.values():
                with survived():
                    stage.retire(pool)
        await asyncio.gather(*map(_shrink, kept))
        await self._hold()

    async def _undo(self) -> None:
        """What ran goes on; what was started ends. One thing that cannot be undone does not keep the rest from it."""
        self._stage.front.drop()
        for pool, before in self._grown:
            pool.adopt(before)
        ending = self._retire_idle()  # at once: what comes back needs their memory
        await asyncio.gather(*(pool.shrink() for pool, _ in self._grown), *ending, return_exceptions=True)
        for way in reversed(self._instead):
            await asyncio.gather(way.back(), return_exceptions=True)
        await self._hold()

    async def _leave(self) -> None:
        """Everything is about to stop. Who serves is left to that: calls come until nobody listens any more."""
        self._stage.front.drop()
        await asyncio.gather(*self._retire_idle(), return_exceptions=True)

    def _retire_idle(self) -> list[asyncio.Task[None]]:
        serving = self._stage.routing.pools.values()
        return [self._stage.retire(pool) for pool in self._fresh if pool not in serving]

    def _make(self, service: ServicePlan) -> Pool:
        pool = self._stage.pool(self._plan, service, self._number, self._pins.get(service.name, {}))
        self._fresh.append(pool)
        return pool


async def _shrink(pool: Pool) -> None:
    with survived():
        await pool.shrink()
