"""What a daemon is ordered to do, changes and upgrades: carried out whether or not anybody waits, until it stops."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from bentod.daemon.daemon import Daemon
from bentod.daemon.inherit import Ready
from bentod.daemon.notify import Notifier
from bentod.daemon.order import Order, Outcome
from bentod.daemon.succession import Succession, told
from bentod.daemon.tasks import Tasks
from bentod.daemon.trouble import survived
from bentod.errors import StartError

if TYPE_CHECKING:
    from bentod.daemon.changing import Changing

_STOPS = "the daemon stops"
_REREAD = Order("SIGHUP", allow_breaking=True)


class Ordered:
    """The orders that a daemon gets. They wait until it is equipped, and has started. `stop` ends it."""

    def __init__(self, daemon: Daemon, succession: Succession, notifier: Notifier, stop: Callable[[str], None]) -> None:
        self._daemon = daemon
        self._succession = succession
        self._notifier = notifier
        self._stop = stop
        self._tasks = Tasks()
        self._upgrading: asyncio.Task[Ready] | None = None
        self._changing: Changing | None = None
        self._equipped = asyncio.Event()
        self._under_way = 0
        self._waiting = False  # whether the files are about to be read because of a signal
        self._ending = False

    def equip(self, changing: Changing) -> None:
        """What it takes to carry out a change is there."""
        self._changing = changing
        self._equipped.set()

    async def changes(self) -> Changing:
        """What carries out changes, as soon as it is there."""
        await self._equipped.wait()
        return cast("Changing", self._changing)

    def say_ready(self) -> None:
        """To the service manager; while a change is under way, its end says so."""
        if not self._under_way and not self._ending:
            self._notifier.ready(self._summary())

    def _summary(self) -> str:
        """What a service manager shows of us."""
        trouble = self._changing.trouble if self._changing is not None else ""
        summary = f"generation {self._daemon.routing.number} at {' '.join(self._daemon.front.urls)}"
        return f"{summary}; {trouble}" if trouble else summary

    def move(self, reason: str) -> None:
        """The host is another by now: what runs is placed anew."""
        if not self._ending:
            self._tasks.start(self._apply(Order(reason, anew=True)))

    def hang_up(self) -> None:
        """SIGHUP has come: the files are read again, once for all signals that come before that."""
        if not self._ending and not self._waiting:
            self._daemon.devices.forgive()
            self._waiting = True
            self._tasks.start(self._apply(_REREAD))

    async def apply(self, order: Order) -> Outcome:
        """Carry out an order. Raises UnknownGeneration."""
        if not self._ending:
            self._daemon.devices.forgive()
            applying = self._tasks.start(self._apply(order))
            await asyncio.wait({applying})
            if not applying.cancelled():
                return applying.result()
        return Outcome("failed", self._daemon.routing.number, error=self._why_not)

    @property
    def _why_not(self) -> str:
        heir = self._succession.heir
        return f"bentod {heir.version} (pid {heir.pid}) has taken over: try again" if heir is not None else _STOPS

    async def _apply(self, order: Order) -> Outcome:
        await self._daemon.settled.wait()
        self._notifier.reloading()
        self._under_way += 1
        try:
            changes = await self.changes()
            if order is _REREAD:
                async with changes.turn:
                    self._waiting = False
            return await changes.apply(order)
        finally:
            self._under_way -= 1
            self.say_ready()

    async def upgrade(self) -> dict[str, Any]:
        """Have a new daemon take the place of this one."""
        await self._daemon.settled.wait()
        begun, number = time.monotonic(), self._daemon.routing.number
        if self._upgrading is not None and (not self._upgrading.done() or self._succession.heir is not None):
            return Outcome("refused", number, error="an upgrade is under way already").document()
        if self._ending:
            return Outcome("failed", number, error=self._why_not).document()
        self._upgrading = upgrading = self._tasks.start(self._upgrade())
        await asyncio.wait({upgrading})
        if upgrading.cancelled():
            return Outcome("failed", number, time.monotonic() - begun, _STOPS).document()
        try:
            ready = upgrading.result()
        except StartError as error:
            seconds = time.monotonic() - begun
            return Outcome("failed", number, seconds, str(error), error.traceback).document()
        return told(ready, number, time.monotonic() - begun)

    async def _upgrade(self) -> Ready:
        daemon, changes = self._daemon, await self.changes()
        async with changes.turn:
            number, recorded, out = daemon.routing.number, bool(daemon.desired.pins), daemon.host.out
            listeners = daemon.front.listeners
            ready = await self._succession.run(changes.files, number, listeners, recorded=recorded, out=out)
        self._notifier.mute()
        if self._succession.stays:
            self._succession.pass_on()
        self._stop(f"bentod {ready.version} (pid {ready.pid}) has taken over")
        return ready

    async def end(self) -> None:
        """Nothing is changed any more: the daemon stops, whatever goes wrong here."""
        self._ending = True
        with survived():
            await self._tasks.end()
        if self._changing is not None:
            with survived():
                await self._changing.stop()
