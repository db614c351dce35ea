"""How many calls a worker may hold: a pure decision."""

from __future__ import annotations

import math

_AHEAD_S = 0.0005
_MOST = 64
_SHORT_S = 0.006  # of a batch: the journey of the next one, about 0.3 ms, is more than a twentieth of it
_MOST_BATCHES = 8
_LONG_TURN_S = 0.002


def window(slots: int, run_s: float | None, turn_s: float = 0.0) -> int:
    """Calls to have at one worker that runs `slots` at once, when a call takes `run_s` seconds on average.

    A worker that holds only what it runs stands idle for the time that its answer and the next call travel. For
    callables that take microseconds that is most of the time, so such a worker gets ahead what it will finish within
    half a millisecond; for slower ones the journey does not matter and waiting calls stay where any worker can take
    them. Nothing is ahead until something has been measured.

    A gateway under a flood of requests looks at its workers once in a turn of its loop: if those take long (`turn_s`),
    a worker gets what it will finish within two of them.
    """
    ahead_s = _ahead_s(turn_s)
    if run_s is None or run_s >= ahead_s:
        return slots
    return slots + min(_MOST, int(slots * ahead_s / max(run_s, 1e-6)))


def window_of_batches(slots: int, run_s: float | None, turn_s: float = 0.0) -> int:
    """The same for batches that are full: one more cannot grow while it waits at the worker, so where batches are short
    one is there when the worker has finished the one before."""
    if run_s is None:
        return slots
    ahead = 1 if run_s < _SHORT_S else 0
    if turn_s >= _LONG_TURN_S:
        ahead = max(ahead, min(_MOST_BATCHES, math.floor(_ahead_s(turn_s) / max(run_s, 1e-6))))
    return slots + ahead


def _ahead_s(turn_s: float) -> float:
    return 2 * turn_s if turn_s >= _LONG_TURN_S else _AHEAD_S
