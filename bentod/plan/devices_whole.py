"""Whole GPUs: who gets how many of which kind, exactly, and then which ones, side by side where possible."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from bentod.plan.devices_room import Room, Want

Amounts = dict[str, dict[int, int]]
"""By service, how many GPUs of each kind."""


def amounts(wants: Sequence[tuple[Want, int]], room: Room, liked: Callable[[Want, int], tuple[float, ...]]) -> Amounts:
    """How many GPUs of each kind each service gets; those are missing for whom nothing is left, going in the order
    given. Exact: whoever comes later gets its GPUs if the others can have theirs in any way. `wants` say how many in
    all; `liked` sorts kinds, the best first."""
    free: dict[int, int] = {}
    for at, kind in enumerate(room.gpus.kinds):
        if room.idle(at):
            free[kind] = free.get(kind, 0) + 1
    found: Amounts = {}
    suiting = {}
    for want, count in wants:
        kinds = {kind for kind, size in zip(room.gpus.kinds, want.sizes, strict=True) if size and kind in free}
        suiting[want.service] = sorted(kinds, key=partial(liked, want))
        found[want.service] = dict.fromkeys(suiting[want.service], 0)
        if not all(_one_more(want.service, found, free, suiting) for _ in range(count)):
            for kind, number in found.pop(want.service).items():
                free[kind] += number
    return found


def _one_more(service: str, found: Amounts, free: dict[int, int], suiting: Mapping[str, Sequence[int]]) -> bool:
    """One more GPU for a service. If none that suits is free, others exchange some of theirs for other kinds."""
    came: dict[str, tuple[str, int] | None] = {service: None}
    queue = [service]
    for current in queue:
        for kind in suiting[current]:
            if free[kind]:
                free[kind] -= 1
                _exchange(current, kind, came, found)
                return True
            for other, theirs in found.items():
                if other not in came and theirs.get(kind):
                    came[other] = (current, kind)
                    queue.append(other)
    return False


def _exchange(current: str, kind: int, came: Mapping[str, tuple[str, int] | None], found: Amounts) -> None:
    """Whoever has reached a free GPU takes it, and passes on what it had, back along the way that was found."""
    found[current][kind] += 1
    while (before := came[current]) is not None:
        found[current][before[1]] -= 1
        found[before[0]][before[1]] += 1
        current = before[0]


def picked(count: int, kinds: Mapping[int, int], room: Room, late: Mapping[int, int]) -> tuple[int, ...]:
    """Which GPUs a worker gets, of kinds of which it may have so many: of one kind and side by side where possible.
    Empty if there are too few. Those that are `late` are taken last, the smaller first."""
    free = [at for at, kind in enumerate(room.gpus.kinds) if kinds.get(kind) and room.idle(at)]
    of_one = [[at for at in free if room.gpus.kinds[at] == kind] for kind, most in kinds.items() if most >= count]
    enough = [places for places in of_one if len(places) >= count]
    if enough:
        return min((_together(count, places, room, late) for places in enough), key=lambda found: found[0])[1]
    taken: dict[int, int] = {}
    several: list[int] = []
    for at in sorted(free, key=lambda at: (late.get(at, 0), at)):
        kind = room.gpus.kinds[at]
        if taken.get(kind, 0) < kinds[kind] and len(several) < count:
            taken[kind] = taken.get(kind, 0) + 1
            several.append(at)
    return tuple(sorted(several)) if len(several) == count else ()


def _together(
    count: int, places: Sequence[int], room: Room, late: Mapping[int, int]
) -> tuple[tuple[object, ...], tuple[int, ...]]:
    """The best of so many that follow each other among free ones of a kind: first those that nobody else has had, then
    the closest ones, then those in the shortest gap, so that long ones stay whole."""
    nobodys = [at for at in places if at not in late]
    places = nobodys if len(nobodys) >= count else places
    numbers = [_number(room, at) for at in places]
    gaps = _gaps(numbers)
    found = []
    for first in range(len(places) - count + 1):
        some = tuple(places[first : first + count])
        lateness = sorted((late.get(at, 0) for at in some), reverse=True)
        span = numbers[first + count - 1] - numbers[first]
        found.append(((lateness, span, gaps[first], first), some))
    return min(found)


def _number(room: Room, at: int) -> int:
    """The number of a GPU; of what has none, its position."""
    first = room.gpus.devices[at].index.partition(":")[0]
    return int(first) if first.isdecimal() else at


def _gaps(numbers: Sequence[int]) -> list[int]:
    """Of each, how many follow each other without a hole where it is."""
    lengths: list[int] = []
    start = 0
    for end in range(1, len(numbers) + 1):
        if end == len(numbers) or numbers[end] > numbers[end - 1] + 1:
            lengths += [end - start] * (end - start)
            start = end
    return lengths
