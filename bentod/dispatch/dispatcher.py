"""Joins the waiting calls of one service with its free workers, and sees to it that each call finishes exactly once."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from functools import partial

from bentod.dispatch.call import Answer, Call, TargetFailure
from bentod.dispatch.lane import Lane
from bentod.dispatch.link import Link
from bentod.errors import DeadlineExceeded, NotReady, WorkerLost
from bentod.wire.entries import CANCEL, CHUNK, CHUNK_WITH, DONE, DONE_WITH, RAISED, TAKEN, Entry, EntryPacker
from bentod.wire.messages import ServiceRoute, WorkerRoute

Connect = Callable[[str, EntryPacker, Callable[[list[Entry]], None], Callable[[], None]], Awaitable[Link]]
"""Opens a link: path, packer, what gets entries, what is called when it is lost. Raises OSError."""


class _Worker:
    """A connected worker and the calls it holds, oldest first."""

    def __init__(self, route: WorkerRoute) -> None:
        self.pid = route.pid
        self.index = route.index
        self.slots = {False: route.threads, True: route.concurrency}
        self.held: dict[int, Call] = {}
        self.busy = {False: 0, True: 0}
        self.streams = {False: 0, True: 0}
        self.link: Link | None = None
        self.leaving = False
        self.answered = 0


class Dispatcher:
    """One service's calls and workers. `unusable` is called with the pid of a worker to replace, and the reason.

    `turn` is where among the workers this gateway begins, as a part of their number: several gateways do not see each
    other's calls, so each prefers workers of its own.
    """

    def __init__(self, name: str, connect: Connect, unusable: Callable[[int, str], None], turn: float = 0.0) -> None:
        self._name = name
        self._connect = connect
        self._unusable = unusable
        self._turn = turn
        self._wanted = 1
        self._packer = EntryPacker()
        self._lanes = {False: Lane(), True: Lane()}
        self._workers: dict[int, _Worker] = {}
        self._open: list[_Worker] = []
        self._admit = False
        self._stop_timeout_s = 30.0
        self.spent: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        """For calls whose answer was taken: done, and empty."""
        self.spent.set_result(Answer(None, 0.0, 0.0))

    @property
    def ready(self) -> int:
        """Workers that can be reached now."""
        return len(self._open)

    def answered(self) -> dict[int, int]:
        """Calls that each connected worker has answered, by its pid."""
        return {worker.pid: worker.answered for worker in self._workers.values()}

    async def update(self, route: ServiceRoute) -> None:
        """Connect to new workers, let go of those that are no longer named, take the new limits."""
        self._admit, self._stop_timeout_s = route.admit, route.stop_timeout_s
        self._wanted = max(1, route.wanted)
        wanted = {worker.pid: worker for worker in route.workers}
        for pid, worker in list(self._workers.items()):
            if pid not in wanted:
                self._leave(worker)
            elif worker.leaving:
                self._take_back(worker)
        await asyncio.gather(*(self._join(wanted[pid]) for pid in wanted.keys() - self._workers.keys()))
        if not self._admit and not self._open:
            for lane in self._lanes.values():
                for call in lane.take_all():
                    call.fail(self._not_ready())
                    call.release()

    def submit(self, call: Call) -> None:
        """Send a call to a free worker, or let it wait. Raises QueueFull or NotReady."""
        lane = self._lanes[call.is_async]
        if not self._open and not self._admit:
            raise self._not_ready()
        worker = None if lane else self._free(call.is_async)
        if worker is None:
            lane.put(call)
        else:
            self._send(worker, call)

    def expire(self, call: Call) -> None:
        """The deadline of a call has passed: its caller is told now, its slot is free when its worker says so."""
        call.fail(DeadlineExceeded("the call did not finish in time"))
        self._give_up(call)

    def abandon(self, call: Call) -> None:
        """Nobody waits for this call any more."""
        if call.finished.cancel():
            self._give_up(call)

    def cut_off(self, call: Call) -> None:
        """The task that waited for this call was cancelled, and `finished` with it."""
        if call.finished.cancelled():
            self._give_up(call)

    def taken(self, call: Call, chunks: int) -> None:
        """So many more chunks of a stream have found their reader: its worker may go on."""
        worker = self._holder(call)
        if worker is not None and worker.link is not None:
            worker.link.send(self._packer.entry((TAKEN, call.id, chunks)))

    def _holder(self, call: Call) -> _Worker | None:
        return next((worker for worker in self._workers.values() if call.id in worker.held), None)

    def _give_up(self, call: Call) -> None:
        if call.given_up:
            return
        call.given_up = True
        worker = self._holder(call)
        if worker is None:
            self._lanes[call.is_async].leave(call)
            call.release()
            return
        if worker.link is not None:
            worker.link.send(self._packer.entry((CANCEL, call.id)))
        rest_s = call.idle_s if call.timeless else max(0.0, call.deadline - time.monotonic())
        asyncio.get_running_loop().call_later(self._stop_timeout_s + rest_s, self._check_stuck, worker, call.id)

    def _check_stuck(self, worker: _Worker, call: int) -> None:
        if call in worker.held:
            self._unusable(worker.pid, "stuck: it holds a call far beyond its deadline")

    def _not_ready(self) -> NotReady:
        return NotReady(f"no worker of {self._name} can serve now", headers={"retry-after": "1"})

    async def _join(self, route: WorkerRoute) -> None:
        worker = self._workers[route.pid] = _Worker(route)
        try:
            received, lost = partial(self._received, worker), partial(self._lost, worker)
            worker.link = await self._connect(route.socket, self._packer, received, lost)
        except OSError:  # it died at once: the daemon knows, or will
            self._workers.pop(route.pid, None)
            return
        if self._workers.get(route.pid) is worker:  # else it is lost already
            self._enlist(worker)

    def _enlist(self, worker: _Worker) -> None:
        self._open.append(worker)
        first = int(self._turn * self._wanted)
        self._open.sort(key=lambda one: (one.index - first) % self._wanted)
        self._fill(is_async=False)
        self._fill(is_async=True)

    def _leave(self, worker: _Worker) -> None:
        """No more calls for this worker; it keeps those that it has."""
        worker.leaving = True
        if worker in self._open:
            self._open.remove(worker)
        self._let_go(worker)

    def _take_back(self, worker: _Worker) -> None:
        """It is named again before it finished what it has."""
        worker.leaving = False
        self._enlist(worker)

    def _let_go(self, worker: _Worker) -> None:
        """Close the link of a leaving worker that holds nothing; named again, it gets a new one."""
        if not worker.held and worker.link is not None:
            self._workers.pop(worker.pid, None)
            worker.link.close()

    def _free(self, is_async: bool) -> _Worker | None:
        """The worker with a free slot that holds fewest calls, the first of equals. None gets calls ahead behind a
        stream: they would wait for its end."""
        lane, best = self._lanes[is_async], None
        for worker in self._open:
            busy, slots = worker.busy[is_async], worker.slots[is_async]
            room = slots if worker.streams[is_async] else lane.window(slots)
            if busy < room and (best is None or busy < best.busy[is_async]):
                best = worker
        return best

    def _fill(self, *, is_async: bool) -> None:
        lane = self._lanes[is_async]
        while lane and (worker := self._free(is_async)) is not None and (call := lane.take()) is not None:
            self._send(worker, call)

    def _send(self, worker: _Worker, call: Call) -> None:
        assert worker.link is not None
        worker.link.send(call.entry, call.memory)
        worker.held[call.id] = call
        worker.busy[call.is_async] += 1
        worker.streams[call.is_async] += call.streams
        call.quota.running += 1
        call.sent = time.monotonic()

    def _received(self, worker: _Worker, entries: list[Entry]) -> None:
        """Answers of a worker. Raises LookupError, ValueError or TypeError for what is none: the link then breaks."""
        for entry in entries:
            call = worker.held[entry[1]]
            if entry[0] >= CHUNK:
                self._chunk(call, entry)
                continue
            self._finish(call, entry)
            del worker.held[call.id]
            call.release()
            worker.busy[call.is_async] -= 1
            worker.streams[call.is_async] -= call.streams
            worker.answered += 1
            call.quota.running -= 1
        for is_async, lane in self._lanes.items():
            if lane:
                self._fill(is_async=is_async)
        if worker.leaving:
            self._let_go(worker)

    def _finish(self, call: Call, entry: Entry) -> None:
        kind, _, run_s, *rest = entry
        _check_time(run_s)
        if run_s:  # a call that was given up has not run
            self._lanes[call.is_async].ran(run_s)
        queue_s = call.sent - call.admitted
        if kind == DONE:
            (value,) = rest
            call.answer(Answer(value, queue_s, run_s))
        elif kind == DONE_WITH:
            value, status, headers = rest
            call.answer(Answer(value, queue_s, run_s, status, headers))
        elif kind == RAISED:
            code, detail, log, about = rest
            call.fail(TargetFailure(code, detail, log, about, run_s))
        else:
            raise ValueError(f"unknown kind of answer {kind!r}")

    def _chunk(self, call: Call, entry: Entry) -> None:
        kind, _, run_s, value, *rest = entry
        _check_time(run_s)
        queue_s = call.sent - call.admitted
        if kind == CHUNK:
            call.chunk(Answer(value, queue_s, run_s))
        elif kind == CHUNK_WITH:
            status, headers = rest
            call.chunk(Answer(value, queue_s, run_s, status, headers))
        else:
            raise ValueError(f"unknown kind of answer {kind!r}")

    def _lost(self, worker: _Worker) -> None:
        """A worker is gone. The calls that it may have begun have lost a worker; the others have only lost time."""
        if self._workers.get(worker.pid) is worker:
            del self._workers[worker.pid]
        if worker in self._open:
            self._open.remove(worker)
        begun = {False: worker.slots[False], True: worker.slots[True]}
        again: list[Call] = []
        for call in worker.held.values():
            call.quota.running -= 1
            begun[call.is_async] -= 1
            if begun[call.is_async] >= 0:
                call.losses += 1
            if not call.finished.done():
                if call.timeless or call.losses > (1 if call.retry else 0):
                    call.fail(WorkerLost("the worker died while it ran this call"))
                elif not self._open and not self._admit:
                    call.fail(self._not_ready())
                else:
                    again.append(call)
                    continue
            call.release()
        worker.held.clear()
        for is_async, lane in self._lanes.items():
            lane.put_back([call for call in again if call.is_async is is_async])
            self._fill(is_async=is_async)
        if not worker.leaving:  # most are dead, and the daemon knows; one that is not can no longer be reached
            self._unusable(worker.pid, "its link to a gateway broke")


def _check_time(run_s: float) -> None:
    """Raises ValueError or TypeError for what is no run time."""
    if not 0 <= run_s < math.inf:
        raise ValueError(f"no run time: {run_s!r}")
