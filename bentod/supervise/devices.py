"""What supervision asks about GPUs while processes come and go: the seam to who measures them, and room for two."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from bentod.plan.inventory import Device
from bentod.plan.model import WorkerPlan
from bentod.plan.reserve import usable
from bentod.plan.words import mebibytes
from bentod.supervise.exit import Exit

Ended = Callable[[Exit], None]
"""Told how a process ended."""


class Devices(Protocol):
    """Who knows the GPUs of this host. Asked only about workers that have some."""

    def vacant(self, service: str, worker: WorkerPlan) -> Awaitable[None]:
        """Wait until a worker's GPUs have back what processes that ended had there; bounded."""

    def occupied(self, service: str, worker: WorkerPlan, pid: int) -> Ended:
        """A worker's process is there from now on. What it returns is to be told of its end."""

    def crowded(self, worker: WorkerPlan, pid: int) -> str:
        """Why there is no room for a second process beside a worker's; empty if there is."""


class NoDevices:
    """Nobody knows: nothing is waited for, and who is to be replaced stops first."""

    async def vacant(self, service: str, worker: WorkerPlan) -> None:
        """There is nothing to wait for."""

    def occupied(self, service: str, worker: WorkerPlan, pid: int) -> Ended:
        """That is all the same."""
        return lambda _: None

    def crowded(self, worker: WorkerPlan, pid: int) -> str:
        """Better safe than sorry."""
        return "nothing is known of its GPUs"


NO_DEVICES = NoDevices()


async def vacant(devices: Devices, service: str, worker: WorkerPlan, told: asyncio.Event) -> bool:
    """Wait until a new process may have a worker's GPUs. False if it was told to stop meanwhile."""
    if worker.grant.shares:
        waiting = asyncio.ensure_future(devices.vacant(service, worker))
        stopping = asyncio.ensure_future(told.wait())
        try:
            await asyncio.wait({waiting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
            stopping.cancel()
            await asyncio.wait({waiting, stopping})
    return not told.is_set()


def occupied(devices: Devices, service: str, worker: WorkerPlan, pid: int) -> Ended:
    """A process has a worker's GPUs from now on."""
    return devices.occupied(service, worker, pid) if worker.grant.shares else lambda _: None


def lacking(worker: WorkerPlan, group: int, devices: Mapping[str, Device]) -> str:
    """Why there is no room on a worker's GPUs for another process like the one of process group `group`, by what that
    one has there, or, where the driver does not tell, by what it was granted; empty if there is. Pure."""
    for share in worker.grant.shares:
        device = devices.get(share.device)
        if device is None or device.state != "ok" or device.free is None:
            return f"it is not known how much of GPU {share.device} is free"
        own = [one.memory for one in device.processes if one.pid and one.group == group]
        known = [size for size in own if size is not None]
        needed = sum(known) if own and len(known) == len(own) else share.memory
        left = max(0, usable(device.free))
        if needed > left:
            needs = f"another process needs about {mebibytes(needed)} of GPU {device.label}"
            return f"{needs}, and {mebibytes(left)} can be used"
    return ""
