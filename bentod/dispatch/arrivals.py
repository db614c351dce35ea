"""When calls come: the gaps between arrivals, learned, and what they say about the next ones."""

from __future__ import annotations

from array import array
from math import frexp

_GROWTH = 1.02  # what each gap counts more than the one before it: about the last hundred count
_RENEW = 1e30
_PER_S = 125_000.0  # gaps below 8 microseconds are one to us
_PARTS = 4
_BUCKETS = 20 * _PARTS + 1
_EDGES = (0.0, *(2.0 ** (i // _PARTS) * (1 + i % _PARTS / _PARTS) / _PER_S for i in range(_BUCKETS)))
"""Bucket i has the gaps from _EDGES[i] to _EDGES[i + 1]: four to an octave, up to eight seconds."""
_NEVER = 1e-6  # chances below count for nothing
_MOST = 128  # so many outstanding calls are told apart
_FEW = 8
_KEPT = 16
_AT_ONCE_S = 0.0001
_REBUILD = 128
_RARE = 0.02


def _bucket(gap: float) -> int:
    if gap * _PER_S < 1.0:
        return 0
    part, octave = frexp(gap * _PER_S)
    return min(_BUCKETS - 1, 1 + (octave - 1) * _PARTS + int((part - 0.5) * 2 * _PARTS))


class _Gaps:
    """How long it took until a call came, and for how long none had come when something else happened."""

    __slots__ = ("count", "cut", "due", "ended", "found", "sum_s", "total", "unit")

    def __init__(self) -> None:
        self.ended = array("f", bytes(4 * _BUCKETS))
        self.cut = array("f", bytes(4 * _BUCKETS))
        self.unit = 1.0
        self.total = 0.0
        self.sum_s = 0.0
        self.count = self.due = 0
        self.found: dict[tuple[float, ...], list[tuple[float, float]]] = {}

    def add(self, gap: float, ended: bool) -> None:
        unit = self.unit = self.unit * _GROWTH
        (self.ended if ended else self.cut)[_bucket(gap)] += unit
        self.total += unit
        self.sum_s += unit * gap
        self.count += 1
        if unit > _RENEW:
            self.ended = array("f", [weight / unit for weight in self.ended])
            self.cut = array("f", [weight / unit for weight in self.cut])
            self.total /= unit
            self.sum_s /= unit
            self.unit = 1.0

    def ahead(self, silence_s: float, waits: tuple[float, ...]) -> list[tuple[float, float]]:
        """See `Arrivals.ahead`. What is found for the time after an event is kept for some gaps more."""
        if silence_s >= _AT_ONCE_S:
            return self.after(silence_s, waits)
        if self.count >= self.due or len(self.found) > _FEW:
            self.due = self.count + min(_KEPT, 1 + self.count // 8)
            self.found.clear()
        found = self.found.get(waits)
        if found is None:
            found = self.found[waits] = self.after(0.0, waits)
        return found

    def after(self, silence_s: float, waits: tuple[float, ...]) -> list[tuple[float, float]]:
        """The product-limit estimate (Kaplan and Meier, 1958), with one gap among the others that never ends."""
        ended, cut, at = self.ended, self.cut, _bucket(silence_s)
        low, high = max(silence_s, _EDGES[at]), _EDGES[at + 1]
        risk = sum(ended[at:]) + sum(cut[at:]) + self.unit
        slope = ended[at] / ((risk - cut[at] / 2) * (high - _EDGES[at]))
        left, waited, found = 1.0, 0.0, []
        for wait in waits:
            until = silence_s + wait
            while high <= until and at + 1 < _BUCKETS:
                drop = left * slope * (high - low)
                waited += (high - low) * (left - drop / 2)
                left -= drop
                risk -= ended[at] + cut[at]
                at += 1
                low, high = high, _EDGES[at + 1]
                slope = ended[at] / ((risk - cut[at] / 2) * (high - low)) if ended[at] else 0.0
            drop = left * slope * max(0.0, min(high, until) - low)
            found.append((1.0 - left + drop, waited + (until - low) * (left - drop / 2)))
        return found


class Flow:
    """The arrivals to expect one after the other, while no call leaves.

    Place k stands for the time after an arrival that made k calls outstanding. `ends[k]` is the first place from k on
    where probably none follows soon. `gains` is for who asks: what was found with this flow.
    """

    __slots__ = ("_steps", "ends", "gains", "last")

    def __init__(self, steps: list[tuple[float, float]]) -> None:
        self._steps = steps
        self.last = len(steps)
        self.ends = [self.last] * (self.last + 1)
        for k in range(self.last - 1, -1, -1):
            self.ends[k] = k if steps[k][0] < 0.5 else self.ends[k + 1]
        self.gains: dict[tuple[float, ...], tuple[float, float]] = {}

    def count(self, after: int, within_s: float) -> float:
        """How many arrivals to expect within this time."""
        alive, count, time = 1.0, 0.0, 0.0
        for chance, gap in self._steps[after:]:
            time += gap
            alive *= chance
            if time > within_s or alive < _NEVER:
                break
            count += alive
        return count

    def gather(self, after: int, upto: int, calls: float) -> tuple[float, float, float]:
        """Wait from one arrival until another, or until they end: the arrivals to expect, the time it takes, and the
        time that they and `calls` wait, summed."""
        alive, count, time, waited = 1.0, 0.0, 0.0, 0.0
        for more, (chance, gap) in enumerate(self._steps[after:upto]):
            time += alive * gap
            waited += alive * gap * (calls + more)
            alive *= chance
            if alive < _NEVER:
                break
            count += alive
        return count, time, waited


class Arrivals:
    """When calls come: the gaps between arrivals, learned for each number of outstanding calls.

    That number tells the middle of a burst of eight from its end. It also tells whether all of a group of clients that
    call again after each answer wait already, or were just answered and will be back: so time is counted from the last
    arrival or departure. `outstanding` is what it is now. Who never says that calls have left gets one state for all.
    """

    __slots__ = ("_all", "_due", "_event", "_flows", "_gaps", "_last", "_states", "outstanding")

    def __init__(self) -> None:
        self.outstanding = 0
        self._all = _Gaps()
        self._gaps = self._all
        self._states: dict[int, _Gaps] = {}  # by what is outstanding since an arrival; below zero, since a departure
        self._last: float | None = None
        self._event = 0.0
        self._due = 0
        self._flows: dict[int, Flow] = {}

    def came(self, now: float) -> None:
        """A call came. A clock that goes backwards makes a gap of nothing."""
        if self._last is not None:
            self._all.add(max(0.0, now - self._last), True)
            self._gaps.add(max(0.0, now - self._event), True)
        self._last = now
        self.outstanding += 1
        self._enter(now, min(self.outstanding, _MOST))

    def left(self, now: float, calls: int = 1) -> None:
        """So many calls were answered, or are outstanding no longer for another reason. That nobody came for a moment,
        as between the departures of one batch, is not worth learning."""
        if now - self._event >= _AT_ONCE_S and self._last is not None:
            self._gaps.add(now - self._event, False)
        self.outstanding = max(0, self.outstanding - calls)
        self._enter(now, -1 - min(self.outstanding, _MOST))

    def _enter(self, now: float, state: int) -> None:
        self._event = now
        gaps = self._states.get(state)
        if gaps is None:
            gaps = self._states[state] = _Gaps()
        self._gaps = gaps

    @property
    def rate(self) -> float:
        """Calls per second over the last hundred; 0 while nothing is known."""
        return self._all.total / max(self._all.sum_s, 1e-9) if self._all.total else 0.0

    @property
    def next(self) -> int:
        """The place in a flow that one more arrival leads to."""
        return min(self.outstanding + 1, _MOST)

    def ahead(self, silence_s: float, waits: tuple[float, ...]) -> list[tuple[float, float]]:
        """For each of these waits, in rising order, after such a time without an arrival: how likely it is that a call
        comes within it, and the mean time until it comes or the wait is over."""
        if self._gaps.count < _FEW or self._last is None:
            return self._all.ahead(max(0.0, silence_s), waits)
        return self._gaps.ahead(max(0.0, silence_s - max(0.0, self._event - self._last)), waits)

    def flow(self, horizon_s: float) -> Flow:
        """What to expect after the next arrivals, where each comes within about this time of the one before it. It is
        remembered for a number of arrivals."""
        count = self._all.count
        if count >= self._due:
            self._due = count + min(_REBUILD, _FEW + count // 2)
            self._flows.clear()
        octave = frexp(horizon_s)[1]
        found = self._flows.get(octave)
        if found is None:
            found = self._flows[octave] = self._make(2.0**octave * 0.75)
        return found

    def _make(self, horizon_s: float) -> Flow:
        steps = [_step(self._all, horizon_s)] * (_MOST + 1)
        for k, gaps in self._states.items():
            if k > 0 and gaps.count >= _FEW:
                steps[k] = _step(gaps, horizon_s)
        return Flow(steps + steps[-1:] * (_MOST // 4))


def _step(gaps: _Gaps, horizon_s: float) -> tuple[float, float]:
    """How likely a gap ends within the horizon, and the mean of those that do."""
    chance, waited = gaps.ahead(0.0, (horizon_s,))[0]
    chance = max(chance, _RARE)
    return chance, max(0.0, waited - (1 - chance) * horizon_s) / chance
