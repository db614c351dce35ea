"""Runs a daemon in this process: start, carry out orders and signals, stop; nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bentod.daemon.claims import Claims
from bentod.daemon.daemon import Daemon
from bentod.daemon.folders import RunFolder
from bentod.daemon.front import LINGER_S
from bentod.daemon.host import Host
from bentod.daemon.journal import Journal
from bentod.daemon.order import Order, Outcome, first_reason
from bentod.daemon.ordered import Ordered
from bentod.daemon.start import Start
from bentod.daemon.succession import Succession
from bentod.daemon.trouble import survived
from bentod.daemon.weights import fetched
from bentod.errors import PlanError, StartError

if TYPE_CHECKING:
    from bentod.daemon.control import Control

INTERRUPTED = 130
_APPEAR_S = 30.0


async def run(start: Start, log: Callable[..., None]) -> int:
    """Serve until told to stop; the exit code. Raises StartError if it does not become ready, PlanError if others were
    quicker to get what it needs of the host, AlreadyRunning, UnusableFolder.

    The first SIGTERM or SIGINT drains, a second one ends at once. SIGHUP has the spec read again. `start.heir`: another
    daemon serves still, and this one takes its place.
    """
    folders = start.folders
    folder = RunFolder(folders)
    if start.heir is None:
        folder.take()
    else:
        folder.join(start.heir.lock)
    succession = Succession(start.again, folders, folder, start.notifier, log)
    try:
        name = start.desired.plan.name
        log("daemon.started", name=name, pid=os.getpid(), run=str(folders.run), state=str(folders.state))
        first = _Run(start, folder, succession, log)
        try:
            await first.serve()
        except (PlanError, StartError) as error:
            if start.instead is None or start.broken is not None or first.stopped:
                raise
            again = replace(start, desired=start.instead, instead=None, spawned=None, broken=error)
            await _Run(again, folder, succession, log).serve()
    finally:
        folder.release()
    if succession.heir is None or not succession.stays:
        return 0
    if start.heir is not None and start.heir.handover.stays:
        start.heir.from_now_on(succession.end)
    return await succession.outlast()


class _Run:
    """One daemon's life."""

    def __init__(self, start: Start, folder: RunFolder, succession: Succession, log: Callable[..., None]) -> None:
        self._start = start
        self._folder = folder
        self._succession = succession
        self._log = log
        self._ready = False
        self.stopped = False
        """Whether it has been told to stop."""
        self._orders: asyncio.Queue[str] = asyncio.Queue()
        self._watchdog: asyncio.Task[None] | None = None
        self._journal = Journal(start.folders, start.environ, log)
        claims = Claims(start.environ, start.desired.loaded.files[0], start.folders.run, log)
        host = Host(start.environ, start.heir.handover.out if start.heir is not None else None, claims)
        self._daemon = Daemon(start.desired, start.folders, start.access, log, host, start.spawned, gated=start.gated)
        self._ordered = Ordered(self._daemon, succession, start.notifier, self.stop)
        self._daemon.devices.move = self._ordered.move

    async def serve(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop, signal.Signals(number).name)
        loop.add_signal_handler(signal.SIGHUP, self._ordered.hang_up)
        starting = asyncio.create_task(self._begin())
        starting.add_done_callback(lambda _: self._daemon.launched.set())  # nor is there anything to wait for then
        ordered = asyncio.create_task(self._orders.get())
        reason, control = "it did not start", None
        try:
            await self._daemon.launched.wait()
            control = await self._equip()
            await asyncio.wait({starting, ordered}, return_when=asyncio.FIRST_COMPLETED)
            if starting.done():
                starting.result()
            reason = await ordered
        finally:
            try:
                await self._give_up(starting)
                await self._end(reason)
            finally:
                if control is not None:
                    await control.stop()
                ordered.cancel()

    async def _give_up(self, starting: asyncio.Task[None]) -> None:
        """Nothing is changed any more. Whatever goes wrong with that, what serves is drained next."""
        if not starting.done():
            starting.cancel()
            await asyncio.wait({starting})
            with survived(), contextlib.suppress(asyncio.CancelledError, PlanError, StartError):
                starting.result()
        await self._ordered.end()

    async def _equip(self) -> Control:
        """What is not needed at once, and takes half a second to import, the web framework above all: the workers start
        meanwhile."""
        changing = await asyncio.to_thread(importlib.import_module, "bentod.daemon.changing")
        self._ordered.equip(changing.Changing(self._start, self._daemon, self._journal, self._log))
        module = await asyncio.to_thread(importlib.import_module, "bentod.daemon.control")
        control: Control = module.Control(self._control_path, self)
        control.start()
        return control

    async def _begin(self) -> None:
        """Start what is wanted. Raises StartError, PlanError."""
        begun = time.monotonic()
        broken = self._start.broken
        reason = first_reason(broken, heir=self._start.heir is not None)
        number = await self._journal.begin(self._daemon.desired, reason)
        try:
            await self._fetch()
            await self._claim()
            await self._serve_from(number, reason)
            if broken is not None:
                (await self._ordered.changes()).resumed(broken)
            self._ready = True
            seconds, pools = time.monotonic() - begun, self._daemon.routing.pools
            await self._journal.live(number, seconds, pools, self._daemon.desired.weights)
        except (PlanError, StartError) as error:
            told = {"error": str(error), "traceback": getattr(error, "traceback", "")}
            self._log("generation.failed", level="error", generation=number, **told)
            await self._journal.failed(number, time.monotonic() - begun, str(error))
            raise
        finally:
            self._daemon.settled.set()
        await (await self._ordered.changes()).start()
        self._ordered.say_ready()
        if self._start.watchdog_s is not None:
            self._watchdog = asyncio.create_task(self._watched(self._start.watchdog_s))

    async def _fetch(self) -> None:
        """Have every model on this host. That may last: whoever asks is told meanwhile. Raises StartError."""
        desired = self._daemon.desired
        if desired.weights.wanted:
            self._daemon.launched.set()
            found = await fetched(desired.weights, self._start.environ, self._log, self._start.shown)
            self._daemon.desired = desired.with_models(found, self._start.environ)

    async def _claim(self) -> None:
        """Have other daemons hear what our workers get. What one of them was quicker to get is not given again. Raises
        PlanError, if there is no room without it."""
        daemon, environ = self._daemon, self._start.environ
        while taken := await daemon.host.hold(None, daemon.desired.plan, daemon.desired.inventory):
            self._log("host.taken", level="warning", reason=taken)
            pins = daemon.desired.pins
            daemon.desired = await asyncio.to_thread(daemon.desired.anew, environ, daemon.host.room(None), pins)

    async def _serve_from(self, number: int, reason: str) -> None:
        """Start a generation, in the place of another daemon if there is one. Raises StartError."""
        heir = self._start.heir
        if heir is None:
            inherited = self._start.inherited  # their clients have come before us, and can wait
            await self._daemon.start(number, inherited, unseen=bool(inherited), reason=reason)
            return
        await self._daemon.start(number, heir.sockets, unseen=True, reason=reason)
        heir.opened()
        await _appeared(self._control_path)
        await heir.take_over(number, self._daemon.front.listeners, self.stop)
        self._control_path.replace(self._start.folders.control)
        self._folder.ours = True

    @property
    def _control_path(self) -> Path:
        folders = self._start.folders
        return folders.control if self._start.heir is None else folders.next_control

    async def _watched(self, interval_s: float) -> None:
        """Tell the service manager that this loop still turns."""
        while True:
            self._start.notifier.watchdog()
            await asyncio.sleep(interval_s)

    # ── what the control socket asks ─────────────────────────────────────────────────────────────

    @property
    def settled(self) -> asyncio.Event:
        """Set once the start has succeeded or failed."""
        return self._daemon.settled

    @property
    def stop_seconds(self) -> float:
        """How long a stop takes at the most."""
        return self._daemon.stop_seconds

    async def status(self) -> dict[str, Any]:
        """The whole state."""
        return {**await self._daemon.status(), **(await self._ordered.changes()).document()}

    def apis(self) -> dict[str, Any]:
        """What a client needs to know of each API, by its name."""
        return self._daemon.apis()

    async def plan(self, files: tuple[Path, ...] | None, against: int | None) -> dict[str, Any]:
        """What `apply` would do."""
        return await (await self._ordered.changes()).plan(files, against)

    async def apply(self, order: Order) -> Outcome:
        """Carry out an order. That goes on if whoever gave it goes away."""
        return await self._ordered.apply(order)

    async def upgrade(self) -> dict[str, Any]:
        """Have a new daemon take the place of this one. What becomes of it does not depend on who asked."""
        return await self._ordered.upgrade()

    def stop(self, reason: str) -> None:
        """Begin to shut down."""
        self.stopped = True
        self._orders.put_nowait(reason)

    async def _end(self, reason: str) -> None:
        """Drain, unless a further order comes: then this process ends at once, and its children with it."""
        self._start.notifier.stopping()
        if self._watchdog is not None:
            self._watchdog.cancel()
        stopping = asyncio.create_task(
            self._daemon.stop(reason, LINGER_S if self._succession.heir is not None else 0.0)
        )
        again = asyncio.create_task(self._orders.get())
        await asyncio.wait({stopping, again}, return_when=asyncio.FIRST_COMPLETED)
        if again.done() and not stopping.done():
            os._exit(INTERRUPTED)
        again.cancel()
        stopping.result()
        if self._succession.heir is not None:
            await self._succession.drained()
            return  # what is written down is the heir's
        if self._ready:
            await self._journal.close()
        if self._start.heir is not None:
            await self._start.heir.alone(self.stop_seconds)
            await self._start.heir.close()


async def _appeared(path: Path) -> None:
    """Wait until the control socket is there. Raises StartError."""
    deadline = time.monotonic() + _APPEAR_S
    while not path.exists():  # noqa: ASYNC240 - a look that waits for nothing
        if time.monotonic() > deadline:
            raise StartError("the control socket cannot be opened")
        await asyncio.sleep(0.01)
