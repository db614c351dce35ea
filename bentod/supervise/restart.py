"""When a worker that ended is started again: a pure policy over its history."""

from __future__ import annotations

from collections.abc import Sequence

from bentod.plan.model import RestartPolicy

SETTLED_S = 1.0
"""A worker that was ready for so long did not die of its start."""


def next_delay(
    policy: RestartPolicy, restarts: Sequence[float], unsettled: int, now: float, jitter: float
) -> float | None:
    """Seconds to wait before the next start, or None to give up.

    `restarts` are the times of earlier restarts: `limit` of them within `window_s` are enough. `unsettled` counts the
    processes in a row that died before they had been ready for SETTLED_S: each makes the wait `factor` times longer,
    so a worker that cannot live is tried ever more rarely, and one that is killed in the middle of its work is back
    at once. `jitter` is a number in [0, 1): it spreads the wait over the upper half of its interval ("equal jitter"),
    so that workers which died together do not start together.
    """
    recent = [at for at in restarts if now - at < policy.window_s]
    if len(recent) >= policy.limit:
        return None
    steps = min(max(unsettled - 1, 0), 64)
    return min(policy.max_delay_s, policy.delay_s * policy.factor**steps) * (0.5 + 0.5 * jitter)
