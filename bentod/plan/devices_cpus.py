"""Which CPUs each worker may run on: its own while there are enough, else as few others as possible beside it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import ceil, floor
from types import MappingProxyType

from bentod.plan.inventory import Inventory

_SLACK = 1e-9
_ROUNDS = 4

Worker = tuple[str, int]
"""A service and the index of one of its workers."""

Sets = Mapping[Worker, tuple[int, ...]]


def cpus_claimed(inventory: Inventory) -> dict[int, float]:
    """How much of each CPU workers of other daemons have, of those that are ours to give."""
    found = dict.fromkeys(inventory.cpu_ids, 0.0)
    for claim in inventory.claims:
        for cpu, load in claim.loads.items():
            if cpu in found:
                found[cpu] += load
    return found


def cpus_left(inventory: Inventory) -> float:
    """How many CPUs other daemons leave. A quota is ours alone."""
    free = [max(0.0, 1.0 - load) for load in cpus_claimed(inventory).values()]
    return min(inventory.cpus, sum(free)) if free else inventory.cpus


def cpu_sets(
    wanted: Mapping[Worker, float],
    cpu_ids: Sequence[int],
    held: Sets,
    others: Mapping[int, float] = MappingProxyType({}),
) -> tuple[Sets, bool]:
    """The CPUs of each worker that wants some, and whether some have to share one. None wants more than there are.
    Workers keep what they have unless others would have to share where nobody needs to, or very unevenly. `others` is
    how much of each CPU is not ours to give."""
    ids = tuple(sorted(cpu_ids))
    if not ids or not wanted:
        return {}, False
    ranked = sorted(wanted.items(), key=lambda one: (-one[1], one[0]))
    taken = tuple(others.get(cpu, 0.0) for cpu in ids)
    found = _Cpus(ids, ranked, taken).filled(held)
    for _ in range(_ROUNDS):  # until nothing better is found from there, so that nothing moves the next time
        best = min(_ways(ids, ranked, taken, found), key=_Cpus.badness)
        if best.badness() >= found.badness():
            break
        found = best
    return found.sets, max(found.loads) > 1 + _SLACK


def _ways(
    ids: tuple[int, ...], ranked: Sequence[tuple[Worker, float]], taken: tuple[float, ...], before: _Cpus
) -> Iterable[_Cpus]:
    total = sum(cpus for _, cpus in ranked) + sum(taken)
    fair = max(1.0, float(ceil(total / len(ids) - _SLACK)))
    if before.badness() > (0, 0):
        yield _Cpus(ids, ranked, taken).filled(before.sets, limit=fair)
        yield _Cpus(ids, ranked, taken).filled({})
        yield _Cpus(ids, ranked, taken).filled({}, tight=True)
    yield before


class _Cpus:
    """How much is wanted of each CPU, by its position. `ranked` are all workers, the largest first; `taken` is what
    others have of each."""

    def __init__(self, ids: tuple[int, ...], ranked: Sequence[tuple[Worker, float]], taken: tuple[float, ...]) -> None:
        self._ids = ids
        self._ranked = ranked
        self._taken = taken
        self._positions = {cpu: at for at, cpu in enumerate(ids)}
        self._places: dict[Worker, list[int]] = {}
        self.loads = [*taken]

    @property
    def sets(self) -> Sets:
        """What everybody has."""
        return {worker: tuple(self._ids[at] for at in sorted(places)) for worker, places in self._places.items()}

    def badness(self) -> tuple[int, float]:
        """Nothing where nobody shares; or where there are too few, if nobody is much worse off than others."""
        most = max(self.loads)
        short = sum(cpus for _, cpus in self._ranked) + sum(self._taken) > len(self._ids) + _SLACK
        if most <= 1 + _SLACK or (short and most - min(self.loads) <= 1 + _SLACK):
            return 0, 0
        return 1, round(most, 6)

    def filled(self, held: Sets, limit: float | None = None, tight: bool = False) -> _Cpus:
        """Everybody gets what they have, as long as no CPU is wanted more than `limit` times, and else those that are
        wanted least; or, with `tight`, what is no whole CPU goes where it just fits."""
        rest = []
        for worker, cpus in self._ranked:
            had = [self._positions[cpu] for cpu in held.get(worker, ()) if cpu in self._positions]
            if had and len(had) == len(held[worker]) == ceil(cpus) and self._stays(had, cpus, limit):
                self._put(worker, had, cpus)
            else:
                rest.append((worker, cpus))
        for worker, cpus in rest:
            self._put(worker, self._tight(cpus) if tight else self._least(ceil(cpus)), cpus)
        self._weigh()
        return self

    def _weigh(self) -> None:
        """Loads as they follow from the sets, whatever way led there."""
        self.loads = [*self._taken]
        for worker, cpus in self._ranked:
            self._put(worker, self._places[worker], cpus)

    def _stays(self, had: Sequence[int], cpus: float, limit: float | None) -> bool:
        return limit is None or all(self.loads[at] + min(1.0, cpus) <= limit + _SLACK for at in had)

    def _put(self, worker: Worker, places: list[int], cpus: float) -> None:
        """What is left over of whole CPUs weighs on the busiest."""
        for at in sorted(places, key=lambda at: (self.loads[at], at)):
            self.loads[at] += min(1.0, cpus)
            cpus -= min(1.0, cpus)
        self._places[worker] = places

    def _least(self, count: int) -> list[int]:
        """Those that are wanted least; side by side if some are among these."""
        loads = self.loads
        if count == 1:
            return [min(range(len(loads)), key=loads.__getitem__)]
        least = sorted(range(len(loads)), key=loads.__getitem__)[:count]
        lowest = sum(loads[at] for at in least)
        window = sum(loads[:count])
        for first in range(len(loads) - count + 1):
            if first:
                window += loads[first + count - 1] - loads[first - 1]
            if window <= lowest + _SLACK and self._ids[first + count - 1] - self._ids[first] == count - 1:
                return list(range(first, first + count))
        return least

    def _tight(self, cpus: float) -> list[int]:
        """The least wanted for whole CPUs, and for the rest the busiest that is not wanted too often with it."""
        part, loads = cpus - floor(cpus), self.loads
        fitting = [at for at, load in enumerate(loads) if load + part <= 1 + _SLACK]
        if part <= _SLACK or not fitting:
            return self._least(ceil(cpus))
        busy = max(fitting, key=lambda at: (loads[at], -at))
        others = sorted((at for at in range(len(loads)) if at != busy), key=lambda at: (loads[at], abs(at - busy)))
        return [busy, *others[: floor(cpus)]]
