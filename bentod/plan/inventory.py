"""What a host has for workers: CPUs, memory, GPUs. Values only; `bentod/inventory` measures them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Literal

from bentod.plan.grants import Share


@dataclass(frozen=True, slots=True)
class GpuProcess:
    """A process that computes on a GPU. `memory` are the bytes that it has there, None where the driver does not tell.
    `pid` is 0 where it is none of this PID namespace, and nobody can say whose it is; `group` is its process group.
    `utilization` is the part of the last moment in which it computed there, None where the driver does not tell."""

    pid: int
    name: str = ""
    memory: int | None = None
    group: int = 0
    utilization: float | None = None


@dataclass(frozen=True, slots=True)
class Device:
    """A GPU, or a MIG instance of one, by its UUID. `index` is NVML's number of it (`0`; of an instance `0:1`),
    `parent` the UUID of the GPU that an instance is part of. `memory` are all its bytes, `free` those left now, None
    where the driver does not tell; `utilization` is the part of the last moment in which it computed, 0 to 1.

    `state`: `ok`; `failed`: the driver does not answer for it, such as when it has fallen off the bus; `out`: it had
    errors, and gets no workers any more. `reason` says why. `errors` counts those of its memory that could not be
    corrected since the driver was loaded, None where it does not tell. `uuid` is empty only of a GPU that failed before
    it could be asked for it.
    """

    uuid: str
    name: str
    memory: int
    index: str = ""
    parent: str = ""
    free: int | None = None
    utilization: float | None = None
    processes: tuple[GpuProcess, ...] = ()
    state: Literal["ok", "failed", "out"] = "ok"
    reason: str = ""
    errors: int | None = None

    @property
    def label(self) -> str:
        """What it is called after `GPU`, for people: its number, if it has one."""
        return self.index or self.uuid


@dataclass(frozen=True, slots=True)
class DeviceEvent:
    """Something happened to the device `uuid`, one that the inventory lists. `xid`: its driver tells of an error, whose
    number `code` is; `ecc`: `code` more errors of its memory could not be corrected; `lost`: the driver does not answer
    for it any more, or does not list it, `code` is NVML's error or 0. `text` says it in words."""

    uuid: str
    kind: Literal["xid", "ecc", "lost"]
    code: int
    text: str


@dataclass(frozen=True, slots=True)
class Claim:
    """What one worker of another daemon on the host was given: parts of GPUs, `load` of the time of `cpus`, bytes of
    `memory`. `owner` is whose it is, for people; `daemon` is the process that started the worker."""

    owner: str
    daemon: int
    shares: tuple[Share, ...] = ()
    cpus: tuple[int, ...] = ()
    load: float = 0.0
    memory: int = 0

    @property
    def loads(self) -> dict[int, float]:
        """How much of each of its CPUs it may use."""
        return {cpu: max(0.0, min(1.0, self.load - at)) for at, cpu in enumerate(self.cpus)}


@dataclass(frozen=True, slots=True)
class Inventory:
    """One host. `cpus` is how many this process may use at once (affinity and quota), `cpu_ids` which ones; `memory`
    are the bytes that all processes together may use here, None where the system does not tell.

    `gpus`: `ok`; `none`: there is no driver; `failed`: there is one, and it does not work, `reason` says why.
    `claims` is what other daemons have given to their workers.
    """

    cpus: float
    cpu_ids: tuple[int, ...] = ()
    memory: int | None = None
    devices: tuple[Device, ...] = ()
    gpus: Literal["ok", "none", "failed"] = "none"
    reason: str = ""
    driver: str = ""
    claims: tuple[Claim, ...] = ()

    def without(self, groups: Collection[int]) -> Inventory:
        """The same without what the processes of these process groups use: these are ours."""
        return replace(
            self,
            devices=tuple(
                replace(device, processes=tuple(one for one in device.processes if one.group not in groups))
                for device in self.devices
            ),
        )
