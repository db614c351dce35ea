"""What one gateway counts for one API, and the queue that the API's calls wait in."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any

from bentod.dispatch.call import Call
from bentod.dispatch.deadlines import Deadlines
from bentod.dispatch.queue import Limits, Queue
from bentod.wire.messages import ApiStats

if TYPE_CHECKING:
    from bentod.dispatch.dispatcher import Dispatcher

Wire = tuple[Any, ...]
"""What two pools must agree about if one shall be able to serve calls that were packed for the other."""


class Counts:
    """What was counted for one API; survives a change of tables."""

    def __init__(self) -> None:
        self.queue = Queue(Limits())
        self.codes: Counter[str] = Counter()
        self._deadlines: Deadlines | None = None
        self._timeout_s = 0.0
        self._wire: Wire = ()
        self._before: list[Queue] = []
        self._batches = self._batched = 0

    @property
    def queues(self) -> list[Queue]:
        """The queue of today, and those before it that are not empty yet, or whose calls still run."""
        self._forget()
        return [*self._before, self.queue]

    def _forget(self) -> None:
        """Let go of queues that are empty, and have nothing that runs."""
        for queue in self._before:
            if not queue.waiting and not queue.running:
                self._batches += queue.batches
                self._batched += queue.batched
        self._before = [queue for queue in self._before if queue.waiting or queue.running]

    @property
    def idle(self) -> bool:
        """Whether nothing waits or runs."""
        return not any(queue.waiting or queue.running for queue in self.queues)

    def queue_of(self, api: str, wire: Wire, home: Dispatcher) -> Queue:
        """The queue for calls of this kind in this pool.

        If they were of another kind before, or for another pool, it is another. What waits moves with it if it is of
        the same kind, and is served as it was meant, and never together with new calls, if it is not.
        """
        before, same = self.queue, self._wire == wire
        if before.home is home and same:
            return before
        if before.home is not None:
            self._before.append(before)
            self.queue = before.renewed() if same else Queue(before.limits)
            if self._deadlines is not None:
                self._deadlines.compact()  # calls that are answered shall not keep what is gone
        queue, self._wire = self.queue, wire
        queue.api, queue.home, queue.heir = api, home, partial(self._heir, wire)
        if before.home is not None and same and home.serves:
            before.home.pass_on(before, queue)
        self._forget()
        return queue

    def deadlines_of(self, timeout_s: float) -> Deadlines:
        """The deadlines of calls with this timeout; of another timeout, others."""
        if self._deadlines is None or self._timeout_s != timeout_s:
            self._deadlines, self._timeout_s = Deadlines(_expire), timeout_s
        return self._deadlines

    def _heir(self, wire: Wire) -> Queue | None:
        return self.queue if self._wire == wire else None

    def stats(self, name: str) -> ApiStats:
        """What was counted so far."""
        queues = self.queues
        return ApiStats(
            name,
            sum(queue.waiting for queue in queues),
            sum(queue.running for queue in queues),
            dict(self.codes),
            self._batches + sum(queue.batches for queue in queues),
            self._batched + sum(queue.batched for queue in queues),
            self.queue.ceiling.most,
            self.queue.ceiling.at,
        )


def _expire(call: Call) -> None:
    """A call's deadline has passed, in whatever pool it is by now."""
    assert call.queue.home is not None
    call.queue.home.expire(call)
