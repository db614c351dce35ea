"""Whether a free worker waits for more calls before it takes a part of a batch: a pure decision.

The mean latency is to be small; by Little's law that is also the throughput of clients which wait for their
answers. Compared are two ways to serve the same calls, by the sum of the times at which they are answered:

- Send now: the q calls that wait are answered at c(q). Who comes meanwhile is the second batch, and who comes
  during the second is the third.
- Hold for the next call, and perhaps for the ones that should follow it closely. They share the first batch, which
  is later by that wait and slower by their share. Who comes during it is the second, and the rest are the third.

`_gain` is by how much the latter is better once the next call is there. That call comes within a wait w with a
chance p, after g seconds on average if what is spent in vain is counted. All calls that are served are later by g
then: the q, and if the call comes those of all three batches, else those that a batch usually finds waiting. Held
are the q calls if (q + p (n2 + n3) + (1 - p) r c(q)) g < p gain for some w, and for the best of them.

Under steady arrivals that is never so: what joins the first batch would fill the second as well, and both finish
later. Batches then form by themselves while the worker is busy. It is so if the next call is near and few come
after it: in bursts, and with clients that all come back when they were answered together. That more waiting calls
never make it worth while to hold again, is known of the optimum (Deb and Serfozo, Advances in Applied Probability
5, 1973), for arrivals without memory.

Timers count milliseconds and are late by half of one on average. So a hold for less is ended by arrivals, or else
costs one and a half.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from math import ceil, sqrt

from bentod.dispatch.arrivals import Arrivals, Flow
from bentod.dispatch.cost import Cost

_TICK_S = 0.001  # what the timers of an event loop count in
_WAITS = (0.001, 0.002, 0.003, 0.005, 0.008, 0.013, 0.021, 0.034, 0.055, 0.1)
_DURING = 0.9  # who comes in the last tenth of a batch counts as coming after it: often it is who was answered early
_GAINS = 256


@dataclass(frozen=True, slots=True)
class _Part:
    """A part of a batch, in calls, and the room that there is for more."""

    calls: float
    room: int
    each: float
    most: int
    cost: Cost

    def of(self, calls: float) -> float:
        """Seconds of a batch of so many calls."""
        return self.cost.of(max(1, min(self.most, round(calls * self.each)))) or 0.0

    def about(self, calls: float) -> float:
        """Seconds of a batch of so many calls, give or take what chance gives or takes: it smooths the steps."""
        spread = sqrt(calls)
        return (self.of(calls - spread) + self.of(calls + spread)) / 2


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
    """How long at most to hold a partial batch for one more arrival before it is sent; 0: send now.

    `waiting` is what waits, and `each` what a call weighs on average. `others_free`: another slot is free too.
    `silence_s`: the time since the last arrival. `limit_s` is never exceeded. It is asked again at each arrival.
    """
    rate = arrivals.rate
    if limit_s <= 0 or rate <= 0 or waiting + each > max_size:
        return 0.0
    now, more, alone = cost.of(waiting), cost.of(waiting + each), cost.of(each)
    if now is None or more is None or alone is None or now + alone <= more:
        return 0.0
    gain, later = _known_gain(waiting, max_size, others_free, arrivals, cost, each)
    if gain <= 0.0:
        return 0.0
    calls, best, hold = waiting / each, 0.0, 0.0
    waits = _WAITS[: bisect_left(_WAITS, limit_s)] or (limit_s,)
    for wait, (chance, gap) in zip(waits, arrivals.ahead(silence_s, waits), strict=True):
        late = gap + (1 - chance) * _TICK_S / 2
        worse = (calls + chance * later + (1 - chance) * rate * now) * late - chance * gain
        if worse < best:
            best, hold = worse, wait
    return hold


def _known_gain(
    waiting: float, max_size: int, others_free: bool, arrivals: Arrivals, cost: Cost, each: float
) -> tuple[float, float]:
    """`_gain`, remembered for as long as what it expects of the arrivals."""
    now = cost.of(waiting) or 0.0
    flow, key = arrivals.flow(now), (waiting, arrivals.outstanding, others_free, each, max_size)
    known = flow.gains.get(key)
    if known is None:
        part = _Part(waiting / each, int((max_size - waiting) / each), each, max_size, cost)
        known = _gain(part, now, others_free, arrivals, flow)
        if len(flow.gains) < _GAINS:
            flow.gains[key] = known
    return known


def _gain(part: _Part, now: float, others_free: bool, arrivals: Arrivals, flow: Flow) -> tuple[float, float]:
    """How much sooner all calls of three batches are answered, summed, if the first is held now that one more call has
    come; and how many of them there are besides those that wait.

    Held for how many? For that one, for all until the arrivals probably pause, or until the batch is full. Calls of
    the third batch that find the worker idle have come, on average, half-way through the time that is compared.
    """
    first, calls = arrivals.next, part.calls + 1
    free = _free_s(part, now, others_free, arrivals.outstanding)
    second = 1 + flow.count(first, free * _DURING)
    busy = part.about(second)
    end = free + busy
    third = max(arrivals.rate * busy, flow.count(first, end * _DURING) + 1 - second)
    apart = part.calls * now + second * end + third * (end + part.about(third))
    best = 0.0
    full = min(first + part.room - 1, flow.last)
    for last in {first, min(flow.ends[first], full), full}:
        joining, held, waited = flow.gather(first, last, calls)
        run = part.of(calls + joining)
        left = max(0.0, second + third - 1 - joining)
        during = min(left, flow.count(last, run * _DURING))
        after, done, next_run = left - during, held + run, part.about(during)
        idle = max(done + min(1.0, during) * next_run, (done + end) / 2)
        together = waited + (calls + joining) * run + during * (done + next_run) + after * (idle + part.about(after))
        best = max(best, apart - together)
    return best, second + third


def _free_s(part: _Part, now: float, others_free: bool, outstanding: int) -> float:
    """When a slot is free for the next call, if this part is sent: the more slots are busy, the sooner."""
    if others_free:
        return 0.0
    running = max(0.0, outstanding - part.calls)
    return now / (1 + ceil(running * part.each / part.most))
