"""Holds the threads of a worker to the CPUs that it was given."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable


def pin(threads: Iterable[int], cpus: Collection[int]) -> str:
    """Let these threads run on these CPUs alone; none named: wherever this process may. Returns why not, if the system
    refuses: then they run where they did."""
    wanted = cpus or os.sched_getaffinity(0)
    for thread in threads:
        try:
            os.sched_setaffinity(thread, wanted)
        except ProcessLookupError:
            continue
        except OSError as error:
            return error.strerror or str(error)
    return ""


def strayed(threads: Iterable[int], cpus: Collection[int]) -> bool:
    """Whether one of these threads may run elsewhere. Fewer CPUs than it was given a worker may choose for itself."""
    wanted = set(cpus)
    return any(not _allowed(thread) <= wanted for thread in threads)


def gone(pid: int, cpus: Collection[int]) -> tuple[int, ...]:
    """Those of these CPUs that are not there any more: switched off, or taken from this process and from `pid`."""
    return tuple(sorted(set(cpus) - _allowed(pid) - _allowed(0)))


def _allowed(thread: int) -> set[int]:
    try:
        return os.sched_getaffinity(thread)
    except OSError:
        return set()
