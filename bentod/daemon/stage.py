"""What a change acts upon, and what it waits for."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable
from typing import Protocol

from bentod.daemon.front import Front
from bentod.daemon.host import Host
from bentod.daemon.routing import Routing
from bentod.errors import StartError
from bentod.plan.model import Plan, ServicePlan
from bentod.supervise.pool import Pool


class Stage(Protocol):
    """What a change acts upon."""

    routing: Routing
    front: Front
    host: Host

    def pool(self, plan: Plan, service: ServicePlan, number: int, pins: dict[str, str]) -> Pool:
        """A pool that has not been started. Raises StartError if nothing is started any more."""

    def accept(self, pools: Iterable[Pool]) -> None:
        """They are what serves from now on."""

    async def push(self) -> None:
        """Have every gateway serve by the routes as they are now."""

    def retire(self, pool: Pool) -> asyncio.Task[None]:
        """Drain a pool that gets no more calls, in a task of its own."""

    async def try_live(self, plan: Plan, pools: Collection[Pool]) -> None:
        """Have pools that go on answer the examples of a new plan. Raises StartError."""


async def fit(fresh: Collection[Pool], grown: Collection[Pool] = ()) -> None:
    """Wait until all workers of all pools are ready. Raises StartError as soon as one has failed, or if the workers of
    a fresh pool have not all imported the same: those of one that goes on may have met an edit long ago."""
    settling = {asyncio.create_task(pool.settled()): pool for pool in (*fresh, *grown)}
    try:
        for done in asyncio.as_completed(settling):
            await done
            for task, pool in settling.items():
                if task.done() and not task.result():
                    raise _failed(pool)
    finally:
        for task in settling:
            task.cancel()
    for pool in settling.values():
        if not await pool.settled():  # what was ready first may have ended while others started
            raise _failed(pool)
    for pool in fresh:
        if pool.inconsistent:
            raise StartError(f"service {pool.plan.name}: {pool.inconsistent[0]} was edited while its workers started")


def _failed(pool: Pool) -> StartError:
    reason, trace = pool.failure()
    ends = {worker.exit.kind for worker in pool.status().workers if worker.exit is not None}
    text = f"service {pool.plan.name}: {reason or 'it was stopped while it started'}"
    return StartError(text, trace, again="signal" in ends)
