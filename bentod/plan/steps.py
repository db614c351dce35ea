"""Difference → how each changed service gets from its old workers to its new ones, within the memory there is. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from bentod.plan.difference import Budget, Difference, Mode, Step, Usage
from bentod.plan.model import Plan, ServicePlan
from bentod.plan.words import MIB, mebibytes

RESERVE = 0.1
"""The part of what is available that stays so: measured workers may still grow."""

LEAST_RESERVE = 64 * MIB
_NOTHING = Usage()


def steps(
    difference: Difference, old: Plan | None, new: Plan, usage: Mapping[str, Usage], available: int | None
) -> tuple[Budget, tuple[Step, ...]]:
    """What the change costs while both generations run, and a step for each service that restarts.

    A new worker is expected to need what the running ones do on average; what is not known counts as nothing. The
    services share what is available in the new plan's order.
    """
    running = {service.name: service for service in old.services} if old else {}
    room = _Room(available)
    found = []
    for service in new.services:
        action, before = difference.of(service.name).action, running.get(service.name)
        measured = usage.get(service.name, _NOTHING)
        if action == "restart" and before is not None:
            found.append(_step(before, service, measured, room))
        elif action == "live" and before is not None:
            room.take(_mean(measured) * max(0, len(service.workers) - len(before.workers)))
    total = sum(sum(measured.workers) for measured in usage.values())
    return Budget(available, total, room.taken), tuple(found)


class _Room:
    """What is left of the memory, as services take it."""

    def __init__(self, available: int | None) -> None:
        self.known = available is not None
        self.left = 0 if available is None else available - max(int(available * RESERVE), LEAST_RESERVE)
        self.taken = 0

    def fits(self, size: int) -> bool:
        """Whether so much more can be used."""
        return not self.known or size <= max(self.left, 0)

    def take(self, size: int) -> None:
        """So much more is used."""
        self.left -= size
        self.taken += size


def _step(old: ServicePlan, new: ServicePlan, usage: Usage, room: _Room) -> Step:
    each = _mean(usage)
    cost = each * len(new.workers)
    mode, reason = _mode(old, new, each, room)
    if mode == "overlap":
        room.take(cost)
    elif mode == "one_by_one":
        room.take(each * _more(old, new))
    return Step(new.name, mode, reason, usage.start_s if mode == "stop_first" else 0.0)


def _mode(old: ServicePlan, new: ServicePlan, each: int, room: _Room) -> tuple[Mode, str]:
    """In which way, and why."""
    if new.reload != "auto":
        return new.reload, f"`reload: {new.reload}`"
    cost = each * len(new.workers)
    count = "its new worker needs" if len(new.workers) == 1 else f"its {len(new.workers)} new workers need"
    if not each:
        return "overlap", "nothing is known yet of the memory that it needs"
    if not room.known:
        return "overlap", f"{count} about {mebibytes(cost)}; this host does not tell how much is free"
    needed = f"{count} about {mebibytes(cost)}, and {mebibytes(max(room.left, 0))} can be used"
    if room.fits(cost):
        return "overlap", needed
    if len(old.workers) > 1 and room.left >= 0 and room.fits(each * _more(old, new)):
        return "one_by_one", f"{needed}: each takes the place of an old one"
    return "stop_first", f"{needed}: the old must stop first"


def _more(old: ServicePlan, new: ServicePlan) -> int:
    """How many new workers have no old one whose place they could take."""
    return max(0, len(new.workers) - len(old.workers))


def _mean(usage: Usage) -> int:
    return sum(usage.workers) // len(usage.workers) if usage.workers else 0
