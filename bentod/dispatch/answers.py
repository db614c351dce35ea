"""What a worker says of calls, as outcomes: pure."""

from __future__ import annotations

import math

from bentod.dispatch.call import Answer, TargetFailure
from bentod.dispatch.ceiling import Lesson
from bentod.wire.entries import CHUNK, CHUNK_WITH, DONE, DONE_WITH, RAISED, Entry


def outcome(entry: Entry, queue_s: float, batch: int) -> Answer | TargetFailure:
    """How a call ended. Raises ValueError or TypeError for what is no such entry."""
    kind, _, run_s, *rest = entry
    _check_time(run_s)
    if kind == DONE:
        (value,) = rest
        return Answer(value, queue_s, run_s, batch=batch)
    if kind == DONE_WITH:
        value, status, headers = rest
        return Answer(value, queue_s, run_s, status, headers, batch)
    if kind == RAISED:
        code, detail, log, about = rest
        return TargetFailure(code, detail, log, about, run_s)
    raise ValueError(f"unknown kind of answer {kind!r}")


def chunk(entry: Entry, queue_s: float) -> Answer:
    """One chunk of a stream. Raises ValueError or TypeError for what is no such entry."""
    kind, _, run_s, value, *rest = entry
    _check_time(run_s)
    if kind == CHUNK:
        return Answer(value, queue_s, run_s)
    if kind == CHUNK_WITH:
        status, headers = rest
        return Answer(value, queue_s, run_s, status, headers)
    raise ValueError(f"unknown kind of answer {kind!r}")


def lesson(entry: Entry) -> Lesson:
    """What a worker learned of a batch that ran out of memory. Raises ValueError or TypeError for what is none."""
    _, _, size, well, again = entry
    if not (type(size) is type(well) is type(again) is int and size > 1 and 0 <= well < size and 0 <= again <= size):
        raise ValueError(f"nothing is learned of {entry!r:.100}")
    if not (well or again):
        raise ValueError("a batch of which nothing became")
    return Lesson(size, well, again)


def _check_time(run_s: float) -> None:
    if not 0 <= run_s < math.inf:
        raise ValueError(f"no run time: {run_s!r}")
