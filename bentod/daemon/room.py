"""What a host has for the services of a spec, and which of it each worker is given."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

from bentod.errors import UNFIT, PlanError, Problem
from bentod.plan.build import demands
from bentod.plan.grants import Demand, Grant, Lack, Needs, Placement, Share
from bentod.plan.model import Plan
from bentod.spec.load import Loaded
from bentod.spec.node import dotted
from bentod.supervise import processes

if TYPE_CHECKING:
    from bentod.daemon.claims import Claims
    from bentod.plan.inventory import Claim, Inventory


_AGAIN = "`bentod apply` has it used again"


@dataclass(frozen=True)
class Room:
    """Where services are placed. `look` is asked only if a spec has something to place, and for GPUs only if it wants
    some: it may take a while. `running` is what runs there now: what its workers have stays theirs where it can."""

    look: Callable[[bool], Inventory]
    running: Plan | None = None


def here(
    environ: Mapping[str, str],
    running: Plan | None = None,
    out: Mapping[str, str] | None = None,
    until: int | None = None,
    claims: Claims | None = None,
) -> Room:
    """This host: the GPUs that `environ` lets be given, without those that are `out` (UUID → why). What the workers of
    this daemon use is there to be given, what those of another one use is not, nor what it says by its `claims`: both
    run while one follows the other.
    It is looked at once, whatever is placed in it: a driver that hangs is waited for each time, but only until
    the descriptor `until` can be read."""

    @cache
    def look(gpus: bool) -> Inventory:
        if not gpus:
            from bentod.inventory.here import here  # only specs that ask for something of the host need it

            return replace(here(), claims=others())
        from bentod.inventory.take import take
        from bentod.plan.visible import visible

        found = replace(visible(take(environ, until=until), environ), claims=others())
        return less(found, out or {}, os.getpid())

    def others() -> tuple[Claim, ...]:
        return claims.others() if claims is not None else ()

    return Room(look, running)


def less(inventory: Inventory, out: Mapping[str, str], parent: int = 0) -> Inventory:
    """The inventory as services can be placed in it: what is out is out, what the children of `parent` use is there to
    be given, and what those of other daemons use on GPUs that they have claimed is in their claims."""
    groups = {one.group for device in inventory.devices for one in device.processes}
    parents = {group: processes.parent(group) for group in groups} if parent or inventory.claims else {}
    found = inventory.without({group for group in groups if parent and parents[group] == parent})
    claimed = {(share.device, claim.daemon) for claim in inventory.claims for share in claim.shares}
    devices = [
        replace(one, processes=tuple(it for it in one.processes if (one.uuid, parents.get(it.group)) not in claimed))
        for one in found.devices
    ]
    devices = [
        replace(device, state="out", reason=f"{out[device.uuid]}; {_AGAIN}") if device.uuid in out else device
        for device in devices
    ]
    return replace(found, devices=tuple(devices))


def placed(loaded: Loaded, room: Room | None) -> tuple[Placement | None, Inventory | None]:
    """What the workers of a spec are given, and of what; None where nothing was asked for, or nobody looked. Raises
    PlanError with each service that does not fit."""
    wanted = demands(loaded.spec)
    if not wanted or room is None:
        return None, None
    from bentod.plan.devices import place

    inventory = room.look(any(demand.needs.computes for demand in wanted))
    held = grants(room.running) if room.running is not None else {}
    going = [name for name in held if name not in loaded.spec.services]
    placement = place(wanted, inventory, held)
    if placement.lacks:
        raise PlanError([problem(lack, loaded) for lack in placement.lacks])
    beside = _beside(wanted, inventory, held, room.running, going)
    return (placement if beside is None or _fewer(beside, placement) else beside), inventory


def elsewhere(
    wanted: Sequence[Demand], placement: Placement, inventory: Inventory, old: Plan, names: Collection[str]
) -> Placement | None:
    """The same placement, but with other GPUs for the services `names`, which then can start while their old workers
    still run; None if there is no room for both. Nobody else is moved."""
    going = [service.name for service in old.services if service.name not in placement.grants]
    held = {name: found for name, found in placement.grants.items() if name not in names}
    found = _beside(wanted, inventory, held, old, [*names, *going])
    if (
        found is None
        or _fewer(found, placement)
        or any(_gpus(found.grants[name]) != _gpus(held[name]) for name in held)
    ):
        return None
    return replace(placement, grants={name: found.grants[name] for name in placement.grants})


def _beside(
    wanted: Sequence[Demand],
    inventory: Inventory,
    held: Mapping[str, Sequence[Grant]],
    running: Plan | None,
    going: Collection[str],
) -> Placement | None:
    """Everybody's place while the workers of the services `going` have their GPUs still; None if there is no room, or
    they have none. What they have of CPUs and memory is no reason to be elsewhere for as long as the others run."""
    from bentod.plan.devices import place

    leaving = {
        f"{one.name} until then": one
        for one in (running.services if running else ())
        if one.name in going and any(worker.grant.shares for worker in one.workers)
    }
    if not leaving:
        return None
    there = {key: tuple(Grant(worker.grant.shares) for worker in one.workers) for key, one in leaving.items()}
    demands = [
        Demand(key, replace(one.needs or Needs(), cpus=None, memory=None), len(one.workers))
        for key, one in leaving.items()
    ]
    found = place([*demands, *wanted], inventory, {**held, **there})
    if found.lacks or any(found.grants[key] != there[key] for key in there):
        return None
    return replace(found, grants={demand.service: found.grants[demand.service] for demand in wanted})


def _gpus(found: Sequence[Grant]) -> list[tuple[Share, ...]]:
    """What workers have of GPUs. Other CPUs are no move: those that run follow."""
    return [grant.shares for grant in found]


def _fewer(found: Placement, other: Placement) -> bool:
    """Whether a service whose number of workers follows from what there is has fewer than in the other placement."""
    return any(len(found.grants[name]) < len(grants) for name, grants in other.grants.items())


def problem(lack: Lack, loaded: Loaded) -> Problem:
    """A lack with the place in the spec that asks for too much."""
    section = ("services", lack.service)
    said = (*section, "resources", lack.key)
    at = next(
        (
            loaded.origins[name]
            for route in (said, said[:-1], (*section, "workers"), section)
            if (name := dotted(route)) in loaded.origins
        ),
        None,
    )
    place = (at.file, at.line, at.column) if at is not None else ("", 0, 0)
    return Problem(UNFIT, lack.message, *place, path=dotted(said), hint=lack.hint)


def grants(plan: Plan) -> dict[str, tuple[Grant, ...]]:
    """What the workers of a plan have, by service."""
    return {service.name: tuple(worker.grant for worker in service.workers) for service in plan.services}
