"""All that changes what a running daemon serves, in one place. Imported while the first workers start: nothing of it is
needed sooner, and it takes a tenth of a second."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bentod.daemon.daemon import Daemon
from bentod.daemon.following import Following
from bentod.daemon.journal import Journal
from bentod.daemon.order import Order, Outcome
from bentod.daemon.overrides import overrides
from bentod.daemon.reload import Reload
from bentod.daemon.sources import Sources
from bentod.errors import ProblemsError, StartError

if TYPE_CHECKING:
    from bentod.daemon.start import Start


class Changing:
    """The files of a daemon, those that follow them, and what becomes of orders."""

    def __init__(self, start: Start, daemon: Daemon, journal: Journal, log: Callable[..., None]) -> None:
        project, files = start.desired.plan.project, start.desired.loaded.files
        self._sources = Sources(start.folders, project, files, locked=start.locked)
        self._reload = Reload(daemon, start.environ, journal, self._sources, log)
        self._recorded = start.heir is not None and start.heir.handover.recorded
        unwatched = overrides(start.environ).unwatched
        self._following = Following(daemon, self._reload, self._sources, journal, log, unwatched)

    async def start(self) -> None:
        """Follow what runs now. If that is a generation of old, what the files say at this time is not wanted."""
        await self._following.start(known=self._recorded)

    async def stop(self) -> None:
        """Follow nothing any more."""
        await self._following.stop()

    def resumed(self, error: ProblemsError | StartError) -> None:
        """What the files say cannot run, so the daemon begins with what ran last."""
        self._reload.resumed(error)

    @property
    def turn(self) -> asyncio.Lock:
        """While somebody holds it, no change is made."""
        return self._reload.turn

    @property
    def files(self) -> tuple[Path, ...]:
        """The spec's files."""
        return self._sources.files

    @property
    def trouble(self) -> str:
        """What is wrong with the last change, in one line; "" if nothing is."""
        note = self._reload.note
        return f"the last change {note.state}: {note.reason}" if note.state in {"failed", "refused"} else ""

    def document(self) -> dict[str, Any]:
        """What `status` says of it."""
        return {"change": self._reload.note.document(), "watch": self._following.document()}

    async def plan(self, files: tuple[Path, ...] | None, against: int | None) -> dict[str, Any]:
        """What `apply` would do. Raises SpecError, PlanError, UnknownGeneration, UnusablePattern."""
        return await self._reload.plan(files, against)

    async def apply(self, order: Order) -> Outcome:
        """Carry out an order. Raises UnknownGeneration."""
        outcome = await self._reload.apply(order)
        await (self._following.refresh() if order.anew else self._following.resume())
        return outcome
