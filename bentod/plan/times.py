"""How long a daemon may take to be ready, and to stop: what a service manager or a cluster has to wait for."""

from __future__ import annotations

from collections.abc import Iterable

START_S = 60.0
"""What a daemon may take at its start besides its slowest service."""
WORKERS_AFTER_S = 5.0
"""What the workers get of `drain_timeout` at the least, after the gateways have used it up."""

KILL_AFTER_S = 5.0
"""What whoever stops a daemon waits besides that before it kills."""


def start_s(timeouts: Iterable[float]) -> float:
    """The longest that a start takes, given each service's `start_timeout`."""
    return max(timeouts, default=0.0) + START_S


def stop_s(drain_timeout_s: float) -> float:
    """The longest that a stop takes, given `server.drain_timeout`: calls finish within it, then workers stop."""
    return drain_timeout_s + max(WORKERS_AFTER_S, drain_timeout_s)
