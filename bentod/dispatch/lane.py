"""A lane: the calls of one service that wait for the same kind of slot, in the order of their arrival."""

from __future__ import annotations

from collections import deque

from bentod.dispatch.call import Call
from bentod.dispatch.window import window
from bentod.errors import QueueFull

_SMOOTHING = 0.1  # of the average run time: about the last ten calls
_SLACK = 64


class Lane:
    """Waiting calls, and the average time that one runs."""

    def __init__(self) -> None:
        self._calls: deque[Call] = deque()
        self._left = 0  # calls that finished while they waited, and still lie in `_calls`
        self._run_s: float | None = None

    def __bool__(self) -> bool:
        return bool(self._calls)

    def put(self, call: Call) -> None:
        """Let a call wait. Raises QueueFull."""
        if call.quota.waiting >= call.quota.limit:
            raise QueueFull("too many calls wait already", headers={"retry-after": "1"})
        call.quota.waiting += 1
        self._calls.append(call)

    def put_back(self, calls: list[Call]) -> None:
        """Let calls that have waited before wait again, in front of the others, above the limit if need be."""
        for call in reversed(calls):
            call.quota.waiting += 1
            self._calls.appendleft(call)

    def take(self) -> Call | None:
        """The next call that somebody still waits for."""
        while self._calls:
            call = self._calls.popleft()
            if not call.finished.done():
                call.quota.waiting -= 1
                return call
            self._left -= 1
        return None

    def leave(self, call: Call) -> None:
        """A waiting call has finished: expired or abandoned. Its place counts no more at once."""
        call.quota.waiting -= 1
        self._left += 1
        if self._left > _SLACK + len(self._calls) // 2:
            self._calls = deque(other for other in self._calls if not other.finished.done())
            self._left = 0

    def take_all(self) -> list[Call]:
        """All that wait, none left."""
        return list(iter(self.take, None))

    def ran(self, run_s: float) -> None:
        """Learn from a call that ran for `run_s` seconds."""
        self._run_s = run_s if self._run_s is None else self._run_s + _SMOOTHING * (run_s - self._run_s)

    def window(self, slots: int) -> int:
        """How many calls a worker that runs `slots` at once may hold."""
        return window(slots, self._run_s)
