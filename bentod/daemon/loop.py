"""Whether reloads cause each other: a worker that writes a watched file when it starts would reload for ever."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

TIMES = 8
WITHIN_S = 60.0


@dataclass(frozen=True, slots=True)
class AutomaticChange:
    """A change that nobody ordered. `files` are those of its causes that were written while the workers of the change
    before were starting, see `while_starting`. `at_s` is monotonic."""

    at_s: float
    files: frozenset[str]


def while_starting(written: Mapping[str, float], started: float, ready: float) -> frozenset[str]:
    """Which files were written between the start of the workers' processes and their being ready; all are times of
    day. Somebody who edits quickly edits after seeing the answer, so what came later is no evidence."""
    return frozenset(name for name, at in written.items() if started <= at <= ready)


def looping(changes: Sequence[AutomaticChange]) -> str | None:
    """The file because of which reloading should be suspended, if there is one: in each of the last changes, oldest
    first, it was written while workers were starting, and all of them came within a minute."""
    last = changes[-TIMES:]
    if len(last) < TIMES or last[-1].at_s - last[0].at_s > WITHIN_S:
        return None
    common = frozenset.intersection(*(change.files for change in last))
    return min(common, default=None)
