"""Worker processes that start before it is known whether they are needed: an edit that is not judged yet will probably
need some, and an interpreter takes as long to start as a change is left to settle."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from bentod.supervise.spawn import Spawned

MOST = 4
KEPT_S = 10.0


class Spares:
    """At most one for each environment. One that nobody takes within `kept_s` ends. For one event loop."""

    def __init__(self, start: Callable[[Mapping[str, str]], Spawned], kept_s: float = KEPT_S) -> None:
        self._start = start
        self._kept_s = kept_s
        self._waiting: dict[frozenset[tuple[str, str]], tuple[Spawned, asyncio.TimerHandle]] = {}
        self._ending: set[asyncio.Future[None]] = set()

    def prepare(self, environ: Mapping[str, str]) -> None:
        """Start one, unless there are enough. That it cannot be started is told when one is really needed."""
        key = frozenset(environ.items())
        if key in self._waiting or len(self._waiting) >= MOST:
            return
        try:
            spawned = self._start(environ)
        except OSError:
            return
        timer = asyncio.get_running_loop().call_later(self._kept_s, self._end, key)
        self._waiting[key] = spawned, timer

    def take(self, environ: Mapping[str, str]) -> Spawned | None:
        """One that was prepared with this environment, and still runs."""
        spawned, timer = self._waiting.pop(frozenset(environ.items()), (None, None))
        if timer is not None:
            timer.cancel()
        if spawned is not None and spawned.popen.poll() is not None:
            self._abandon(spawned)
            return None
        return spawned

    async def close(self) -> None:
        """End all, and wait until they have ended."""
        for key in list(self._waiting):
            self._end(key)
        if self._ending:
            await asyncio.wait(self._ending)

    def _end(self, key: frozenset[tuple[str, str]]) -> None:
        spawned, timer = self._waiting.pop(key)
        timer.cancel()
        self._abandon(spawned)

    def _abandon(self, spawned: Spawned) -> None:
        ending = asyncio.get_running_loop().run_in_executor(None, spawned.abandon)
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)
