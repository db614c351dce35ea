"""What is left of a batch that raised: parts of it, which run once more."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

from bentod.worker.batches import Taken


class Part(NamedTuple):
    """What became of a half: its size in calls or rows, how many calls it was, and whether it went well."""

    size: int
    calls: int
    well: bool


class Again:
    """Calls that run again, one by one unless something else is said."""

    __slots__ = ("halved", "parts")

    def __init__(self, taken: Sequence[Taken] = ()) -> None:
        self.parts: Sequence[Sequence[Taken]] = [[one] for one in taken]
        self.halved = False


NOT_AGAIN = Again()


class Halves(Again):
    """A batch of this `size` has run out of memory, and its halves run one after the other. It hears what becomes of
    them."""

    __slots__ = ("_ran", "_size")

    def __init__(self, taken: Sequence[Taken], weights: Sequence[int]) -> None:
        super().__init__()
        at = middle(weights)
        self.parts = taken[:at], taken[at:]
        self.halved = True
        self._size = sum(weights)
        self._ran: list[Part] = []

    def ran(self, size: int, calls: int, *, well: bool) -> None:
        """What became of a half."""
        self._ran.append(Part(size, calls, well))

    @property
    def lesson(self) -> tuple[int, int, int] | None:
        """What can be learned once both halves have either gone well or run out of memory again: see
        `bentod.wire.entries`, SQUEEZED."""
        return lesson(self._size, self._ran) if len(self._ran) == len(self.parts) else None


def lesson(size: int, parts: Sequence[Part]) -> tuple[int, int, int]:
    """The size of a batch, that of its larger half that went well, and that of the smaller one that did not; 0 if there
    is none. A call that runs out of memory alone counts as 1: no batch is smaller."""
    well = max((part.size for part in parts if part.well), default=0)
    again = min((part.size if part.calls > 1 else 1 for part in parts if not part.well), default=0)
    return size, well, again


def undivided(weights: Sequence[int]) -> tuple[int, int, int]:
    """The same of a batch that does not run again."""
    return sum(weights), 0, sum(weights)


def middle(weights: Sequence[int]) -> int:
    """Where to cut several weights in two, so that the larger half is as small as can be."""
    total, sums = sum(weights), list(accumulate(weights))[:-1]
    return 1 + min(range(len(sums)), key=lambda at: max(sums[at], total - sums[at]))
