"""Says once that a service as a whole has failed, and once that it serves again."""

from __future__ import annotations

from collections.abc import Callable

from bentod.supervise.state import ServiceState

_SERVES = frozenset({ServiceState.READY, ServiceState.DEGRADED})


class Outage:
    """What was logged of the time in which no worker of a service is ready."""

    def __init__(self, log: Callable[..., None]) -> None:
        self._log = log
        self._since: float | None = None
        self._failed = False

    def note(self, state: ServiceState, reason: str, now: float) -> None:
        """The state of the service now, and why it is so."""
        if state in _SERVES:
            if self._since is not None:
                self._log("service.recovered", seconds=round(now - self._since, 3))
            self._since, self._failed = None, False
            return
        if self._since is None:
            self._since = now
        if state is ServiceState.FAILED and not self._failed:
            self._failed = True
            self._log("service.failed", level="error", reason=reason)
