"""How much of what waits goes into one batch: a pure decision."""

from __future__ import annotations

from collections.abc import Callable, Iterator

_WORTH = 1.3  # how much longer the whole must take than its part before several slots share it
_CLEARLY = 1.25  # how much worse than the best the whole must be for each call: less is noise
_NEAR = 1.03  # of the best throughput is as good
_JOURNEY_S = 0.0003  # from an answer to the worker's next batch


def portion(waiting: int, max_size: int, free: int, cost: Callable[[int], float | None]) -> int:
    """How much one of `free` slots takes of what waits; `cost` is what a batch of a size takes, in seconds, and None
    for sizes that were hardly tried yet: they are, because what is true of small ones says nothing of large ones.

    All of it, up to `max_size`, except: where several slots are free and an even part is done much sooner, that; and
    where smaller batches serve clearly more calls a second (padding, caches, steps), the smallest such. n calls of
    which k go at a time, one batch after the other, are late by (n / k + 1) / 2 * c(k) on average, so at equal c(k) / k
    small batches answer up to twice as soon.
    """
    whole = min(waiting, max_size)
    most = whole
    if free > 1 and whole > 1:
        even = -(-whole // free)
        sooner, later = cost(even), cost(whole)
        most = even if sooner and later and later > _WORTH * sooner else whole
    each = {size: (seconds + _JOURNEY_S) / size for size in _sizes(most) if (seconds := cost(size)) is not None}
    if most not in each:
        return most
    best = min(each.values())
    if each[most] <= _CLEARLY * best:
        return most
    enough = _NEAR * best
    return next(size for size in each if each[size] <= enough)


def _sizes(most: int) -> Iterator[int]:
    """Sizes to choose from, growing: powers of two, and the whole."""
    size = 1
    while size < most:
        yield size
        size *= 2
    yield most
