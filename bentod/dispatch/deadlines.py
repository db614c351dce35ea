"""Expires calls at their deadlines with one timer for many.

All calls of one API have the same timeout, so they expire nearly in the order of their admission: a queue and a timer
for its head are enough, and a call that finishes in time costs neither a timer nor a search.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable

from bentod.dispatch.call import Call

_SLACK = 64


class Deadlines:
    """The deadlines of one API's calls. `expire` is called with each unfinished call whose deadline has passed."""

    def __init__(self, expire: Callable[[Call], None]) -> None:
        self._expire = expire
        self._calls: deque[Call] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self._compact_at = _SLACK

    def watch(self, call: Call) -> None:
        """Watch one more call."""
        calls = self._calls
        if calls and call.deadline < calls[-1].deadline:
            self._insert(call)
        else:
            calls.append(call)
        if len(calls) > self._compact_at:
            self.compact()
        if self._timer is None:
            self._arm()

    def _insert(self, call: Call) -> None:
        """Out of turn: the call's body took long, so others that arrived later were admitted before it."""
        place = len(self._calls)
        while place and call.deadline < self._calls[place - 1].deadline:
            place -= 1
        self._calls.insert(place, call)
        if place == 0 and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def compact(self) -> None:
        """Drop finished calls: once they are the greater part, so memory follows the calls that still run."""
        self._calls = deque(call for call in self._calls if not _met(call))
        self._compact_at = 2 * len(self._calls) + _SLACK

    def _arm(self) -> None:
        """One timer, for the head. (Not `call_at`: uvloop's clock counts milliseconds.)"""
        if self._calls:
            self._timer = self._loop.call_later(max(0.0, self._calls[0].deadline - time.monotonic()), self._ring)
        else:
            self._timer = None

    def _ring(self) -> None:
        now = time.monotonic()
        try:
            while self._calls and (_met(self._calls[0]) or self._calls[0].deadline <= now):
                call = self._calls.popleft()
                if not _met(call):
                    self._expire(call)
        finally:
            self._arm()


def _met(call: Call) -> bool:
    return call.timeless or call.done
