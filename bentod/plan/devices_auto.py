"""`workers: auto`: as many as there is room for, once all services with a number have theirs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from bentod.plan.devices_attempt import Given, Taste, place_for
from bentod.plan.devices_room import Want
from bentod.plan.devices_whole import picked
from bentod.plan.grants import Demand, Needs

MOST = 1024


@dataclass(slots=True)
class Purse:
    """What is left of the host beside its GPUs. `memory` None: the system does not tell how much there is."""

    cpus: float
    memory: int | None

    def pay(self, needs: Needs) -> bool:
        """Take what one worker more needs; False, and nothing is taken, if it is not there."""
        cpus, memory = self.cpus - (needs.cpus or 0), (self.memory or 0) - (needs.memory or 0)
        if (needs.cpus and cpus < 0) or (needs.memory and self.memory is not None and memory < 0):
            return False
        self.cpus, self.memory = cpus, None if self.memory is None else memory
        return True


@dataclass(frozen=True, slots=True)
class Now:
    """What services with a number have left over: `given` of GPUs, by `taste`. `had` is how many workers run."""

    wants: Mapping[str, Want]
    given: Given
    taste: Taste
    had: Mapping[str, int]


def grown(demands: Sequence[Demand], cpus: float, purse: Purse, now: Now) -> dict[str, int]:
    """How many workers each of these services gets, all of them `auto` and with one already; those with GPUs get
    theirs, of the others `cpus` are the measure. They take turns: whoever has fewest first, then whoever has had more,
    then in the order of the spec."""
    taking = [_Taking(demand, now) for demand in demands]
    queue = list(taking)
    while queue:
        one = min(queue, key=lambda one: (len(one.kept), len(one.kept) >= now.had.get(one.demand.service, 0)))
        if len(one.kept) >= one.most(cpus) or not one.more(purse):
            queue.remove(one)
    for one in taking:
        one.close()
    return {one.demand.service: len(one.kept) for one in taking}


class _Taking:
    """One service that takes what it can get. `kept` are the indexes of its workers."""

    def __init__(self, demand: Demand, now: Now) -> None:
        self.demand, self._given, self._taste = demand, now.given, now.taste
        self._want = now.wants.get(demand.service)
        self._has = {} if self._want is None else now.given.at[demand.service]
        self.kept = {min(self._has, default=0)}

    def most(self, cpus: float) -> int:
        """Without GPUs the host's CPUs are the measure."""
        if self._want is not None:
            return MOST
        return min(MOST, max(1, int(cpus / (self.demand.needs.cpus or 1) + 1e-9)))

    def more(self, purse: Purse) -> bool:
        """One worker more; those that have GPUs come before any that would have to find some."""
        want, needs = self._want, self.demand.needs
        if want is None:
            return self._keep(len(self.kept), purse.pay(replace(needs, cpus=None)))
        if waiting := sorted(self._has.keys() - self.kept):
            return self._keep(waiting[0], purse.pay(needs))
        index = next(index for index in range(MOST) if index not in self._has)
        places = self._places(want, index)
        if not places or not purse.pay(needs):
            return False
        self._given.put(want, index, places)
        return self._keep(index, paid=True)

    def close(self) -> None:
        """Give back what is too much, and count from 0 without holes: the last move into them."""
        if self._want is None:
            return
        for index in sorted(self._has.keys() - self.kept):
            self._given.back(self._want, index)
        for hole in range(len(self.kept)):
            if hole not in self._has:
                self._has[hole] = self._has.pop(max(self._has))

    def _keep(self, index: int, paid: bool) -> bool:
        if paid:
            self.kept.add(index)
        return paid

    def _places(self, want: Want, index: int) -> tuple[int, ...]:
        room = self._given.room
        if not want.whole:
            at = place_for(want, index, self._taste, room)
            return () if at is None else (at,)
        had = self._taste.held.get(want.service, {}).get(index, ())
        if len(had) == want.whole and all(room.fits(want, at) for at in had):
            return had
        kinds = [kind for kind, size in zip(room.gpus.kinds, want.sizes, strict=True) if size]
        least = sorted({*kinds}, key=lambda kind: (self._taste.pressure.get(kind, 0.0), kind))
        for some in ([kind] for kind in least):
            if found := picked(want.whole, dict.fromkeys(some, len(kinds)), room, self._taste.late):
                return found
        return picked(want.whole, dict.fromkeys(kinds, len(kinds)), room, self._taste.late)
