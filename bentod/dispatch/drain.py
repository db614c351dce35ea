"""How fast a queue drains, measured while something waits in it."""

from __future__ import annotations

_KEEP = 0.9  # of what was known, at each departure: about the last ten batches count
_ENOUGH = 4.0  # decayed departures before the rate is trusted
_MOST = 32.0  # times the usual: a longer pause counts as so much, else one pause would speak for long after it


class Drain:
    """Departures of a queue's calls. Times are of the monotonic clock."""

    __slots__ = ("_calls", "_mark", "_times", "_took")

    def __init__(self) -> None:
        self._calls = 0.0
        self._took = 0.0
        self._times = 0.0
        self._mark = 0.0

    def begin(self, now: float) -> None:
        """The queue was empty, and is not any more."""
        self._mark = now

    def left(self, calls: int, now: float) -> None:
        """So many calls have left together, to be served."""
        took = max(0.0, now - self._mark)
        if self._times >= _ENOUGH and self._took > 0:
            took = min(took, _MOST * self._took / self._times)
        self._mark = now
        self._calls = self._calls * _KEEP + calls
        self._took = self._took * _KEEP + took
        self._times = self._times * _KEEP + 1.0

    def came_back(self, calls: int) -> None:
        """So many have not been served after all."""
        self._calls = max(0.0, self._calls - calls)

    @property
    def rate(self) -> float:
        """Calls a second; 0 while too little is known."""
        return self._calls / self._took if self._times >= _ENOUGH and self._took > 0 else 0.0

    def slowed(self, now: float) -> float:
        """The same, with the silence since the last departure counted as what it is: 0 if nothing ever left."""
        silence = max(0.0, now - self._mark)
        usual = self._took / self._times if self._times else 0.0
        took = self._took + max(0.0, silence - usual)
        return self._calls / took if took > 0 else 0.0
