"""The workers of one service: connected, leaving, free."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from functools import partial

from bentod.dispatch.call import Call
from bentod.dispatch.lane import Lane, Turn
from bentod.dispatch.link import Link
from bentod.dispatch.worker import Worker
from bentod.wire.entries import Entry, EntryPacker
from bentod.wire.messages import WorkerRoute

_MOST_LEFT = 64

Connect = Callable[[str, EntryPacker, Callable[[list[Entry]], None], Callable[[], None]], Awaitable[Link]]
"""Opens a link: path, packer, what gets entries, what is called when it is lost. Raises OSError."""


class Crew:
    """Workers by pid. `received` gets a worker's entries, `lost` a worker that is gone, `joined` is called when there
    is one more; for `turn` see Dispatcher."""

    def __init__(
        self,
        connect: Connect,
        received: Callable[[Worker, list[Entry]], None],
        lost: Callable[[Worker], None],
        joined: Callable[[], None],
        turn: float,
    ) -> None:
        self._connect = connect
        self._received = received
        self._lost = lost
        self._joined = joined
        self._turn = turn
        self._wanted = 1
        self._workers: dict[int, Worker] = {}
        self._left: dict[int, int] = {}  # what those had answered that were let go: some come back
        self.packer = EntryPacker()
        self.emptied: Callable[[], None] = _nothing
        """Called when the last worker was let go."""
        self.open: list[Worker] = []
        """Those that get calls, in the order of preference."""

    def __bool__(self) -> bool:
        """Whether there are workers, connected or about to be."""
        return bool(self._workers)

    @property
    def leaving(self) -> list[Worker]:
        """Those that get no more calls, and still hold some."""
        return [worker for worker in self._workers.values() if worker.leaving and worker.link is not None]

    def answered(self) -> dict[int, int]:
        """Calls that each worker has answered, by its pid, those included that were let go lately."""
        return self._left | {worker.pid: worker.answered for worker in self._workers.values()}

    async def update(self, routes: Iterable[WorkerRoute], wanted: int) -> None:
        """Connect to new workers, let go of those that are no longer named."""
        self._wanted = max(1, wanted)
        named = {worker.pid: worker for worker in routes}
        for pid, worker in list(self._workers.items()):
            if pid not in named:
                self._leave(worker)
            elif worker.leaving:
                self._take_back(worker)
        await asyncio.gather(*(self._join(named[pid]) for pid in named.keys() - self._workers.keys()))

    def leave(self) -> None:
        """No more calls for any worker."""
        for worker in list(self.open):
            self._leave(worker)

    def recall(self) -> None:
        """There are calls, after all, for those that hold some still."""
        for worker in self.leaving:
            self._take_back(worker)

    def forget(self) -> None:
        """There will be no more workers: tell nobody of any."""
        self._lost = self._received = self._joined = self.emptied = _nothing

    def holder(self, call: Call) -> Worker | None:
        """The worker that holds a call."""
        return next((worker for worker in self._workers.values() if call.id in worker.held), None)

    def free(self, lane: Lane, is_async: bool, turn: Turn | None = None) -> Worker | None:
        """The worker with a free slot that holds fewest calls, the first of equals; or that will have one in a moment
        for calls such as these, unless a stream holds it."""
        best = None
        for worker in self.open:
            slots = worker.slots[is_async]
            room = slots if worker.streams[is_async] else lane.window(slots, turn)
            if worker.free(room, is_async=is_async) > 0 and (
                best is None or worker.busy[is_async] < best.busy[is_async]
            ):
                best = worker
        return best

    def slots(self, is_async: bool) -> int:
        """How many slots are free."""
        return sum(max(0, worker.free(worker.slots[is_async], is_async=is_async)) for worker in self.open)

    async def _join(self, route: WorkerRoute) -> None:
        worker = self._workers[route.pid] = Worker(route)
        worker.answered = self._left.pop(route.pid, 0)
        try:
            received, lost = partial(self._received, worker), partial(self._lost, worker)
            worker.link = await self._connect(route.socket, self.packer, received, lost)
        except OSError:  # it died at once: the daemon knows, or will
            self._workers.pop(route.pid, None)
            return
        if self._workers.get(route.pid) is worker:  # else it is lost already
            self._enlist(worker)

    def _enlist(self, worker: Worker) -> None:
        self.open.append(worker)
        first = int(self._turn * self._wanted)
        self.open.sort(key=lambda one: (one.index - first) % self._wanted)
        self._joined()

    def _leave(self, worker: Worker) -> None:
        """No more calls for this worker; it keeps those that it has."""
        worker.leaving = True
        if worker in self.open:
            self.open.remove(worker)
        self.let_go(worker)

    def _take_back(self, worker: Worker) -> None:
        """It is named again before it finished what it has."""
        worker.leaving = False
        self._enlist(worker)

    def let_go(self, worker: Worker) -> None:
        """Close the link of a leaving worker that holds nothing; named again, it gets a new one."""
        if worker.leaving and not worker.held and worker.link is not None:
            self._workers.pop(worker.pid, None)
            self._left[worker.pid] = worker.answered
            if len(self._left) > _MOST_LEFT:
                del self._left[next(iter(self._left))]
            link, worker.link = worker.link, None  # whoever is about to say something finds nobody there
            link.close()
            if not self._workers:
                self.emptied()

    def remove(self, worker: Worker) -> None:
        """A worker is gone."""
        if self._workers.get(worker.pid) is worker:
            del self._workers[worker.pid]
        if worker in self.open:
            self.open.remove(worker)


def _nothing(*_: object) -> None:
    """Nobody is told."""
