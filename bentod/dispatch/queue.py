"""The calls of one API that wait, by priority and group, and what the API may have at once."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from bentod.dispatch.arrivals import Arrivals
from bentod.dispatch.call import Call
from bentod.dispatch.ceiling import Ceiling, Lesson
from bentod.dispatch.cost import Cost
from bentod.dispatch.drain import Drain
from bentod.dispatch.line import Line
from bentod.errors import DeadlineExceeded, QueueFull

if TYPE_CHECKING:
    from bentod.dispatch.dispatcher import Dispatcher

_MOST_GROUPS = 64  # whose traffic is remembered
_LONGEST_S = 120
_SURE = 0.8  # a call is given up for its deadline only if this part of what was learned is too much already

_Key = TypeVar("_Key", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one API may have. `waiting`: calls that may wait. `slots`: how many of the service's slots it may hold at
    once, 0 for all. `priority`: its calls' level unless they say otherwise. `takes`: what the callable expects.

    `max_size`: how much one batch may weigh, 0 if calls are not batched; `max_delay_s`: how long a part of a batch may
    be held.
    """

    waiting: int = 256
    slots: int = 0
    priority: int = 5
    takes: str = "item"
    max_size: int = 0
    max_delay_s: float = 0.0

    @property
    def lone(self) -> bool:
        """Whether each call is sent by itself, as it is."""
        return self.takes == "item" and not self.max_size


class Traffic:
    """What was learned of an API's calls, or of one group of them."""

    __slots__ = ("arrivals", "cost", "last")

    def __init__(self) -> None:
        self.arrivals = Arrivals()
        self.cost = Cost()
        self.last = 0.0

    def came(self, now: float) -> None:
        """A call has come."""
        self.arrivals.came(now)
        self.last = now

    def left(self, now: float) -> None:
        """A call has its answer, or needs none any more."""
        self.arrivals.left(now)

    def renewed(self) -> Traffic:
        """The same clients before another callable: when they come is known, what their calls cost is not."""
        made = Traffic()
        made.arrivals, made.last = self.arrivals, self.last
        return made


