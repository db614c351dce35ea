"""What a batch of so many calls costs in seconds of one slot, learned from the batches that ran."""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass
from heapq import heapreplace

_EXACT = 64
"""Up to here each size is remembered by itself; above, sizes that differ by a sixteenth share a memory."""
_MEMORY = 16.0
_FORGET = 500.0
_REBUILD = 16
_CACHED = 512
_STREAK = 3
_LEAST_S = 1e-9


@dataclass(slots=True)
class _Seen:
    """Batches of about one size: their mean size and duration, how much that is trusted, and when it last was so."""

    size: float
    seconds: float
    weight: float
    at: int


class Cost:
    """What a batch of n costs in seconds of one slot, learned from the batches that ran.

    A mean is kept for each size, so that steps (as fast as one up to eight, then twice that) are found. Sizes that were
    never seen are interpolated, or lie on the line through all of them. A duration of more than twice or less than half
    of what was expected counts as twice or half, so that one pause ruins nothing; the third in a row says that the
    callable has changed, and all that is known is scaled at once.

    While one size is known, cost is taken to be proportional: that promises nothing for larger batches, and no more
    than the least for smaller ones.
    """

    __slots__ = ("_batches", "_cached", "_due", "_large", "_line", "_ratios", "_seen", "_sizes", "_values")

    def __init__(self) -> None:
        self._large = [0] * _STREAK
        self._seen: dict[int, _Seen] = {}
        self._batches = 0
        self._due = 0
        self._ratios: list[float] = []
        self._sizes: list[float] = []
        self._values: list[float] = []
        self._line = (0.0, 0.0)
        self._cached: dict[float, float] = {}

    def learn(self, size: int, seconds: float) -> None:
        """A batch of this size took this long."""
        seconds = max(_LEAST_S, seconds)
        self._batches += 1
        if size > self._large[0]:
            heapreplace(self._large, size)
        seen = self._seen.get(size if size <= _EXACT else _shared(size))
        if seen is None:
            self._seen[size if size <= _EXACT else _shared(size)] = _Seen(size, seconds, 1.0, self._batches)
            self._due = 0
            return
        ratio = seconds / seen.seconds
        if 0.5 <= ratio <= 2.0:
            if self._ratios:
                self._ratios.clear()
        elif ratio < 1.0 and seen.weight < _STREAK:  # the first of a size may be slow: compilers, caches, memory
            seen.seconds, seen.weight, seen.at, self._due = seconds, 1.0, self._batches, 0
            return
        else:
            seconds = self._surprising(seen, ratio)
        seen.at = self._batches
        if seen.weight < _MEMORY:
            seen.weight += 1.0
        step = 1.0 / seen.weight
        seen.seconds += step * (seconds - seen.seconds)
        seen.size += step * (size - seen.size)

    @property
    def largest(self) -> int:
        """Three batches or more were at least this large."""
        return self._large[0]

    def of(self, size: float) -> float | None:
        """Seconds that a batch of this size is expected to take; None while nothing is known."""
        if self._batches >= self._due:
            self._rebuild()
        found = self._cached.get(size)
        if found is None and self._sizes:
            if len(self._cached) >= _CACHED:
                self._cached.clear()
            found = self._cached[size] = self._estimate(size)
        return found

    def _surprising(self, seen: _Seen, ratio: float) -> float:
        """What to count instead, after scaling all that is known if this goes on."""
        ratios = self._ratios
        if ratios and (ratios[-1] > 1.0) != (ratio > 1.0):
            ratios.clear()
        ratios.append(ratio)
        if len(ratios) < _STREAK:
            return seen.seconds * (2.0 if ratio > 1.0 else 0.5)
        factor = math.exp(sum(map(math.log, ratios)) / len(ratios))
        for one in self._seen.values():
            one.seconds *= factor
            one.weight = min(one.weight, 2.0)
        ratios.clear()
        self._due = 0
        return min(2.0, max(0.5, ratio / factor)) * seen.seconds

    def _rebuild(self) -> None:
        """Smooth means that never fall, and the line through them."""
        self._due = self._batches + min(_REBUILD, 1 + self._batches // 4)
        self._cached.clear()
        points = sorted(self._seen.values(), key=lambda one: one.size)
        if not points:
            return
        weights = [one.weight * 0.5 ** ((self._batches - one.at) / _FORGET) + 1e-6 for one in points]
        self._sizes = [one.size for one in points]
        values = [one.seconds for one in points]
        if len(points) > 1:
            fixed, each = self._line = _line(self._sizes, values, weights)
            values = [
                (weight * value + fixed + each * size) / (weight + 1.0)
                for size, value, weight in zip(self._sizes, values, weights, strict=True)
            ]
        else:
            self._line = (0.0, values[0] / self._sizes[0])
        self._values = _rising(values, weights)

    def _estimate(self, size: float) -> float:
        sizes, values = self._sizes, self._values
        fixed, each = self._line
        if size <= sizes[0]:
            return max(values[0] * size / sizes[0], min(values[0], fixed + each * size))
        if size >= sizes[-1]:
            return values[-1] + each * (size - sizes[-1])
        above = bisect_left(sizes, size)
        low, high = sizes[above - 1], sizes[above]
        return values[above - 1] + (values[above] - values[above - 1]) * (size - low) / (high - low)


def _shared(size: int) -> int:
    """One number for sizes that differ by less than a sixteenth."""
    shift = size.bit_length() - 5
    return size >> shift << shift


def _line(sizes: list[float], values: list[float], weights: list[float]) -> tuple[float, float]:
    """The least-squares line: its fixed part and its slope, neither negative."""
    total = sum(weights)
    size = sum(w * n for w, n in zip(weights, sizes, strict=True)) / total
    value = sum(w * y for w, y in zip(weights, values, strict=True)) / total
    spread = sum(w * (n - size) ** 2 for w, n in zip(weights, sizes, strict=True))
    common = sum(w * (n - size) * (y - value) for w, n, y in zip(weights, sizes, values, strict=True))
    each = min(max(0.0, common / spread), value / size)
    return value - each * size, each


def _rising(values: list[float], weights: list[float]) -> list[float]:
    """The values nearest to these that never fall: neighbours in the wrong order share their mean."""
    blocks: list[tuple[float, float, int]] = []
    for value, weight in zip(values, weights, strict=True):
        block = (value, weight, 1)
        while blocks and blocks[-1][0] > block[0]:
            before, heavy, count = blocks.pop()
            both = heavy + block[1]
            block = ((before * heavy + block[0] * block[1]) / both, both, count + block[2])
        blocks.append(block)
    return [value for value, _, count in blocks for _ in range(count)]
