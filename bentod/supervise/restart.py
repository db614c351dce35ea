"""When a worker that ended is started again: a pure policy over its history."""

from __future__ import annotations

from collections.abc import Sequence

from bentod.plan.model import RestartPolicy


def next_delay(policy: RestartPolicy, restarts: Sequence[float], now: float, jitter: float) -> float | None:
    """Seconds to wait before the next start, or None to give up.

    `restarts` are the times of earlier restarts, `jitter` is a number in [0, 1): the delay is spread over the upper
    half of its interval ("equal jitter"), so that workers which died together do not start together. A worker that
    stayed up for a whole window begins at the first delay again.
    """
    recent = [at for at in restarts if now - at < policy.window_s]
    if len(recent) >= policy.limit:
        return None
    bounded = min(policy.max_delay_s, policy.delay_s * policy.factor ** min(len(recent), 64))
    return bounded * (0.5 + 0.5 * jitter)
