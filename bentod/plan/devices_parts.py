"""Parts of GPUs: the tightest place first, by a quick rule; and all ways, where there are not too many."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bentod.plan.devices_room import UNIT, Room, Want


def best(want: Want, room: Room, late: Mapping[int, int], pressure: Mapping[int, float], shy: bool) -> int | None:
    """Where a worker's part goes: to others that have parts, as tightly as possible; else to the GPU that others need
    least. `late` are GPUs that others have had, taken last. `shy`: those where strangers are come after idle ones."""
    found: tuple[float, ...] = ()
    seen = set()
    for at, size in enumerate(want.sizes):
        if size is None or size[0] > room.parts[at] or size[1] > room.memory[at]:
            continue
        kind = room.gpus.kinds[at]
        fresh = room.parts[at] == UNIT
        if fresh and at not in late:
            if kind in seen:  # as good as one before
                continue
            seen.add(kind)
        strange = bool(room.gpus.strangers[at])
        left, device = room.parts[at] - size[0], room.gpus.devices[at]
        after = min(left / UNIT, (room.memory[at] - size[1]) / (device.memory or 1))
        key = (late.get(at, 0), strange is shy, fresh, pressure.get(kind, 0.0), after, left, device.memory, at)
        if not found or key < found:
            found = key
    return int(found[-1]) if found else None


class _Enough(Exception):
    """Nothing was found within the steps that are allowed."""


def search(items: Sequence[Want], room: Room, steps: int) -> list[int] | None:
    """A GPU for each of `items`, one item for each whole GPU and each part; None if there is no way, or if none was
    found in so many steps. Equal items should follow each other."""
    if sum(min((size[0] for size in one.sizes if size), default=UNIT) for one in items) > sum(room.parts):
        return None
    try:
        return _Search(items, room.copy(), steps).found()
    except _Enough:
        return None


class _Search:
    """Depth first, the tightest place first. A state that has led nowhere is not tried again, nor one like it."""

    def __init__(self, items: Sequence[Want], room: Room, steps: int) -> None:
        self._items = items
        self._room = room
        self._steps = steps
        self._places: list[int] = []
        self._failed: set[tuple[int, tuple[tuple[int, int, int], ...]]] = set()

    def found(self) -> list[int] | None:
        return self._places if self._from(0) else None

    def _from(self, item: int) -> bool:
        if item == len(self._items):
            return True
        room = self._room
        state = (item, tuple(sorted(zip(room.gpus.kinds, room.parts, room.memory, strict=True))))
        if state in self._failed:
            return False
        self._steps -= 1
        if self._steps < 0:
            raise _Enough
        want = self._items[item]
        for at in self._choices(want):
            room.put(want, at)
            self._places.append(at)
            if self._from(item + 1):
                return True
            self._places.pop()
            room.put(want, at, -1)
        self._failed.add(state)
        return False

    def _choices(self, want: Want) -> list[int]:
        """GPUs that fit, one of each that are alike."""
        room = self._room
        alike: dict[tuple[int, int, int], int] = {}
        for at, kind in enumerate(room.gpus.kinds):
            if room.fits(want, at):
                alike.setdefault((kind, room.parts[at], room.memory[at]), at)
        return [at for _, at in sorted(alike.items(), key=lambda one: (one[0][1:], one[1]))]
