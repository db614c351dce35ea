"""GPUs as something to fill: what each has left, and what a worker of each service would take of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import translate
from functools import lru_cache
from math import inf

from bentod.plan.grants import Demand, Needs, Share
from bentod.plan.inventory import Device, GpuProcess, Inventory

UNIT = 1_000_000_000
"""A whole GPU's time. Parts are counted in whole numbers, so that ten times 0.1 is all of it."""

Held = Mapping[str, Mapping[int, tuple[int, ...]]]
"""By service and index of a worker, the positions of GPUs."""


@dataclass(frozen=True, slots=True)
class Gpus:
    """The GPUs that may be given, in the order of their indexes. By position: which are of one kind, so that it does
    not matter which of them somebody gets, what strangers have there, and by owner what other daemons have given of
    it: a part (of `UNIT`) and bytes."""

    devices: tuple[Device, ...]
    kinds: tuple[int, ...]
    strangers: tuple[tuple[GpuProcess, ...], ...]
    positions: Mapping[str, int]
    claimed: tuple[Mapping[str, tuple[int, int]], ...]


def gpus_of(inventory: Inventory) -> Gpus:
    """Those that are well. A GPU that is divided into MIG instances is given only as these."""
    divided = {device.parent for device in inventory.devices if device.parent}
    devices = sorted((one for one in inventory.devices if one.state == "ok" and one.uuid not in divided), key=place_of)
    names: dict[tuple[object, ...], int] = {}
    strangers = tuple(strangers_on(device) for device in devices)
    positions = {device.uuid: at for at, device in enumerate(devices)}
    claimed = _claimed(inventory, positions)
    kinds = tuple(
        names.setdefault(
            (one.name, one.memory, bool(one.parent), bool(processes), *sorted(others.values())), len(names)
        )
        for one, processes, others in zip(devices, strangers, claimed, strict=True)
    )
    return Gpus(tuple(devices), kinds, strangers, positions, claimed)


def _claimed(inventory: Inventory, positions: Mapping[str, int]) -> tuple[Mapping[str, tuple[int, int]], ...]:
    found: list[dict[str, tuple[int, int]]] = [{} for _ in positions]
    for claim in inventory.claims:
        for share in claim.shares:
            if (at := positions.get(share.device)) is not None:
                part, memory = found[at].get(claim.owner, (0, 0))
                found[at][claim.owner] = (part + max(1, int(share.part * UNIT)), memory + share.memory)
    return tuple(found)


def strangers_on(device: Device) -> tuple[GpuProcess, ...]:
    """The processes there that are surely not ours: one without a pid may be."""
    return tuple(process for process in device.processes if process.pid)


def place_of(device: Device) -> tuple[tuple[float, ...], str]:
    """GPUs in NVML's order, an instance beside its GPU; what has no number comes last."""
    numbers = device.index.split(":")
    return tuple(int(one) if one.isdecimal() else inf for one in numbers), device.uuid


@dataclass(frozen=True, slots=True)
class Want:
    """What each worker of a service takes: `whole` GPUs, or, if that is 0, a part of one. `sizes` are by position the
    part (of `UNIT`) and the bytes, None for a GPU that does not suit. `workers` must find room, of an `auto` service
    only one. `order` is its place in the spec; `suits` is how many GPUs suit, `weight` how large a part is at most."""

    service: str
    order: int
    needs: Needs
    workers: int
    auto: bool
    whole: int
    sizes: tuple[tuple[int, int] | None, ...]
    suits: int
    weight: float


def want_of(order: int, demand: Demand, gpus: Gpus) -> Want:
    """A demand, seen against these GPUs."""
    gpus_wanted = demand.needs.gpus or 0
    whole = int(gpus_wanted) if gpus_wanted >= 1 else 0
    known: dict[int, tuple[int, int] | None] = {}
    for kind, device in zip(gpus.kinds, gpus.devices, strict=True):
        if kind not in known:
            known[kind] = _size(demand.needs, whole, device)
    workers = 1 if demand.workers is None else demand.workers
    sizes = tuple(known[kind] for kind in gpus.kinds)
    weight = max((size[0] / UNIT for size in known.values() if size), default=0.0)
    suits = len(sizes) - sizes.count(None)
    return Want(demand.service, order, demand.needs, workers, demand.workers is None, whole, sizes, suits, weight)


