"""GPUs that a test gives back, or crowds, at a word."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from bentod.plan.grants import Grant, Share
from bentod.plan.model import WorkerPlan
from bentod.supervise.exit import Exit

GIB = 1 << 30


def granted(index: int = 0, *uuids: str, part: float = 1.0, memory: int = 16 * GIB) -> WorkerPlan:
    """A worker that has these GPUs."""
    shares = tuple(Share(uuid, part, memory) for uuid in uuids or ("GPU-0",))
    return WorkerPlan(index, {}, {}, Grant(shares))


class FakeDevices:
    """`free`: a new process may have its GPUs; `full`: why there is no room for two."""

    def __init__(self) -> None:
        self.free = asyncio.Event()
        self.free.set()
        self.full = ""
        self.log: list[tuple[object, ...]] = []

    def vacant(self, service: str, worker: WorkerPlan) -> Awaitable[None]:
        self.log.append(("vacant", service, worker.index))
        return self._wait()

    async def _wait(self) -> None:
        await self.free.wait()

    def occupied(self, service: str, worker: WorkerPlan, pid: int) -> Callable[[Exit], None]:
        self.log.append(("occupied", service, worker.index, pid))
        return lambda found: self.log.append(("ended", pid, found.kind))

    def crowded(self, worker: WorkerPlan, pid: int) -> str:
        self.log.append(("crowded", worker.index, pid))
        return self.full
