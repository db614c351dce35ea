"""Whether GPUs have back what processes had there that have ended. The driver frees it a moment later, sometimes much
later: a new process that comes too soon finds no memory."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from bentod.daemon.trouble import survived
from bentod.plan.inventory import Device, Inventory
from bentod.plan.model import WorkerPlan
from bentod.plan.words import MIB, mebibytes

MOST_S = 10.0
_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 0.5
_SLACK = 0.05
_LEAST_SLACK = 256 * MIB


@dataclass(frozen=True, slots=True)
class Left:
    """What is known of the processes that have ended on one device since it was last free of such: their `groups`;
    whether the driver `listed` them by their numbers; how many `nameless` processes it listed besides. `free` are the
    bytes that should be free without them at least, None if nobody can say."""

    groups: frozenset[int]
    listed: bool
    nameless: int
    free: int | None


def taken(device: Device, left: Left) -> str:
    """Why a device does not have everything back yet; empty if it has. Pure.

    A process that has ended is nameless: there is no such number any more. Where processes never had names here, as in
    containers with some drivers, only the memory tells.
    """
    if device.state == "failed":
        return f"nothing is known of it: {device.reason}"
    if pids := [one.pid for one in device.processes if one.pid and one.group in left.groups]:
        return f"process {pids[0]} still computes there"
    if left.listed:
        return "" if nameless(device) <= left.nameless else "a process that has ended still has memory there"
    if left.free is None or device.free is None:
        return ""
    slack = max(int(device.memory * _SLACK), _LEAST_SLACK)
    return "" if device.free >= left.free - slack else f"{mebibytes(device.free)} are free, not {mebibytes(left.free)}"


def nameless(device: Device) -> int:
    """How many processes are listed of which nobody can say whose they are."""
    return sum(one.pid == 0 for one in device.processes)


class Measure(Protocol):
    """What measures GPUs; a part of Host."""

    latest: Inventory | None

    def inventory(self) -> Awaitable[Inventory | None]:
        """What is there now."""


class Vacancy:
    """Which of our processes are on which device, and which have been. `most_s` is how long anybody waits at most."""

    def __init__(self, host: Measure, log: Callable[..., None], most_s: float = MOST_S) -> None:
        self._host = host
        self._log = log
        self._most_s = most_s
        self._here: dict[str, dict[int, int]] = {}  # by device and process, the memory that it was granted
        self._left: dict[str, Left] = {}
        self._empty: dict[str, int] = {}  # what was free while no process of ours was there

    def came(self, worker: WorkerPlan, pid: int) -> None:
        """A process has a worker's GPUs from now on."""
        devices = _devices(self._host.latest)
        for share in worker.grant.shares:
            here, device = self._here.setdefault(share.device, {}), devices.get(share.device)
            if not here and share.device not in self._left and device is not None and device.free is not None:
                self._empty[share.device] = device.free
            here[pid] = share.memory

    def went(self, worker: WorkerPlan, pid: int) -> None:
        """It has ended."""
        devices = _devices(self._host.latest)
        for share in worker.grant.shares:
            here = self._here.get(share.device, {})
            here.pop(pid, None)
            device, empty = devices.get(share.device), self._empty.get(share.device)
            found = Left(
                groups=frozenset({pid}),
                listed=device is not None and any(one.pid and one.group == pid for one in device.processes),
                nameless=0 if device is None else nameless(device),
                free=None if empty is None else max(0, empty - sum(here.values())),
            )
            self._left[share.device] = _both(self._left.get(share.device), found)

    async def wait(self, service: str, worker: WorkerPlan) -> None:
        """Wait until a worker's GPUs have back what others had there; at most for so long, then a warning says why."""
        uuids = [share.device for share in worker.grant.shares if share.device in self._left]
        if not uuids:
            return
        reasons = dict.fromkeys(uuids, "the driver does not answer")
        begun = _now()
        with survived():
            try:
                async with asyncio.timeout(self._most_s):
                    await self._free(reasons)
            except TimeoutError:
                self._give_up(service, worker, reasons, _now() - begun)

    async def _free(self, reasons: dict[str, str]) -> None:
        pause_s = _PAUSE_S
        while reasons:
            inventory = await self._host.inventory()
            if inventory is None:  # nobody looks at GPUs any more
                return
            devices = _devices(inventory)
            for uuid in list(reasons):
                left, device = self._left.get(uuid), devices.get(uuid)
                reasons[uuid] = taken(device, left) if left is not None and device is not None else ""
                if not reasons[uuid]:
                    del reasons[uuid]
                    self._left.pop(uuid, None)
            if reasons:
                await asyncio.sleep(pause_s)
                pause_s = min(_LONGEST_PAUSE_S, pause_s * 1.5)

    def _give_up(self, service: str, worker: WorkerPlan, reasons: Mapping[str, str], seconds: float) -> None:
        """It is as it is. The next one does not wait for the same again."""
        for uuid, reason in reasons.items():
            self._left.pop(uuid, None)
            self._empty.pop(uuid, None)
            keys = {"service": service, "worker": worker.index, "device": uuid, "seconds": round(seconds, 3)}
            self._log("device.occupied", level="warning", **keys, reason=reason)


def _both(before: Left | None, found: Left) -> Left:
    if before is None:
        return found
    return replace(
        found,
        groups=before.groups | found.groups,
        listed=before.listed and found.listed,
        nameless=min(before.nameless, found.nameless),
        free=before.free if found.free is None else found.free,
    )


def _devices(inventory: Inventory | None) -> dict[str, Device]:
    return {} if inventory is None else {device.uuid: device for device in inventory.devices}


def _now() -> float:
    return asyncio.get_running_loop().time()
