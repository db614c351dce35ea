"""When calls come: the gaps between arrivals, learned, and what they say about the next."""

from __future__ import annotations

from collections.abc import Sequence
from math import frexp

_GROWTH = 1.02
"""What each arrival counts more than the one before it: about the last hundred count."""
_RENEW = 1e100
_SCALE = 1e6
_PARTS = 4
_OCTAVES = 28
_BUCKETS = _PARTS * _OCTAVES + 1
_EDGES = (0.0, *(2.0 ** (i // _PARTS) * (1 + i % _PARTS / _PARTS) / _SCALE for i in range(_BUCKETS)))
"""Bucket i has the gaps from _EDGES[i] to _EDGES[i + 1]: below a microsecond, then four to an octave, to minutes."""


def _bucket(gap: float) -> int:
    if gap * _SCALE < 1.0:
        return 0
    part, octave = frexp(gap * _SCALE)
    return min(_BUCKETS - 1, 1 + (octave - 1) * _PARTS + int((part - 0.5) * 2 * _PARTS))


class _Gaps:
    """A histogram of gaps that forgets."""

    __slots__ = ("sum_s", "total", "unit", "weights")

    def __init__(self) -> None:
        self.weights = [0.0] * _BUCKETS
        self.unit = 1.0
        self.total = 0.0
        self.sum_s = 0.0

    def add(self, gap: float) -> None:
        unit = self.unit = self.unit * _GROWTH
        self.weights[_bucket(gap)] += unit
        self.total += unit
        self.sum_s += unit * gap
        if unit > _RENEW:
            self.weights = [weight / unit for weight in self.weights]
            self.total /= unit
            self.sum_s /= unit
            self.unit = 1.0

    def ahead(self, silence_s: float, waits: Sequence[float]) -> list[tuple[float, float]]:
        weights, at = self.weights, _bucket(silence_s)
        low, high = max(silence_s, _EDGES[at]), _EDGES[at + 1]
        alive = sum(weights[at + 1 :]) + self.unit
        """One gap that never ends is always among them."""
        here = weights[at] * max(0.0, (high - low) / (high - _EDGES[at]))
        start = left = alive + here
        found, waited = [], 0.0
        for wait in waits:
            until = silence_s + wait
            while high <= until and at + 1 < _BUCKETS:
                waited += (high - low) * (left - here / 2)
                left -= here
                at += 1
                low, high, here = high, _EDGES[at + 1], weights[at]
            part = here * min(1.0, (until - low) / (high - low))
            waited += (until - low) * (left - part / 2)
            left, here, low = left - part, here - part, until
            found.append((1.0 - left / start, waited / start))
        return found


class Arrivals:
    """When calls come: the gaps between arrivals, learned."""

    __slots__ = ("_gaps", "_last")

    def __init__(self) -> None:
        self._gaps = _Gaps()
        self._last: float | None = None

    def came(self, now: float) -> None:
        """A call came. A clock that goes backwards makes a gap of nothing."""
        if self._last is not None:
            self._gaps.add(max(0.0, now - self._last))
        self._last = now

    @property
    def mean_gap_s(self) -> float | None:
        """The mean gap; None while there is none."""
        return self._gaps.sum_s / self._gaps.total if self._gaps.total else None

    def ahead(self, silence_s: float, waits: Sequence[float]) -> list[tuple[float, float]]:
        """For each of these waits, in rising order, after such a silence: how likely it is that a call comes within
        it, and the mean time until it comes or the wait is over."""
        return self._gaps.ahead(silence_s, waits)
