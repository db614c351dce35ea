"""Difference → how each changed service gets from its old workers to its new ones, within the memory there is. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from bentod.plan.difference import Budget, Difference, Mode, Step, Usage
from bentod.plan.gpu_room import GpuRoom
from bentod.plan.inventory import Inventory
from bentod.plan.model import Plan, ServicePlan
from bentod.plan.reserve import usable
from bentod.plan.words import mebibytes

_NOTHING = Usage()


def steps(
    difference: Difference,
    old: Plan | None,
    new: Plan,
    usage: Mapping[str, Usage],
    available: int | None,
    there: Inventory | None = None,
) -> tuple[Budget, tuple[Step, ...]]:
    """What the change costs while both generations run, and a step for each service that restarts, or of which more
    workers come that have to wait until others leave their GPUs.

    A new worker is expected to need what the running ones do on average; what is not known counts as nothing, on GPUs
    that are `there` as what was declared. The services share what is available in the new plan's order.
    """
    running = {service.name: service for service in old.services} if old else {}
    room = _Room(available, GpuRoom(there, old, usage))
    found = []
    for service in new.services:
        action, before = difference.of(service.name).action, running.get(service.name)
        measured = usage.get(service.name, _NOTHING)
        if action == "restart" and before is not None:
            found.append(_step(before, service, measured, room))
        elif action in {"live", "add"}:
            more = service.workers[len(before.workers) if before is not None else 0 :]
            gpus = room.gpus.needs(service, more)
            if room.gpus.fits(gpus):
                room.take(_mean(measured) * len(more), gpus)
            else:
                told = f"{_new(len(more))} {room.gpus.told(gpus)}: who leaves it must stop first"
                found.append(Step(service.name, "stop_first", told))
    total = sum(sum(measured.workers) for measured in usage.values())
    return Budget(available, total, room.taken, room.gpus.budget(new)), tuple(found)


class _Room:
    """What is left of the memory, as services take it."""

    def __init__(self, available: int | None, gpus: GpuRoom) -> None:
        self.gpus = gpus
        self.known = available is not None
        self.left = 0 if available is None else usable(available)
        self.taken = 0

    def fits(self, size: int) -> bool:
        """Whether so much more can be used."""
        return not self.known or size <= max(self.left, 0)

    def take(self, size: int, gpus: Mapping[str, int]) -> None:
        """So much more is used."""
        self.left -= size
        self.taken += size
        self.gpus.take(gpus)


def _step(old: ServicePlan, new: ServicePlan, usage: Usage, room: _Room) -> Step:
    each = _mean(usage)
    mode, reason = _mode(old, new, each, room)
    if mode == "overlap":
        room.take(each * len(new.workers), room.gpus.needs(new, new.workers))
    elif mode == "one_by_one":
        room.take(each * _more(old, new), room.gpus.needs(new, new.workers[len(old.workers) :]))
    return Step(new.name, mode, reason, usage.start_s if mode == "stop_first" else 0.0)


def _mode(old: ServicePlan, new: ServicePlan, each: int, room: _Room) -> tuple[Mode, str]:
    """In which way, and why."""
    if new.reload != "auto":
        return new.reload, f"`reload: {new.reload}`"
    gpus = room.gpus.needs(new, new.workers)
    if not room.gpus.fits(gpus):
        told = f"{_new(len(new.workers))} {room.gpus.told(gpus)}"
        if _in_place(old, new) and room.left >= 0 and room.fits(each * _more(old, new)):
            return "one_by_one", f"{told}: each takes the place of an old one"
        return "stop_first", f"{told}: the old must stop first"
    cost = each * len(new.workers)
    if not each:
        return "overlap", "nothing is known yet of the memory that it needs"
    if not room.known:
        return "overlap", f"{_new(len(new.workers))} about {mebibytes(cost)}; this host does not tell how much is free"
    needed = f"{_new(len(new.workers))} about {mebibytes(cost)}, and {mebibytes(max(room.left, 0))} can be used"
    if room.fits(cost):
        return "overlap", needed
    if len(old.workers) > 1 and room.left >= 0 and room.fits(each * _more(old, new)):
        return "one_by_one", f"{needed}: each takes the place of an old one"
    return "stop_first", f"{needed}: the old must stop first"


def _new(count: int) -> str:
    return "its new worker needs" if count == 1 else f"its {count} new workers need"


def _in_place(old: ServicePlan, new: ServicePlan) -> bool:
    """Whether there are several workers, and each new one has the GPUs of an old one, and needs no more there."""
    if not 1 < len(new.workers) <= len(old.workers):
        return False
    pairs = [(before.grant.shares, after.grant.shares) for before, after in zip(old.workers, new.workers, strict=False)]
    return all(
        [share.device for share in left] == [share.device for share in right]
        and all(mine.memory <= theirs.memory for theirs, mine in zip(left, right, strict=True))
        for left, right in pairs
    )


def _more(old: ServicePlan, new: ServicePlan) -> int:
    """How many new workers have no old one whose place they could take."""
    return max(0, len(new.workers) - len(old.workers))


def _mean(usage: Usage) -> int:
    return sum(usage.workers) // len(usage.workers) if usage.workers else 0
