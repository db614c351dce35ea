"""Collects what has changed until it has been quiet for a while."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

_PATIENCE = 10
"""So many quiet times are the longest that something which goes on changing can put the rest off."""


class Pending:
    """Gives the names to `flush`, all at once, when none was added for `quiet_s`. For one event loop."""

    def __init__(self, quiet_s: float, flush: Callable[[frozenset[str]], None]) -> None:
        self._quiet_s = quiet_s
        self._flush = flush
        self._names: set[str] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._deadline = 0.0

    def add(self, names: frozenset[str], quiet_s: float = 0.0) -> None:
        """Add names, or none: `flush` is due either way. It has been quiet for `quiet_s` already."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        if self._timer is None:
            self._deadline = now + _PATIENCE * self._quiet_s
        else:
            self._timer.cancel()
        self._names |= names
        self._timer = loop.call_at(min(now + max(0.0, self._quiet_s - quiet_s), self._deadline), self._due)

    def close(self) -> None:
        """Forget all."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        self._names.clear()

    def _due(self) -> None:
        names = frozenset(self._names)
        self.close()
        self._flush(names)
