"""What is left of a batch that raised: parts of it, which run once more."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

from bentod.worker.batches import Taken

Lesson = tuple[int, int, int]
"""The size of a batch that ran out of memory, that of its largest part that went well, and that of its smaller half
that did not: see `bentod.wire.entries`, SQUEEZED. 0 if there is none."""


class Part(NamedTuple):
    """What became of a half, sizes in calls or rows: the size of the largest part of it that went well, and of what ran
    out of memory. A call that does so alone counts as 1: no batch is smaller."""

    well: int
    again: int


class Again:
    """Calls that run again, one by one unless something else is said."""

    __slots__ = ("halved", "parts")

    def __init__(self, taken: Sequence[Taken] = ()) -> None:
        self.parts: Sequence[Sequence[Taken]] = [[one] for one in taken]
        self.halved = False

    def ran(self, part: Part) -> Lesson | None:
        """What became of one of the parts, and what is learned with the last of them."""
        return None


NOT_AGAIN = Again()


class Halves(Again):
    """A batch of this `size` has run out of memory, and its halves run one after the other. Something is learned once
    both have either gone well or run out of memory again."""

    __slots__ = ("_ran", "_size")

    def __init__(self, taken: Sequence[Taken], weights: Sequence[int]) -> None:
        super().__init__()
        at = middle(weights)
        self.parts = taken[:at], taken[at:]
        self.halved = True
        self._size = sum(weights)
        self._ran: list[Part] = []

    def ran(self, part: Part) -> Lesson | None:
        """What became of a half."""
        self._ran.append(part)
        return lesson(self._size, self._ran) if len(self._ran) == len(self.parts) else None


class Alone(Again):
    """A half of this `size` has run out of memory again, and its calls run one by one."""

    __slots__ = ("_ran", "_size", "_whole")

    def __init__(self, taken: Sequence[Taken], size: int, whole: Again) -> None:
        super().__init__(taken)
        self._whole = whole
        self._size = size
        self._ran: list[Part] = []

    def ran(self, part: Part) -> Lesson | None:
        """What became of a call. The half has failed because of its size only if none does so alone."""
        self._ran.append(part)
        if len(self._ran) < len(self.parts):
            return None
        again = 1 if any(one.again for one in self._ran) else self._size
        return self._whole.ran(Part(max(one.well for one in self._ran), again))


def lesson(size: int, parts: Sequence[Part]) -> Lesson:
    """What the parts of a batch of this size tell."""
    return size, max(part.well for part in parts), min((part.again for part in parts if part.again), default=0)


def undivided(weights: Sequence[int]) -> Lesson:
    """The same of a batch that does not run again."""
    return sum(weights), 0, sum(weights)


def middle(weights: Sequence[int]) -> int:
    """Where to cut several weights in two, so that the larger half is as small as can be."""
    total, sums = sum(weights), list(accumulate(weights))[:-1]
    return 1 + min(range(len(sums)), key=lambda at: max(sums[at], total - sums[at]))
