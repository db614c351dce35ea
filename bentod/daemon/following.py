"""Has the files' changes considered, as long as the spec wants that and they do not go round in circles."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bentod.daemon.daemon import Daemon
from bentod.daemon.journal import Journal
from bentod.daemon.loop import TIMES, AutomaticChange, looping, while_starting
from bentod.daemon.reload import Reload
from bentod.daemon.sources import Sources
from bentod.daemon.trouble import tell
from bentod.daemon.watch import Watch
from bentod.spec.patterns import UnusablePattern

_GROWING_S = 0.5


class Following:
    """Between the watch, which gives hints, and `Reload`, which judges them. `state`: `on`, `off` or `suspended`.
    `unwatched` is why nothing is watched whatever the spec says, if so."""

    def __init__(
        self,
        daemon: Daemon,
        reload: Reload,
        sources: Sources,
        journal: Journal,
        log: Callable[..., None],
        unwatched: str = "",
    ) -> None:
        self.state, self.reason = "off", "not before everything has started"
        self._daemon = daemon
        self._reload = reload
        self._sources = sources
        self._journal = journal
        self._log = log
        self._unwatched = unwatched
        self._watch: Watch | None = None
        self._debounce_s = 0.0
        self._turn = asyncio.Lock()
        self._hints: set[str] = set()
        self._hinted = asyncio.Event()
        self._automatic: deque[AutomaticChange] = deque(maxlen=TIMES)
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self, *, known: bool = False) -> None:
        """Follow what runs now. `known`: what the files say by now is not to be applied."""
        async with self._reload.turn:  # a change that came first is what runs now
            try:
                await self._sources.begin(self._daemon.desired, self._daemon.routing.pools.values())
            except UnusablePattern as error:
                self._reload.unusable(error)
            if known:
                await self._sources.news()
        self._tasks = [asyncio.create_task(self._follow()), asyncio.create_task(self._grow())]
        await self.refresh()

    async def stop(self) -> None:
        """Consider nothing more."""
        for task in self._tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        if self._watch is not None:
            await self._watch.stop()

    async def resume(self) -> None:
        """Somebody has ordered a change: whatever the files did before is forgiven."""
        self._automatic.clear()
        if self.state == "suspended":
            self.state, self.reason = "on", ""
        await self.refresh()

    async def refresh(self) -> None:
        """What has to be watched may have changed, or whether anything is."""
        async with self._turn:
            await self._refresh()

    async def _refresh(self) -> None:
        wanted = self._daemon.desired.plan.reload
        if self._watch is not None and (not wanted.watch or self._debounce_s != wanted.debounce_s):
            await self._watch.stop()
            self._watch, self.state = None, "off"
        self.reason = self.reason if self.state == "suspended" else self._unwatched
        if wanted.watch and self._watch is None:
            project = self._daemon.plan.project
            self._watch = Watch(
                project, self._sources.wanted, self._hint, self._log, wanted.debounce_s, self._daemon.expect
            )
            self._watch.start()
            self._debounce_s = wanted.debounce_s
            self.state = "on"
        elif self._watch is not None:
            self._watch.refresh()

    def document(self) -> dict[str, Any]:
        """What `status` says of it."""
        if self.state == "on" and self._watch is not None and self._watch.trouble:
            return {"state": "failed", "reason": self._watch.trouble}
        return {"state": self.state, "reason": self.reason}

    def _hint(self, names: frozenset[str]) -> None:
        self._hints |= names
        self._hinted.set()

    async def _follow(self) -> None:
        while True:
            await self._hinted.wait()
            self._hinted.clear()
            names, self._hints = sorted(self._hints), set()
            if self.state != "on":
                continue
            try:
                await self._consider(names)
            except Exception as error:  # noqa: BLE001 - a bug of ours must not end the watch
                tell(error)
                self._log("watch.failed", level="error", reason=f"{type(error).__name__}: {error}")

    async def _consider(self, names: list[str]) -> None:
        evidence = while_starting(self._written(names), *self._reload.span)
        outcome = await self._reload.consider(names)
        if outcome is None:
            return
        if outcome.outcome in {"applied", "failed"}:
            self._automatic.append(AutomaticChange(time.monotonic(), evidence))
            self._check()
        await self.refresh()

    def _written(self, names: list[str]) -> dict[str, float]:
        """When these files were written."""
        found: dict[str, float] = {}
        for name in names:
            with contextlib.suppress(OSError):
                found[name] = Path(self._daemon.plan.project, name).stat().st_mtime
        return found

    def _check(self) -> None:
        file = looping(list(self._automatic))
        if file is not None:
            self.state = "suspended"
            self.reason = f"{file} is written whenever workers start; `bentod apply` goes on"
            self._log("watch.suspended", level="error", file=file, reason=self.reason)

    async def _grow(self) -> None:
        """Workers import more while they run: that is watched too, and recorded."""
        while True:
            await asyncio.sleep(_GROWING_S)  # one import seldom comes alone
            async with self._reload.turn:  # in a change pools of the next generation may serve for this one
                pools = self._daemon.routing.pools
                grown = self._sources.imported(pools.values())
                await self._journal.grown(self._daemon.routing.number, pools)
            if grown:
                await self.refresh()
            await self._daemon.moved.wait()
            self._daemon.moved.clear()
