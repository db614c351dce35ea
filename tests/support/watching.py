"""A watch on a folder, and all that it has said."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from bentod.daemon.watch import Wanted, Watch
from tests.support.loops import until


class Watching:
    """What a watch has said so far. `wanted` may be replaced, then `refresh`."""

    def __init__(self, project: Path, wanted: Wanted, debounce_s: float) -> None:
        self.wanted = wanted
        self.hints: list[frozenset[str]] = []
        self.events: list[tuple[str, dict]] = []
        self.watch = Watch(project, lambda: self.wanted, self.hints.append, self._log, debounce_s)

    @property
    def names(self) -> frozenset[str]:
        """All files that were named since `begun`."""
        return frozenset().union(*self.hints)

    async def begun(self) -> None:
        """Return once the hint of a start has come, and forget all that was said."""
        await until(lambda: frozenset() in self.hints, what="the hint that is due after a start")
        self.hints.clear()

    async def names_it(self, *names: str) -> None:
        """Return once all these files have been named."""
        await until(lambda: set(names) <= self.names, what=f"{names} named, not only {sorted(self.names)}")

    async def hinted(self) -> None:
        """Return once anything was said."""
        await until(lambda: self.hints, what="a hint")

    def logged(self, event: str) -> list[dict]:
        """The keys of each event of this name."""
        return [keys for name, keys in self.events if name == event]

    def _log(self, event: str, **keys) -> None:
        self.events.append((event, keys))


@contextlib.asynccontextmanager
async def watching(
    project: Path, wanted: Wanted, debounce_s: float = 0.05, *, begun: bool = True
) -> AsyncIterator[Watching]:
    """A watch that has begun, until the end of the block."""
    found = Watching(project, wanted, debounce_s)
    found.watch.start()
    try:
        if begun:
            await found.begun()
        yield found
    finally:
        await found.watch.stop()
