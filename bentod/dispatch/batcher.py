"""Whether a free worker waits for more calls before it takes a part of a batch: a pure decision."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from bentod.dispatch.arrivals import Arrivals
from bentod.dispatch.cost import Cost

_TICK_S = 0.001
_WAITS = (0.001, 0.002, 0.003, 0.005, 0.008, 0.013, 0.021, 0.034, 0.055, 0.1)
_DURING = 0.9
"""Who comes in the last tenth of a batch is counted as coming after it: that is where those come back who were answered
a little earlier than usual."""


@dataclass(frozen=True, slots=True)
class _Part:
    """A part of a batch, in calls."""

    calls: float
    room: int
    each: float
    most: int
    cost: Cost

    def of(self, calls: float) -> float:
        """Seconds of a batch of about so many calls."""
        return self.cost.of(max(1, min(self.most, round(calls * self.each)))) or 0.0

    def then(self, calls: float) -> float:
        """The same, where less than one call is one that may not come."""
        return min(1.0, calls) * self.of(calls)


def hold_s(  # noqa: PLR0913 - each is a fact of its own
    waiting: float,
    max_size: int,
    others_free: bool,
    silence_s: float,
    arrivals: Arrivals,
    cost: Cost,
    limit_s: float,
    each: float = 1.0,
) -> float:
    """How long at most to hold a partial batch for one more arrival before it is sent; 0: send now."""
    rate = arrivals.rate
    if limit_s <= 0 or rate <= 0 or waiting + each > max_size:
        return 0.0
    part = _Part(waiting / each, int((max_size - waiting) / each), each, max_size, cost)
    now, then = cost.of(waiting), cost.of(waiting + each)
    if now is None or then is None or now + part.of(1) <= then:
        return 0.0
    gain, later = _gain(part, now, others_free, arrivals)
    if gain <= 0.0:
        return 0.0
    best, hold = 0.0, 0.0
    waits = [wait for wait in _WAITS if wait < limit_s] or [limit_s]
    for wait, (chance, gap) in zip(waits, arrivals.ahead(silence_s, waits), strict=True):
        late = gap + (1 - chance) * _TICK_S / 2
        worse = (part.calls + chance * later + (1 - chance) * rate * now) * late - chance * gain
        if worse < best:
            best, hold = worse, wait
    return hold


def _gain(part: _Part, now: float, others_free: bool, arrivals: Arrivals) -> tuple[float, float]:
    first = arrivals.next
    running = arrivals.outstanding - part.calls
    flow = arrivals.flow(now)
    free = now
    if others_free:
        free = 0.0
    elif running >= 1:
        free = now / (1 + ceil(running * part.each / part.most))
    second = 1 + flow.count(first, free * _DURING)
    end = free + part.of(second)
    third = max(arrivals.rate * part.of(second), flow.count(first, end * _DURING) + 1 - second)
    alone = part.calls * now + second * end + third * (end + part.of(third))
    best = 0.0
    full = min(first + part.room - 1, flow.last)
    for last in {first, min(flow.ends[first], full), full}:
        more, time, waited = flow.gather(first, last, part.calls + 1)
        done = time + part.of(part.calls + 1 + more)
        left = max(0.0, second + third - 1 - more)
        during = min(left, flow.count(last, (done - time) * _DURING))
        after = left - during
        next_done = done + part.then(during)
        together = waited + (part.calls + 1 + more) * (done - time)
        together += during * (done + part.of(during)) + after * (max(next_done, (done + end) / 2) + part.of(after))
        best = max(best, alone - together)
    return best, second + third