def named_so(needs: Needs, device: Device) -> bool:
    """Whether a GPU's name is one that is asked for; case does not matter."""
    return needs.gpu_type is None or bool(_pattern(needs.gpu_type.lower()).match(device.name.lower()))


@lru_cache(256)
def _pattern(glob: str) -> re.Pattern[str]:
    return re.compile(translate(glob))


def _size(needs: Needs, whole: int, device: Device) -> tuple[int, int] | None:
    if not named_so(needs, device) or device.memory < (needs.gpu_memory or 0):
        return None
    if whole:  # a process sees no more than one MIG instance, whatever it is given
        return None if whole > 1 and device.parent else (UNIT, device.memory)
    part = part_of(needs, device)
    memory = int(part * device.memory) if needs.gpu_memory is None else needs.gpu_memory
    return max(1, int(part * UNIT)), memory


def part_of(needs: Needs, device: Device) -> float:
    """The part of a GPU's time that goes with a part of it, or with so much of its memory."""
    if needs.gpus:
        return needs.gpus
    return (needs.gpu_memory or 0) / device.memory if device.memory else 1.0


def share_of(want: Want, gpus: Gpus, at: int) -> Share:
    """What a worker is told of a GPU that it gets."""
    device, size = gpus.devices[at], want.sizes[at]
    return Share(device.uuid, 1.0 if want.whole else part_of(want.needs, device), size[1] if size else 0)


class Room:
    """What is left of each GPU, while it is given out: parts, bytes beside what strangers and other daemons have."""

    __slots__ = ("gpus", "memory", "parts")

    def __init__(self, gpus: Gpus) -> None:
        self.gpus = gpus
        self.parts = [UNIT - sum(part for part, _ in others.values()) for others in gpus.claimed]
        self.memory = [
            device.memory
            - sum(process.memory or 0 for process in strangers)
            - sum(memory for _, memory in others.values())
            for device, strangers, others in zip(gpus.devices, gpus.strangers, gpus.claimed, strict=True)
        ]

    def copy(self) -> Room:
        """Another one to try something in."""
        made = Room.__new__(Room)
        made.gpus, made.parts, made.memory = self.gpus, self.parts.copy(), self.memory.copy()
        return made

    def idle(self, at: int) -> bool:
        """Whether nobody is there."""
        return self.parts[at] == UNIT and not self.gpus.strangers[at]

    def fits(self, want: Want, at: int) -> bool:
        """Whether a worker could get (one of its) GPUs here."""
        size = want.sizes[at]
        if size is None:
            return False
        return self.idle(at) if want.whole else size[0] <= self.parts[at] and size[1] <= self.memory[at]

    def keeps(self, want: Want, places: tuple[int, ...]) -> bool:
        """Whether a worker that has had these GPUs can keep them. Strangers that have come since do not count: it has
        been there first, and its own children look like strangers if they lead process groups."""
        sizes = [want.sizes[at] for at in places]
        if len(places) != max(want.whole, 1) or len({*places}) != len(places) or None in sizes:
            return False
        if want.whole:
            return all(self.parts[at] == UNIT for at in places)
        at, size = places[0], want.sizes[places[0]]
        theirs = sum(process.memory or 0 for process in self.gpus.strangers[at])
        return size is not None and size[0] <= self.parts[at] and size[1] <= self.memory[at] + theirs

    def put(self, want: Want, at: int, times: int = 1) -> None:
        """A worker gets this GPU, or what it needs of it; with -1 it gives it back."""
        size = want.sizes[at]
        if size is not None:
            self.parts[at] -= times * size[0]
            self.memory[at] -= times * size[1]
