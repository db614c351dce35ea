"""Tasks that belong to somebody, who ends them; what goes wrong in them is told even if nobody waits."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from bentod.daemon.trouble import tell
from bentod.errors import BentodError

T = TypeVar("T")


class Tasks:
    """Those that run. For one event loop."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()

    def start(self, coroutine: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run it. It goes on whatever becomes of those that wait for it."""
        task = asyncio.create_task(coroutine)
        self._running.add(task)
        task.add_done_callback(self._done)
        return task

    async def end(self) -> None:
        """Cancel all, and wait until all have ended."""
        for task in self._running:
            task.cancel()
        while self._running:
            await asyncio.wait(self._running)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, BentodError):
            tell(error)
