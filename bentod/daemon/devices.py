"""The GPUs of a daemon's workers: who is on which, which of them fail, and what follows from that."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping

from bentod.daemon.device_faults import Death, counts, failing, parts, said, words
from bentod.daemon.host import Host
from bentod.daemon.vacancy import Vacancy
from bentod.plan.inventory import Device, DeviceEvent
from bentod.plan.model import Plan, WorkerPlan
from bentod.supervise.devices import lacking
from bentod.supervise.exit import Exit

_MOST_DEATHS = 1000


class Devices:
    """What supervision asks about GPUs; see `supervise.devices.Devices`. A device that fails is `out` of the host: no
    worker gets it any more. `move` is told why what runs should be placed anew, once for each device."""

    def __init__(self, host: Host, log: Callable[..., None], plan: Callable[[], Plan]) -> None:
        self.move: Callable[[str], None] = lambda reason: None
        self._host = host
        self._log = log
        self._plan = plan
        self._vacancy = Vacancy(host, log)
        self._deaths: deque[Death] = deque(maxlen=_MOST_DEATHS)
        self._left: set[str] = set()  # what workers were to leave
        host.on_event = self.heard

    # ── what supervision asks ────────────────────────────────────────────────────────────────────

    def vacant(self, service: str, worker: WorkerPlan) -> Awaitable[None]:
        """Wait until a worker's GPUs have back what processes that ended had there; bounded."""
        return self._vacancy.wait(service, worker)

    def occupied(self, service: str, worker: WorkerPlan, pid: int) -> Callable[[Exit], None]:
        """A worker's process is there from now on. What it returns is to be told of its end."""
        self._vacancy.came(worker, pid)

        def ended(found: Exit) -> None:
            self._vacancy.went(worker, pid)
            if found.kind == "device":
                self._died(service, worker, found.text)

        return ended

    def crowded(self, worker: WorkerPlan, pid: int) -> str:
        """Why there is no room for a second process beside a worker's; empty if there is."""
        return lacking(worker, pid, {device.uuid: device for device in self._known})

    # ── which of them fail ───────────────────────────────────────────────────────────────────────

    def heard(self, event: DeviceEvent) -> None:
        """The driver says that something has happened."""
        if self._known and not any(event.uuid in (one.uuid, one.parent) for one in self._known):
            return  # it is not ours to give
        level = "error" if said(event) else "warning"
        keys = {"device": event.uuid, "name": words(event.uuid, self._known)}
        self._log("device.error", level=level, **keys, kind=event.kind, code=event.code, reason=event.text)
        if reason := said(event):
            self._out(event.uuid, reason)

    def _died(self, service: str, worker: WorkerPlan, text: str) -> None:
        """A process has lost its GPU. With several, nobody can tell which."""
        uuids = {share.device for share in worker.grant.shares}
        if len(uuids) != 1 or not counts(text):
            return
        now = asyncio.get_running_loop().time()
        self._deaths.append(Death(now, service, uuids.pop(), text))
        used = {
            one.name: [share.device for worker in one.workers for share in worker.grant.shares]
            for one in self._plan().services
        }
        for uuid, reason in failing(self._deaths, now, used).items():
            self._out(uuid, reason)

    def _out(self, uuid: str, reason: str) -> None:
        """No worker gets a device any more. If some have it, they are placed elsewhere if there is room."""
        fresh = [one for one in parts(uuid, self._known) if one not in self._host.out]
        if not fresh:
            return
        self._host.out |= dict.fromkeys(fresh, reason)
        self._log("device.out", level="error", device=uuid, name=words(uuid, self._known), reason=reason)
        self._leave({one: f"{words(uuid, self._known)} is out: {reason}" for one in fresh})

    def follow(self) -> None:
        """Another plan runs from now on: look at GPUs as long as it has some. One may have failed while its workers
        began there."""
        self._host.follow(self._plan())
        self._leave(
            {
                uuid: f"{words(uuid, self._known)} is out: {reason}"
                for uuid, reason in self._host.out.items()
                if uuid not in self._left
            }
        )

    def _leave(self, reasons: Mapping[str, str]) -> None:
        """Have workers leave devices, if some are there; each device once."""
        held = {
            share.device for service in self._plan().services for one in service.workers for share in one.grant.shares
        }
        leaving = [uuid for uuid in reasons if uuid in held]
        self._left.update(leaving)
        if leaving:
            self.move(reasons[leaving[0]])

    def forgive(self) -> None:
        """Somebody wants the devices that were out to be used again: they may have been mended."""
        for uuid in self._host.out:
            self._log("device.back", device=uuid, name=words(uuid, self._known))
        self._host.out.clear()
        self._left.clear()
        self._deaths.clear()

    @property
    def _known(self) -> tuple[Device, ...]:
        return () if self._host.latest is None else self._host.latest.devices
