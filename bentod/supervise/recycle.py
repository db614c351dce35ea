"""When a worker is replaced although nothing is wrong with it: a pure decision over what was seen of it."""

from __future__ import annotations

from dataclasses import dataclass

from bentod.plan.model import RecyclePolicy

_SPREAD = 0.1
"""`max_age` is up to so much shorter or longer: workers that started together shall not all be replaced together."""
_LONGEST_S = 3600.0
_LASTED_S = 60.0
_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Seen:
    """One process as it is now: the calls that it has answered, its age since it was ready, its memory in bytes (None:
    not known), and its `luck`, a number in [0, 1) that was drawn once for it."""

    calls: int
    age_s: float
    memory: int | None
    luck: float


def due(policy: RecyclePolicy, seen: Seen) -> str:
    """Why it is time to replace the process; empty if it is not."""
    if policy.max_calls is not None and seen.calls >= policy.max_calls:
        return f"it has answered {seen.calls} calls (max_calls)"
    if policy.max_memory is not None and seen.memory is not None and seen.memory >= policy.max_memory:
        return f"it has {seen.memory // _MIB} MiB (max_memory)"
    if policy.max_age_s is not None and seen.age_s >= policy.max_age_s * (1 - _SPREAD + 2 * _SPREAD * seen.luck):
        return f"it has served for {seen.age_s:.0f} s (max_age)"
    return ""


def heavy(failures: int, age_s: float) -> int:
    """How many workers in a row had more memory than they were promised soon after they were ready, with this one that
    served for `age_s`. Replacing such a worker does not help for long: `retry_s` says when the next is replaced."""
    return failures + 1 if age_s < _LASTED_S else 0


def retry_s(failures: int, max_delay_s: float) -> float:
    """How long the old process goes on before its replacement is tried again, after so many failures in a row: never
    less than the longest wait before a restart."""
    return max(max_delay_s, min(_LONGEST_S, max_delay_s * 2.0 ** min(failures - 1, 64)))
