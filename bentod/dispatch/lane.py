"""A lane: the APIs of one service whose calls wait for the same kind of slot, and whose turn it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bentod.dispatch.batcher import hold_s
from bentod.dispatch.call import Call
from bentod.dispatch.portion import portion
from bentod.dispatch.queue import Queue
from bentod.dispatch.window import window, window_of_batches

_SMOOTHING = 0.1  # of the average time of a slot: about the last ten
_OLDEST_EVERY = 8
_WHOLE_EVERY = 64  # batches; that one takes all that waits, whatever is known
_UNKNOWN_S = 1e-4  # what a call of unknown cost is charged


@dataclass(frozen=True, slots=True)
class Turn:
    """Whose turn it is: a queue, and the call that leads."""

    queue: Queue
    head: Call


class Lane:
    """The queues in which calls wait, and the average time that a slot is held.

    Levels come first; among queues of one level, the one that has had least of the slots' time (start-time fair
    queueing: Goyal, Vin, Cheng, IEEE/ACM Transactions on Networking 5, 1997). Nobody starves: every eighth turn is that
    of the call that has waited longest.
    """

    def __init__(self) -> None:
        self._queues: list[Queue] = []
        self._clock = 0.0
        self._turns = 0
        self._run_s: float | None = None
        self._turn_s = 0.0

    def __bool__(self) -> bool:
        return bool(self._queues)

    def put(self, call: Call, now: float) -> None:
        """Let a call wait."""
        queue = call.queue
        if not queue.waiting:
            self.join(queue, now)
        queue.put(call)

    def join(self, queue: Queue, now: float) -> None:
        """Calls wait in one more queue."""
        self._queues.append(queue)
        queue.drain.begin(now)
        queue.used = max(queue.used, self._clock)

    def part(self, queue: Queue) -> None:
        """What waits in a queue, if anything does, is another lane's from now on."""
        if queue in self._queues:
            self._queues.remove(queue)

    def leave(self, call: Call) -> None:
        """A waiting call has finished."""
        call.queue.leave(call)
        self._dropped(call.queue)

    def turn(self, now: float) -> Turn | None:
        """Whose turn it is, among those that may have a slot and are not held."""
        oldest = self._turns % _OLDEST_EVERY == _OLDEST_EVERY - 1
        best: Turn | None = None
        for queue in self._queues:
            if not queue.open or queue.held_until > now:
                continue
            head = queue.oldest() if oldest else queue.head()
            if head is None:
                continue
            if best is None or (
                head.id < best.head.id
                if oldest
                else (head.level, queue.used, head.id) < (best.head.level, best.queue.used, best.head.id)
            ):
                best = Turn(queue, head)
        return best

    def take(self, turn: Turn, now: float, free: int = 1) -> list[Call]:
        """The calls whose turn it is: they wait no more. `free` slots are there for them."""
        queue = turn.queue
        calls = queue.take(turn.head, _portion(turn, free), now)
        queue.drain.left(len(calls), now)
        queue.overdue = False
        self._turns += 1
        self._clock = max(self._clock, queue.used)
        turn.head.charged_s = queue.cost(turn.head.group, sum(call.weight for call in calls)) or _UNKNOWN_S
        queue.used += turn.head.charged_s
        self._dropped(queue)
        return calls

    def untaken(self, calls: Sequence[Call]) -> None:
        """A worker had no slot for these: if it was their turn, it is again, and nothing was used."""
        head, queue = calls[0], calls[0].queue
        if head.charged_s:
            self._turns -= 1
            queue.used -= head.charged_s
            queue.drain.came_back(len(calls))

    def take_all(self) -> list[Call]:
        """All that wait, none left."""
        found = [call for queue in self._queues for call in queue.take_all()]
        self._queues.clear()
        return found

    def _dropped(self, queue: Queue) -> None:
        if not queue.waiting:
            queue.held_until, queue.overdue = 0.0, False
            self._queues.remove(queue)

    def ran(self, run_s: float) -> None:
        """Learn from a slot that was held for `run_s` seconds."""
        self._run_s = run_s if self._run_s is None else self._run_s + _SMOOTHING * (run_s - self._run_s)

    def turned(self, turn_s: float) -> None:
        """Learn how long a turn of the event loop takes while calls come."""
        self._turn_s += _SMOOTHING * (turn_s - self._turn_s)

    def window(self, slots: int, turn: Turn | None = None) -> int:
        """How many calls, or batches, a worker that runs `slots` at once may hold, if it gets these."""
        if turn is None or turn.queue.limits.lone:
            return window(slots, self._run_s, self._turn_s)
        full = turn.queue.limits.max_size and turn.queue.weight(turn.head) >= turn.queue.limits.max_size
        return window_of_batches(slots, self._run_s, self._turn_s) if full else slots


def _portion(turn: Turn, free: int) -> int:
    queue, head = turn.queue, turn.head
    waiting = queue.weight(head)
    if waiting <= head.weight:
        return head.weight
    if queue.batches % _WHOLE_EVERY == _WHOLE_EVERY - 1:  # what was slow once is not for ever
        return queue.limits.max_size
    return portion(waiting, queue.limits.max_size, free, lambda size: queue.tried_cost(head.group, size))


def held_s(turn: Turn, now: float, *, others_free: bool) -> float:
    """How long to hold what waits with this turn's head for more, although a slot is free; 0 to send it now."""
    queue, head = turn.queue, turn.head
    limits = queue.limits
    waiting = queue.weight(head)
    if waiting >= limits.max_size or head.alone or queue.mixed:
        return 0.0
    traffic = queue.traffic_of(head.group)
    cost = traffic.cost.of(waiting + 1) or 0.0
    first = queue.oldest() or head  # of a lower level, maybe, but it shall not be held for longer either
    limit_s = min(
        limits.max_delay_s - (now - min(head.admitted, first.admitted)),
        min(head.deadline, first.deadline) - now - 2 * cost,
    )
    if limit_s <= 0:
        return 0.0
    silence_s = max(0.0, now - traffic.last)
    each = waiting / max(1, queue.waiting)
    return hold_s(waiting, limits.max_size, others_free, silence_s, traffic.arrivals, traffic.cost, limit_s, each)
