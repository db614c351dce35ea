"""One way to give out GPUs: those that are to keep theirs, then whole ones, then parts, or all of it by trying."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bentod.plan.devices_parts import best, search
from bentod.plan.devices_room import Gpus, Held, Room, Want
from bentod.plan.devices_whole import amounts, picked

_MOST_ITEMS, _STEPS, _FEW_GPUS = 48, 24_000, 8


@dataclass(slots=True)
class Given:
    """What was given out, while it is: by service and worker the positions of its GPUs. `failed` got nothing."""

    room: Room
    at: dict[str, dict[int, tuple[int, ...]]] = field(default_factory=dict)
    failed: list[Want] = field(default_factory=list)

    def put(self, want: Want, worker: int, places: tuple[int, ...]) -> None:
        """A worker gets GPUs."""
        self.at[want.service][worker] = places
        for at in places:
            self.room.put(want, at)

    def back(self, want: Want, worker: int) -> None:
        """It gives them back."""
        for at in self.at[want.service].pop(worker):
            self.room.put(want, at, -1)


@dataclass(frozen=True, slots=True)
class Taste:
    """What is better where several would do: what a worker has had (`held`), what nobody has had (`late` are those of
    others, the larger the later), what others need least (`pressure`, by kind), and for parts what no stranger is on
    (`shy`)."""

    held: Held
    late: Mapping[int, int]
    pressure: Mapping[int, float]
    shy: bool


def pressures(wants: Sequence[Want], gpus: Gpus) -> dict[int, float]:
    """How much is wanted of each kind of GPU, for each that there is of those that would do."""
    found = dict.fromkeys(gpus.kinds, 0.0)
    for want in wants:
        needed = (float(want.whole) or want.weight) * want.workers
        suiting = [kind for kind, size in zip(gpus.kinds, want.sizes, strict=True) if size]
        for kind in {*suiting}:
            found[kind] += 1.0 if want.auto else needed / len(suiting)
    return {kind: round(value, 6) for kind, value in found.items()}  # the same in any order of services


def attempt(wants: Sequence[Want], gpus: Gpus, pinned: Held, taste: Taste, thorough: bool = True) -> Given:
    """Give out GPUs; workers that are `pinned` keep theirs if they can. `thorough`: where the quick rule finds no
    place for a part, and there is little to try, everything is tried."""
    given = Given(Room(gpus), {want.service: {} for want in wants})
    _keep(wants, pinned, given)
    missing = {want.service: _missing(want, given) for want in wants}
    _wholes([want for want in wants if want.whole], missing, taste, given)
    exact = not given.failed
    _parts([want for want in wants if not want.whole], missing, taste, given)
    count = sum(max(want.whole, 1) * len(missing[want.service]) for want in wants)
    if given.failed and exact and thorough and count <= _MOST_ITEMS:
        return _tried(wants, gpus, pinned, missing) or given
    return given


def _keep(wants: Sequence[Want], pinned: Held, given: Given) -> None:
    for want in wants:
        for worker, places in sorted(pinned.get(want.service, {}).items()):
            if (want.auto or worker < want.workers) and given.room.keeps(want, places):
                given.put(want, worker, places)


def _missing(want: Want, given: Given) -> list[int]:
    has = given.at[want.service]
    if want.auto:
        return [] if has else [0]
    return [worker for worker in range(want.workers) if worker not in has]


def _wholes(wants: Sequence[Want], missing: Mapping[str, Sequence[int]], taste: Taste, given: Given) -> None:
    """The largest first, and those for whom fewer would do; who runs already comes before all others."""
    room = given.room
    nobodys = {kind for at, kind in enumerate(room.gpus.kinds) if at not in taste.late and room.idle(at)}
    had = {
        want.service: {room.gpus.kinds[at] for places in taste.held.get(want.service, {}).values() for at in places}
        for want in wants
    }

    def liked(want: Want, kind: int) -> tuple[float, ...]:
        memory = room.gpus.devices[room.gpus.kinds.index(kind)].memory
        return (kind not in had[want.service], kind not in nobodys, taste.pressure.get(kind, 0.0), memory, kind)

    order = sorted(wants, key=lambda want: (not had[want.service], -want.whole, want.suits, want.order))
    found = amounts([(want, want.whole * len(missing[want.service])) for want in order], room, liked)
    for want in order:
        if want.service not in found:
            given.failed.append(want)
    some = sorted((want for want in order if want.service in found), key=lambda want: (-want.whole, want.suits))
    todo = [(want, worker) for want in some for worker in missing[want.service]]
    rest = [(want, worker) for want, worker in todo if not _again(want, worker, found[want.service], taste, given)]
    for want, worker in rest:
        _take(want, worker, picked(want.whole, found[want.service], room, taste.late), found[want.service], given)


def _again(want: Want, worker: int, kinds: dict[int, int], taste: Taste, given: Given) -> bool:
    """A worker gets what it has had, if it may have so many of these kinds."""
    places = taste.held.get(want.service, {}).get(worker, ())
    had = [given.room.gpus.kinds[at] for at in places]
    if len(places) != want.whole or not all(given.room.fits(want, at) for at in places):
        return False
    if any(had.count(kind) > kinds.get(kind, 0) for kind in had):
        return False
    _take(want, worker, places, kinds, given)
    return True


def _take(want: Want, worker: int, places: tuple[int, ...], kinds: dict[int, int], given: Given) -> None:
    given.put(want, worker, places)
    for at in places:
        kinds[given.room.gpus.kinds[at]] -= 1


def _parts(wants: Sequence[Want], missing: Mapping[str, Sequence[int]], taste: Taste, given: Given) -> None:
    """The largest first; a service gets all that it wants, or nothing."""
    for want in sorted(wants, key=lambda want: (-want.weight, want.suits, want.order)):
        held = taste.held.get(want.service, {})
        before = len(given.at[want.service])
        for worker in sorted(missing[want.service], key=lambda worker: (worker not in held, worker)):
            at = place_for(want, worker, taste, given.room)
            if at is None:
                break
            given.put(want, worker, (at,))
        if len(given.at[want.service]) < before + len(missing[want.service]):
            given.failed.append(want)
            for worker in missing[want.service]:
                if worker in given.at[want.service]:
                    given.back(want, worker)


def place_for(want: Want, worker: int, taste: Taste, room: Room) -> int | None:
    """Where a part goes: where the worker was, if it fits, or where it fits best."""
    had = taste.held.get(want.service, {}).get(worker, ())
    if len(had) == 1 and room.fits(want, had[0]):
        return had[0]
    return best(want, room, taste.late, taste.pressure, taste.shy)


def _tried(wants: Sequence[Want], gpus: Gpus, pinned: Held, missing: Mapping[str, Sequence[int]]) -> Given | None:
    """All that is missing, whole ones and parts together, by trying."""
    given = Given(Room(gpus), {want.service: {} for want in wants})
    _keep(wants, pinned, given)
    order = sorted(wants, key=lambda want: (not want.whole, want.suits if want.whole else -want.weight, want.order))
    items = [want for want in order for _ in range(max(want.whole, 1) * len(missing[want.service]))]
    many = max(1, len(gpus.devices))
    found = search(items, given.room, _STEPS // many if many <= _FEW_GPUS else _STEPS // 4 // many)
    if found is None:
        return None
    start = 0
    for want in order:
        each = max(want.whole, 1)
        places = sorted(found[start : start + each * len(missing[want.service])])
        for number, worker in enumerate(missing[want.service]):
            given.put(want, worker, tuple(places[number * each : (number + 1) * each]))
        start += len(places)
    return given
