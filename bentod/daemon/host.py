"""What this host has for a daemon, as it is now: GPUs are looked at all the time, as long as a service has some."""

from __future__ import annotations

import asyncio
import os
import weakref
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from bentod.daemon.room import Room, here, less
from bentod.daemon.trouble import Again
from bentod.plan.model import Plan

if TYPE_CHECKING:
    from bentod.daemon.claims import Claims
    from bentod.inventory.probe import Probe
    from bentod.plan.inventory import DeviceEvent, Inventory

_EVERY_S = 2.0


class Host:
    """`latest` is what was found last, of the GPUs that may be given, with everybody's processes; None as long as no
    service has a GPU. `out` are the devices that get no workers any more: UUID → why. `on_event` hears what the driver
    says of errors. `claims` are those of the host's daemons. For one event loop."""

    def __init__(
        self, environ: Mapping[str, str], out: Mapping[str, str] | None = None, claims: Claims | None = None
    ) -> None:
        self.latest: Inventory | None = None
        self.out = dict(out or {})
        self.on_event: Callable[[DeviceEvent], None] = lambda event: None
        self._environ = environ
        self._claims = claims
        self._probe: Probe | None = None
        self._task: asyncio.Task[None] | None = None
        self._ending: set[asyncio.Task[None]] = set()
        self._asking = asyncio.Lock()
        self._over = os.eventfd(0)
        weakref.finalize(self, os.close, self._over)

    def room(self, plan: Plan | None, *, forgiving: bool = False) -> Room:
        """Where services can be placed. What this plan's workers have stays theirs if it can. `forgiving`: as if
        nothing were out."""
        return here(self._environ, plan, {} if forgiving else self.out, self._over, self._claims)

    async def hold(self, running: Plan | None, coming: Plan | None = None, there: Inventory | None = None) -> str:
        """Other daemons hear what workers have of what runs, and of what is about to, which was placed in what is
        `there`. Returns what keeps it from that, if another daemon was quicker."""
        return await asyncio.to_thread(self._claims.hold, running, coming, there) if self._claims is not None else ""

    def follow(self, plan: Plan, found: Inventory | None = None) -> None:
        """This is what runs from now on: look at GPUs as long as it has some. `found` is what was there just now."""
        wanted = any(worker.grant.shares for service in plan.services for worker in service.workers)
        self.latest = (self.latest or found) if wanted else None
        if wanted and self._task is None:
            self._task = asyncio.create_task(self._look())
        elif not wanted:
            self._end()

    async def inventory(self) -> Inventory | None:
        """What is there now without what our own processes use; None while no service has a GPU."""
        found = await self._ask()
        return None if found is None else less(found, {}, os.getpid())

    async def stop(self) -> None:
        """Look at nothing more, and wait for no driver: threads that still do so end."""
        os.eventfd_write(self._over, 1)
        self._end()
        while self._ending:
            await asyncio.wait(self._ending)
        if self._claims is not None:
            await asyncio.to_thread(self._claims.release)  # a thread that still claims goes first

    def _looks(self) -> bool:
        return self._task is not None

    def _end(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._ending.add(self._task)
            self._task.add_done_callback(self._ending.discard)
        self._task = None

    async def _look(self) -> None:
        """The process that asks the driver ends with this: while it is there, a GPU cannot be reset."""
        trouble = Again()
        try:
            while True:
                with trouble.survived():
                    await self._ask()
                    if self._claims is not None:
                        await asyncio.to_thread(self._claims.renew)
                await asyncio.sleep(_EVERY_S)
        finally:
            async with self._asking:
                probe, self._probe = self._probe, None
                if probe is not None:
                    await probe.stop()

    async def _ask(self) -> Inventory | None:
        from bentod.inventory.probe import Probe  # only services with GPUs need it
        from bentod.plan.visible import visible

        async with self._asking:
            if self._looks():
                self._probe = self._probe or Probe(self._environ, on_event=self._heard)
                found = less(visible(await self._probe.ask(), self._environ), self.out)
                self.latest = found if self._looks() else None
            return self.latest

    def _heard(self, event: DeviceEvent) -> None:
        self.on_event(event)
