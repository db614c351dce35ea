"""Joins the waiting calls of one pool with its free workers, and sees to it that each call finishes exactly once."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Sequence

from bentod.dispatch import answers, losses
from bentod.dispatch.call import Answer, Call, TargetFailure
from bentod.dispatch.crew import Connect, Crew
from bentod.dispatch.lane import Lane, held_s
from bentod.dispatch.queue import Queue
from bentod.dispatch.standing import Standing
from bentod.dispatch.worker import Worker
from bentod.errors import ClientGone, DeadlineExceeded
from bentod.wire.entries import CANCEL, CHUNK, CHUNK_WITH, FREE, RAISED, REFUSED, SQUEEZED, TAKEN, Entry
from bentod.wire.messages import ServiceRoute

_SOME = 7
"""What lone calls cost is learned from one in eight: it takes a tenth of a short call's time here to learn."""


class Dispatcher(Standing):
    """The calls and workers of one pool. `unusable` is called with the pid of a worker to replace, and the reason;
    `killed` with a call and the pid of the worker that died of it; `bounded` with a queue whose batches may be larger
    or smaller from now on.

    `turn` is where among the workers this gateway begins, as a part of their number: several gateways do not see each
    other's calls, so each prefers workers of its own.

    A pool that retires lets its workers go when nothing needs them. Calls that come to it all the same, or come back
    from a worker, go to the heirs of their queues.
    """

    def __init__(
        self,
        name: str,
        connect: Connect,
        unusable: Callable[[int, str], None],
        turn: float = 0.0,
        killed: Callable[[Call, int], None] | None = None,
        bounded: Callable[[Queue], None] | None = None,
    ) -> None:
        super().__init__(name, Crew(connect, self._received, self._lost, self._joined, turn))
        self._unusable = unusable
        self._killed = killed
        self._bounded = bounded
        self._stop_timeout_s = 30.0
        self._loop = asyncio.get_running_loop()
        self._filling = False

    @property
    def ready(self) -> int:
        """Workers that can be reached now."""
        return len(self._crew.open)

    def answered(self) -> dict[int, int]:
        """Calls that each worker has answered, by its pid, those included that were let go lately."""
        return self._crew.answered()

    async def update(self, route: ServiceRoute) -> None:
        """Connect to new workers, let go of those that are no longer named, take the new limits."""
        self._stop_timeout_s = route.stop_timeout_s
        if not route.retiring:
            self._retiring, self._admit = None, route.admit
        self._hope = route.retiring and route.admit
        if not route.retiring or self._needed:
            await self._crew.update(route.workers, route.wanted)
        self._despair()
        self._settle()

    def submit(self, call: Call) -> None:
        """Send a call to a free worker, or let it wait. Raises QueueFull, NotReady, or DeadlineExceeded if it would
        wait too long."""
        lane, queue = self._lanes[call.is_async], call.queue
        if not self._crew.open and not self._admit:
            self._submit_elsewhere(call)
            return
        if not lane and queue.limits.lone and queue.open:
            worker = self._crew.free(lane, call.is_async)
            if worker is not None:
                worker.send((call,), self._crew.packer)
                return
        if self._filling and queue.full:
            self._fill()  # those that came in this turn of the loop may not have to wait
        now = time.monotonic()
        queue.admit(call, now)
        if queue.limits.max_delay_s:
            queue.traffic_of(call.group).came(now)
            call.counted = True
            queue.held_until = 0.0
        lane.put(call, now)
        self._fill_soon()

    def _submit_elsewhere(self, call: Call) -> None:
        """There is nobody here for a call. If the pool retires, its request began under an older table: maybe it was
        long in coming. Raises CallError."""
        heir = self._heir(call.queue)
        if heir is not None and heir.home is not None:
            call.queue = heir
            heir.home.submit(call)
        elif self._retiring is not None and (self._hope or self._crew.leaving):
            now = time.monotonic()
            call.queue.admit(call, now)
            self._lanes[call.is_async].put(call, now)
            self._settle()
        else:
            raise self._not_ready()

    def expire(self, call: Call) -> None:
        """The deadline of a call has passed: its caller is told now, its slot is free when its worker says so."""
        if call.finish(DeadlineExceeded("the call did not finish in time")):
            self._home(call)._give_up(call)

    def abandon(self, call: Call) -> None:
        """Nobody waits for this call any more."""
        if call.finish(ClientGone()):
            self._home(call)._give_up(call)

    def taken(self, call: Call, chunks: int) -> None:
        """So many more chunks of a stream have found their reader: its worker may go on."""
        crew = self._home(call)._crew
        worker = crew.holder(call)
        if worker is not None and worker.link is not None:
            worker.link.send(crew.packer.entry((TAKEN, call.id, chunks)))

    def _home(self, call: Call) -> Dispatcher:
        """Who has a call: it may have moved."""
        return call.queue.home or self

    def _give_up(self, call: Call) -> None:
        if call.given_up:
            return
        call.given_up = True
        if call.place is not None:
            self._lanes[call.is_async].leave(call)
            self._settle()
        worker = self._crew.holder(call)
        if worker is None:
            call.release()
            return
        if worker.link is not None:
            worker.link.send(self._crew.packer.entry((CANCEL, call.id)))
        rest_s = call.idle_s if call.timeless else max(0.0, call.deadline - time.monotonic())
        self._loop.call_later(self._stop_timeout_s + rest_s, self._check_stuck, worker, call.id)

    def _check_stuck(self, worker: Worker, call: int) -> None:
        if call in worker.held:
            worker.condemned = True
            self._unusable(worker.pid, "stuck: it holds a call far beyond its deadline")

    def _joined(self) -> None:
        self._fill()
        self._settle()

    def _fill_soon(self) -> None:
        """Fill the workers when all that came in this turn of the loop is there: it can share batches."""
        if not self._filling:
            self._filling = True
            self._loop.call_soon(self._fill_now, time.monotonic())

    def _fill_now(self, since: float) -> None:
        now = time.monotonic()
        for lane in self._lanes.values():
            lane.turned(max(0.0, now - since))
        self._fill()

    def _fill(self) -> None:
        self._filling = False
        for is_async, lane in self._lanes.items():
            if lane:
                self._fill_lane(lane, is_async, time.monotonic())

    def _fill_lane(self, lane: Lane, is_async: bool, now: float) -> None:
        while (turn := lane.turn(now)) is not None:
            limits = turn.queue.limits
            if turn.queue.hopeless(turn.head, now):
                self.expire(turn.head)
                continue
            worker = self._crew.free(lane, is_async, turn)
            if worker is None:
                return
            free = turn.queue.room(self._crew.slots(is_async)) if limits.max_size else 1
            held = limits.max_delay_s and not turn.queue.overdue
            if held and (hold_s := held_s(turn, now, others_free=free > 1)) > 0:
                turn.queue.held_until = now + hold_s
                self._loop.call_later(hold_s, self._ring, turn.queue, turn.queue.held_until)
                continue
            worker.send(lane.take(turn, now, free), self._crew.packer)
        if self._retiring is not None:
            self._settle()

    def _ring(self, queue: Queue, until: float) -> None:
        """What was held may be held no longer."""
        if queue.held_until == until:
            queue.held_until, queue.overdue = 0.0, True
            self._fill()

    def _received(self, worker: Worker, entries: list[Entry]) -> None:
        """Answers of a worker: it gets its next calls first, then the callers get these.

        Raises LookupError, ValueError or TypeError for what is none: the link then breaks.
        """
        finished: list[tuple[Call, Answer | TargetFailure]] = []
        try:
            for entry in entries:
                kind = entry[0]
                if kind <= RAISED:
                    call = worker.held[entry[1]]
                    finished.append((call, self._over(worker, call, entry)))
                elif kind in (CHUNK, CHUNK_WITH):
                    call = worker.held[entry[1]]
                    call.chunk(answers.chunk(entry, call.sent - call.admitted))
                elif kind == REFUSED:
                    self._refused(worker.take_back(entry[1]))
                elif kind == FREE:
                    worker.offers[bool(entry[1])] = entry[2]
                elif kind == SQUEEZED:
                    self._squeezed(worker.held[entry[1]], entry)
                else:
                    raise ValueError(f"unknown kind of answer {kind!r}")
            self._fill()
            worker.decline(self._crew.packer)
            if worker.link is not None:
                worker.link.flush()
        finally:
            for call, outcome in finished:
                call.release()
                call.finish(outcome)
        self._crew.let_go(worker)

    def _squeezed(self, call: Call, entry: Entry) -> None:
        """The batch of this call has run out of memory."""
        if call.batch is None:
            raise ValueError("a call that is in no batch")
        call.batch.spoil()
        if call.queue.ran_out(answers.lesson(entry)) and self._bounded is not None:
            self._bounded(call.queue)

    def _refused(self, calls: Sequence[Call]) -> None:
        """Others have the slots."""
        self._lanes[calls[0].is_async].untaken(calls)
        self._wait_again(calls)
        self._settle()

    def _over(self, worker: Worker, call: Call, entry: Entry) -> Answer | TargetFailure:
        """A call has its answer, and maybe its slot is free."""
        batch = call.batch
        outcome = answers.outcome(entry, call.sent - call.admitted, batch.size if batch is not None else 1)
        if batch is not None and not isinstance(outcome, Answer):
            batch.spoil()
        if worker.over(call) and outcome.run_s:  # a call that was given up has not run
            self._learn(call, outcome.run_s)
        call.batch = None
        worker.answered += 1
        call.depart()  # before anything is decided that depends on who will come back
        return outcome

    def _learn(self, call: Call, run_s: float) -> None:
        """What a slot was held for: by one call as long as it ran, by a batch until its last answer was here."""
        if call.batch is None:
            self._lanes[call.is_async].ran(run_s)
            if call.id & _SOME == 0:
                call.queue.learn(None, 1, run_s)
            return
        batch, queue = call.batch, call.queue
        if batch.clean:
            held_s = max(0.0, time.monotonic() - call.sent)
            self._lanes[call.is_async].ran(held_s)
            queue.learn(call.group, batch.size, held_s)
        if batch.size > queue.ceiling.hears and batch.whole:
            queue.ceiling.went_well(batch.size)

    def _lost(self, worker: Worker) -> None:
        """A worker is gone. The calls that it may have begun have lost a worker; the others have only lost time."""
        self._crew.remove(worker)
        begun, units = losses.begun(worker), list(worker.units())
        killer = losses.killer(worker, begun)
        for call in itertools.chain.from_iterable(begun):
            call.losses += 1
            call.alone = True  # the next worker shall not die with its neighbours
        if killer is not None and self._killed is not None:
            self._killed(killer, worker.pid)
        for unit in units:
            for call in unit:
                worker.over(call)
                call.batch = None
            self._wait_again(unit)
        if not worker.leaving:  # most are dead, and the daemon knows; one that is not can no longer be reached
            self._unusable(worker.pid, "its link to a gateway broke")
        if self._retiring is not None:
            self._despair()
        self._fill()
        self._settle()
