"""Which CPUs each worker may run on: its own while there are enough, else as few others as possible beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import ceil

_SLACK = 1e-9

Worker = tuple[str, int]
"""A service and the index of one of its workers."""

Sets = dict[Worker, tuple[int, ...]]


def cpu_sets(
    wanted: Mapping[Worker, float], cpu_ids: Sequence[int], held: Mapping[Worker, tuple[int, ...]]
) -> tuple[Sets, bool]:
    """The CPUs of each worker that wants some, and whether some have to share one. None wants more than there are.
    Workers keep what they have unless others would have to share where nobody needs to, or very unevenly."""
    ids = tuple(sorted(cpu_ids))
    if not ids:
        return {}, False
    total = sum(wanted.values())
    fair = max(1.0, float(ceil(total / len(ids) - _SLACK)))
    ways: list[Callable[[], _Cpus]] = [
        lambda: _Cpus(ids).filled(wanted, held, limit=None),
        lambda: _Cpus(ids).filled(wanted, held, limit=fair),
        lambda: _Cpus(ids).filled(wanted, {}, limit=None),
        lambda: _Cpus(ids).filled(wanted, {}, limit=None, tight=True),
    ]
    found = ways[0]()
    for way in ways[1:]:
        if found.even(total):
            break
        found = way()
    return found.sets, max(found.loads) > 1 + _SLACK


class _Cpus:
    """How much is wanted of each CPU, by its position."""

    def __init__(self, ids: tuple[int, ...]) -> None:
        self._ids = ids
        self._positions = {cpu: at for at, cpu in enumerate(ids)}
        self.loads = [0.0] * len(ids)
        self.sets: Sets = {}

    def even(self, total: float) -> bool:
        """Nobody shares; or, if there are too few, nobody is much worse off than others."""
        if max(self.loads) <= 1 + _SLACK:
            return True
        return total > len(self._ids) and max(self.loads) - min(self.loads) <= 1 + _SLACK

    def filled(
        self,
        wanted: Mapping[Worker, float],
        held: Mapping[Worker, tuple[int, ...]],
        limit: float | None,
        tight: bool = False,
    ) -> _Cpus:
        """Everybody gets what they have, as long as no CPU is wanted more than `limit` times, and else those that are
        wanted least; or, with `tight`, parts of one go where they just fit. The largest first."""
        rest = []
        for worker, cpus in wanted.items():
            had = [self._positions[cpu] for cpu in held.get(worker, ()) if cpu in self._positions]
            if had and len(had) == len(held[worker]) == ceil(cpus) and self._stays(had, cpus, limit):
                self._put(worker, had, cpus)
            else:
                rest.append((worker, cpus))
        for worker, cpus in sorted(rest, key=lambda one: -one[1]):
            self._put(worker, self._tight(cpus) if tight and cpus < 1 else self._least(ceil(cpus)), cpus)
        return self

    def _stays(self, had: Sequence[int], cpus: float, limit: float | None) -> bool:
        return limit is None or all(self.loads[at] + min(1.0, cpus) <= limit + _SLACK for at in had)

    def _put(self, worker: Worker, places: Sequence[int], cpus: float) -> None:
        """What is left over of whole CPUs weighs on the busiest."""
        for at in sorted(places, key=self.loads.__getitem__):
            part = min(1.0, cpus)
            self.loads[at] += part
            cpus -= part
        self.sets[worker] = tuple(self._ids[at] for at in sorted(places))

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
        """The busiest that is not wanted too often with it."""
        loads = self.loads
        fitting = [at for at, load in enumerate(loads) if load + cpus <= 1 + _SLACK]
        return [max(fitting, key=lambda at: (loads[at], -at))] if fitting else self._least(1)
