"""Who works where in a pool: the worker that has an index, successors on trial, and those that are leaving."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator

from bentod.supervise.state import WorkerState
from bentod.supervise.worker import SupervisedWorker


class Seats:
    """Each index has one holder. Everybody's task has its owner here."""

    def __init__(self) -> None:
        self.held: dict[int, SupervisedWorker] = {}
        self.others: list[SupervisedWorker] = []
        self.cleared: set[int] = set()
        """Where nobody is to follow until somebody is wanted there again."""
        self.closed = False
        self._tasks: dict[SupervisedWorker, asyncio.Task[None]] = {}

    def __iter__(self) -> Iterator[SupervisedWorker]:
        """Everybody, holders first."""
        return iter((*self.held.values(), *self.others))

    def seat(self, worker: SupervisedWorker) -> None:
        """It has its index from now on. Who had it before is leaving."""
        index = worker.plan.index
        before = self.held.get(index)
        self.others = [other for other in self.others if other is not worker]
        if before is not None and before is not worker and before in self._tasks:
            self._leaves(before)
        self.held[index] = worker
        self.held = dict(sorted(self.held.items()))

    def _leaves(self, worker: SupervisedWorker) -> None:
        if self._tasks[worker].done():
            del self._tasks[worker]
        else:
            self.others.append(worker)

    def hire(self, worker: SupervisedWorker) -> None:
        """It starts without having its index."""
        self.others.append(worker)
        self.begin(worker)

    def begin(self, worker: SupervisedWorker) -> None:
        """Start a worker, or start it again after it has failed."""
        self._tasks[worker] = asyncio.create_task(worker.run())

    async def end(self, worker: SupervisedWorker, timeout_s: float) -> None:
        """Drain a worker. Unless it has an index it is forgotten."""
        await worker.stop(timeout_s)
        if (task := self._tasks.get(worker)) is not None:
            await asyncio.shield(task)
            self._tasks.pop(worker, None)
        self.others = [other for other in self.others if other is not worker]

    async def clear(self, indexes: Iterable[int], timeout_s: float) -> None:
        """Drain all who work, or are to work, at these indexes."""
        wanted = set(indexes)
        self.cleared |= wanted
        await asyncio.gather(*(self.end(worker, timeout_s) for worker in self if worker.plan.index in wanted))

    async def close(self, timeout_s: float) -> None:
        """Drain everybody; nobody comes any more."""
        self.closed = True
        await asyncio.gather(*(self.end(worker, timeout_s) for worker in self))

    def ready(self) -> list[SupervisedWorker]:
        """The holders that take calls."""
        return [worker for worker in self.held.values() if worker.state is WorkerState.READY]
