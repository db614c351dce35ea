"""How many calls a worker may hold: a pure decision."""

from __future__ import annotations

_AHEAD_S = 0.0005
_MOST = 64
_SHORT_S = 0.006  # of a batch: the journey of the next one, about 0.3 ms, is more than a twentieth of it


def window(slots: int, run_s: float | None) -> int:
    """Calls to have at one worker that runs `slots` at once, when a call takes `run_s` seconds on average.

    A worker that holds only what it runs stands idle for the time that its answer and the next call travel. For
    callables that take microseconds that is most of the time, so such a worker gets ahead what it will finish within
    half a millisecond; for slower ones the journey does not matter and waiting calls stay where any worker can take
    them. Nothing is ahead until something has been measured.
    """
    if run_s is None or run_s >= _AHEAD_S:
        return slots
    return slots + min(_MOST, int(slots * _AHEAD_S / max(run_s, 1e-6)))


def window_of_batches(slots: int, run_s: float | None) -> int:
    """The same for batches that are full: one more cannot grow while it waits at the worker, so where batches are short
    one is there when the worker has finished the one before."""
    return slots + 1 if run_s is not None and run_s < _SHORT_S else slots
