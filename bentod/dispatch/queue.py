"""The calls of one API that wait, by priority and group, and what the API may have at once."""

from __future__ import annotations

import heapq
import math
from collections import OrderedDict
from collections.abc import Hashable, Iterator
from dataclasses import dataclass

from bentod.dispatch.arrivals import Arrivals
from bentod.dispatch.call import Call
from bentod.dispatch.cost import Cost
from bentod.dispatch.drain import Drain
from bentod.errors import DeadlineExceeded, QueueFull

_SLACK = 64
_MOST_GROUPS = 64  # whose traffic is remembered
_LONGEST_S = 120
_SURE = 0.8  # a call is given up for its deadline only if this part of what was learned is too much already
_Heap = list[tuple[int, int, Call]]


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


class _Group:
    """Waiting calls that can share a batch. `weight` is that of those that somebody still waits for."""

    __slots__ = ("calls", "weight")

    def __init__(self) -> None:
        self.calls: _Heap = []
        self.weight = 0


class Queue:
    """One API's waiting calls, in the order of their level, then of their arrival; what the API holds; what is known of
    its traffic. `used` is the time of slots that it had, for fair shares; `batched` calls were sent in `batches`."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.waiting = 0
        self.running = 0
        self.slots = 0
        self.batches = self.batched = 0
        self.used = 0.0
        self.held_until = 0.0
        self.traffic = Traffic()
        self.drain = Drain()
        self._order: _Heap = []
        self._groups: dict[Hashable, _Group] = {}
        self._traffic: OrderedDict[Hashable, Traffic] = OrderedDict()
        self._levels: dict[int, int] = {}

    @property
    def mixed(self) -> bool:
        """Whether there are calls that cannot share a batch."""
        return len(self._groups) > 1

    @property
    def open(self) -> bool:
        """Whether the API may hold one more slot."""
        return not self.limits.slots or self.slots < self.limits.slots

    def admit(self, call: Call, now: float) -> None:
        """Raises QueueFull if no more calls may wait, DeadlineExceeded if this one's turn would come too late."""
        if self.waiting >= self.limits.waiting:
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
        self.waiting += 1
        self._levels[call.level] = self._levels.get(call.level, 0) + 1
        call.waits = True
        item = (call.level, call.id, call)
        heapq.heappush(self._order, item)
        if self.limits.max_size:
            group = self._groups.get(call.group)
            if group is None:
                group = self._groups[call.group] = _Group()
            heapq.heappush(group.calls, item)
            group.weight += call.weight

    def head(self) -> Call | None:
        """The call whose turn it is."""
        order = self._order
        while order and not order[0][2].waits:
            heapq.heappop(order)
        return order[0][2] if order else None

    def oldest(self) -> Call | None:
        """The call that waits longest, whatever its level."""
        if len(self._levels) <= 1:
            return self.head()
        return min((item[2] for item in self._order if item[2].waits), key=lambda call: call.id)

    def weight(self, head: Call) -> int:
        """What waits that could share a batch with `head`, itself included."""
        return head.weight if head.alone or not self.limits.max_size else self._groups[head.group].weight

    def take(self, head: Call, most: int, now: float) -> list[Call]:
        """A batch: `head` and those after it that fit, weighing at most `most`; they wait no more."""
        self._remove(head)
        calls = [head]
        if head.alone or not self.limits.max_size:
            return calls
        group = self._groups.get(head.group)
        room = most - head.weight
        while group is not None and group.calls:
            call = group.calls[0][2]
            if call.waits:
                if call.alone or call.weight > room or call.deadline <= now:
                    break
                room -= call.weight
                self._remove(call)
                calls.append(call)
            heapq.heappop(group.calls)
        return calls

    def leave(self, call: Call) -> None:
        """A waiting call has finished: expired or abandoned. Its place counts no more at once."""
        self._remove(call)
        if len(self._order) > _SLACK + 2 * self.waiting:
            self._order = _alive(self._order)
            for group in self._groups.values():
                group.calls = _alive(group.calls)

    def _remove(self, call: Call) -> None:
        call.waits = False
        self.waiting -= 1
        self._levels[call.level] -= 1
        if not self._levels[call.level]:
            del self._levels[call.level]
        group = self._groups.get(call.group)
        if group is not None and self.limits.max_size:
            group.weight -= call.weight
            if not group.weight:
                del self._groups[call.group]

    def take_all(self) -> Iterator[Call]:
        """All that wait, none left."""
        while (call := self.head()) is not None:
            self._remove(call)
            yield call

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
        if group is not None and (known := self.traffic_of(group).cost.of(size)) is not None:
            return known
        return self.traffic.cost.of(size)

    def _wait_s(self, level: int) -> float:
        """How long a new call of `level` would probably wait; 0 if that is not known."""
        rate = self.drain.rate
        before = sum(count for one, count in self._levels.items() if one <= level)
        return before / rate if rate else 0.0

    def _retry_after_s(self, now: float) -> int:
        """When it makes sense to come again: when what waits now is gone."""
        rate = self.drain.slowed(now)
        return min(_LONGEST_S, max(1, math.ceil(self.waiting / rate))) if rate else 1


def _alive(calls: _Heap) -> _Heap:
    alive = [item for item in calls if item[2].waits]
    heapq.heapify(alive)
    return alive
