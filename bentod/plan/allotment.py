"""What the workers of a plan get of a host, GPU by GPU, as `bentod plan` tells of it. Values, and how they are made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from bentod.plan.grants import Grant, Placement
from bentod.plan.inventory import Claim, Device, Inventory


@dataclass(frozen=True, slots=True)
class GpuAllotment:
    """One GPU: the `part` of its time and the bytes that workers are given, of all its `memory`; what processes that
    are not ours have there, and what other daemons have given of it. `index` is NVML's number of it."""

    uuid: str
    index: str
    name: str
    memory: int
    part: float
    given: int
    others: int


@dataclass(frozen=True, slots=True)
class Allotment:
    """By service, what each worker gets, in the order of their indexes; all GPUs that may be given; what is worth a
    warning."""

    services: Mapping[str, tuple[Grant, ...]] = field(default_factory=dict)
    gpus: tuple[GpuAllotment, ...] = ()
    notes: tuple[str, ...] = ()


def allotment(placement: Placement | None, inventory: Inventory | None) -> Allotment | None:
    """None where nothing was asked of a host, or nobody looked at one."""
    if placement is None or inventory is None:
        return None
    services = {name: grants for name, grants in placement.grants.items() if any(map(_something, grants))}
    gpus = tuple(_gpu(device, placement, inventory.claims) for device in inventory.devices if device.state == "ok")
    wanted = any(grant.shares for grants in services.values() for grant in grants)
    return Allotment(services, gpus if wanted else (), placement.notes)


def _something(grant: Grant) -> bool:
    return bool(grant.shares or grant.cpus)


def _gpu(device: Device, placement: Placement, claims: Iterable[Claim]) -> GpuAllotment:
    grants = (grant for grants in placement.grants.values() for grant in grants)
    shares = [share for grant in grants for share in grant.shares if share.device == device.uuid]
    promised = (share.memory for claim in claims for share in claim.shares if share.device == device.uuid)
    others = sum(process.memory or 0 for process in device.processes if process.pid) + sum(promised)
    part = round(sum(share.part for share in shares), 6)
    given = sum(share.memory for share in shares)
    return GpuAllotment(device.uuid, device.index, device.name, device.memory, part, given, others)