class Queue:
    """One API's waiting calls, in the order of their level, then of their arrival; what the API holds; what is known of
    its traffic. `used` is the time of slots that it had, for fair shares; `batched` calls were sent in `batches`.
    `overdue`: what waits first was held as long as was decided.

    `limits` are those that were given, with batches no larger than the `ceiling` that was learned.

    `api` is its name, and `home` the dispatcher of the pool that it is for; `heir` finds the queue that the API has now
    if a call of this one could be served from there, too."""

    def __init__(self, limits: Limits) -> None:
        self.api = ""
        self.home: Dispatcher | None = None
        self.heir: Callable[[], Queue | None] = _nobody
        self._given = self.limits = limits
        self.ceiling = Ceiling()
        self.waiting = 0
        self.running = 0
        self.slots = 0
        self.batches = self.batched = 0
        self.used = 0.0
        self.held_until = 0.0
        self.overdue = False
        self.traffic = Traffic()
        self.drain = Drain()
        self._levels: dict[int, Line] = {}
        self._groups: dict[Hashable, Line] = {}
        self._traffic: OrderedDict[Hashable, Traffic] = OrderedDict()

    def limit(self, limits: Limits) -> None:
        """What the API may have from now on."""
        self._given = limits
        self._bound()

    def ran_out(self, lesson: Lesson) -> bool:
        """A batch has run out of memory. Returns whether batches may be of another size from now on."""
        changed = self.ceiling.ran_out(lesson)
        self._bound()
        return changed

    def adopt(self, most: int, at: int) -> None:
        """Another gateway has learned how large batches may be."""
        if self.ceiling.adopt(most, at):
            self._bound()

    def _bound(self) -> None:
        given, most = self._given, self.ceiling.most
        self.limits = replace(given, max_size=most) if 0 < most < given.max_size else given

    @property
    def mixed(self) -> bool:
        """Whether there are calls that cannot share a batch."""
        return len(self._groups) > 1

    @property
    def open(self) -> bool:
        """Whether the API may hold one more slot."""
        return not self.limits.slots or self.slots < self.limits.slots

    @property
    def full(self) -> bool:
        """Whether as many calls wait as may."""
        return self.waiting >= self.limits.waiting

    def room(self, free: int) -> int:
        """How many of `free` slots the API may have."""
        return min(free, self.limits.slots - self.slots) if self.limits.slots else free

    def admit(self, call: Call, now: float) -> None:
        """Raises QueueFull if no more calls may wait, DeadlineExceeded if this one's turn would come too late."""
        if self.full:
            headers = {"retry-after": str(self._retry_after_s(now))}
            raise QueueFull("too many calls wait already", headers=headers)
        wait_s = self._wait_s(call.level)
        if wait_s and now + _SURE * (wait_s + (self.cost(call.group, 1) or 0.0)) > call.deadline:
            raise DeadlineExceeded("so many calls wait that this one would come too late")

    def hopeless(self, call: Call, now: float) -> bool:
        """Whether a waiting call cannot be answered in time. While nothing else waits it is tried all the same: what it
        costs may have changed."""
        least_s = (self.cost(call.group, call.weight) or 0.0) if self.waiting > 1 else 0.0
        return call.deadline - now <= _SURE * least_s

    def put(self, call: Call) -> None:
        """Let a call wait, at the place that its level and its arrival give it."""
        place = call.place = (call.level, call.id, call)
        self.waiting += 1
        _line(self._levels, call.level).put(place)
        _line(self._groups, call.group).put(place)

    def head(self) -> Call | None:
        """The call whose turn it is."""
        return self._levels[min(self._levels)].first() if self._levels else None

    def oldest(self) -> Call | None:
        """The call that waits longest, whatever its level."""
        firsts = (line.first() for line in self._levels.values())
        return min((call for call in firsts if call is not None), key=lambda call: call.id, default=None)

    def weight(self, head: Call) -> int:
        """What waits that could share a batch with `head`, itself included."""
        return head.weight if head.alone or not self.limits.max_size else self._groups[head.group].weight

    def take(self, head: Call, most: int, now: float) -> list[Call]:
        """A batch: `head` and those after it that fit, weighing at most `most`; they wait no more."""
        group = self._groups[head.group]
        self.leave(head)
        calls = [head]
        if head.alone or not self.limits.max_size:
            return calls
        room = most - head.weight
        while (call := group.first()) is not None:
            if call.alone or call.weight > room or call.deadline <= now:
                break
            room -= call.weight
            self.leave(call)
            calls.append(call)
        return calls

    def leave(self, call: Call) -> None:
        """A call waits no more: it is sent, expired or abandoned. Its place counts no more at once."""
        call.place = None
        self.waiting -= 1
        level = self._levels[call.level]
        level.gone(call)
        if not level.count:
            del self._levels[call.level]
        group = self._groups[call.group]
        group.gone(call)
        if not group.count:
            del self._groups[call.group]

    def take_all(self) -> Iterator[Call]:
        """All that wait, none left."""
        while (call := self.head()) is not None:
            self.leave(call)
            yield call

    def renewed(self) -> Queue:
        """An empty queue for the same API in another pool."""
        made = Queue(self.limits)
        made.traffic = self.traffic.renewed()
        made._traffic = OrderedDict((group, traffic.renewed()) for group, traffic in self._traffic.items())
        return made

    def pass_on(self, heir: Queue) -> None:
        """All that wait, wait in an empty queue from now on, in their order."""
        for line in self._levels.values():
            for call in line:
                call.queue = heir
        heir._levels, heir._groups, heir.waiting = self._levels, self._groups, self.waiting
        self._levels, self._groups, self.waiting = {}, {}, 0
        self.held_until, self.overdue = 0.0, False

    def traffic_of(self, group: Hashable) -> Traffic:
        """What is known of one group's traffic. Those of the groups that came last are kept."""
        if group is None:
            return self.traffic
        known = self._traffic.get(group)
        if known is None:
            known = self._traffic[group] = Traffic()
            if len(self._traffic) > _MOST_GROUPS:
                self._traffic.popitem(last=False)
        self._traffic.move_to_end(group)
        return known

    def learn(self, group: Hashable, size: int, seconds: float) -> None:
        """A batch of `size` has held its slot for `seconds`."""
        self.traffic.cost.learn(size, seconds)
        if group is not None:
            self.traffic_of(group).cost.learn(size, seconds)

    def cost(self, group: Hashable, size: int) -> float | None:
        """What a batch of a group probably costs, in seconds; None while nothing is known."""
        return self._cost(group).of(size)

    def tried_cost(self, group: Hashable, size: int) -> float | None:
        """The same, but None as well for batches that are larger than any that ran, but for a few."""
        cost = self._cost(group)
        return cost.of(size) if size <= cost.largest else None

    def _cost(self, group: Hashable) -> Cost:
        if group is not None and (cost := self.traffic_of(group).cost).largest:
            return cost
        return self.traffic.cost

    def _wait_s(self, level: int) -> float:
        """How long a new call of `level` would probably wait; 0 if that is not known."""
        rate = self.drain.rate
        before = sum(line.count for one, line in self._levels.items() if one <= level)
        return before / rate if rate else 0.0

    def _retry_after_s(self, now: float) -> int:
        """When it makes sense to come again: when what waits now is gone."""
        rate = self.drain.slowed(now)
        return min(_LONGEST_S, max(1, math.ceil(self.waiting / rate))) if rate else 1


def _nobody() -> None:
    return None


def _line(lines: dict[_Key, Line], key: _Key) -> Line:
    line = lines.get(key)
    if line is None:
        line = lines[key] = Line()
    return line
