"""What is said of CPUs and memory: which service lacks how much, and what is shared that was asked for whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bentod.plan.devices_attempt import Given
from bentod.plan.devices_cpus import Worker
from bentod.plan.devices_room import Want
from bentod.plan.devices_words import TIMES, listed, number, processes, size
from bentod.plan.grants import Demand, Lack
from bentod.plan.inventory import Inventory


def cpu_lack(demand: Demand, inventory: Inventory) -> Lack | None:
    """A worker that wants more CPUs than the host has; several may share them."""
    wanted, there = demand.needs.cpus or 0, inventory.cpus
    if inventory.cpu_ids:
        there = min(there, float(len(inventory.cpu_ids)))
    if wanted <= there + 1e-9:
        return None
    each = "" if demand.workers == 1 else " for each worker"
    message = f"{demand.service} wants {_cpus(wanted)}{each}, this host has {number(there)}"
    short = f"short by {number(wanted - there)}"
    return Lack(demand.service, "cpus", f"{message}, {short}", f"ask for at most `cpus: {number(there)}`")


def memory_claimed(inventory: Inventory) -> list[tuple[str, int]]:
    """Whose workers of other daemons have how much memory."""
    found: dict[str, int] = {}
    for claim in inventory.claims:
        if claim.memory:
            found[claim.owner] = found.get(claim.owner, 0) + claim.memory
    return list(found.items())


def memory_lack(demand: Demand, there: int, having: Sequence[tuple[str, int]]) -> Lack:
    """All workers together want more memory than the host has, or than others leave."""
    each, workers = demand.needs.memory or 0, demand.workers or 1
    left = there - sum(total for _, total in having)
    alone = each * workers > there
    many = f"{workers} {TIMES} " if workers > 1 else ""
    parts = [f"{demand.service} wants {many}{size(each)} of memory", f"this host has {size(there)}"]
    if having and not alone:
        who = listed([f"{name} ({size(total)})" for name, total in sorted(having, key=lambda one: (-one[1], one[0]))])
        parts.append(f"{size(there - left)} of it {'is' if len(having) == 1 else 'are'} given to {who}")
    parts.append(f"short by {size(each * workers - (there if alone else left))}")
    fit = max(0, (there if alone else left) // each)
    hint = f"{fit} worker{'s fit' if fit > 1 else ' fits'}: `workers: {fit}`" if fit else "ask for less"
    return Lack(demand.service, "memory", ", ".join(parts), hint)


def cpu_notes(wanted: Mapping[Worker, float], inventory: Inventory, shared: bool) -> list[str]:
    """That workers share CPUs, be it with those of other daemons."""
    by_service: dict[str, float] = {}
    for (service, _), cpus in wanted.items():
        by_service[service] = by_service.get(service, 0.0) + cpus
    others = _others(inventory)
    if sum([*by_service.values(), *others.values()]) > len(inventory.cpu_ids) + 1e-9:
        by_service |= others
    total = sum(by_service.values())
    who = listed([f"{name} ({number(cpus)})" for name, cpus in sorted(by_service.items(), key=lambda one: -one[1])])
    if wanted and total > inventory.cpus + 1e-9:
        return [f"{who} want {_cpus(total)} together, this host has {number(inventory.cpus)}: workers share them"]
    return [f"{who} want parts of CPUs that do not fill whole ones: some workers share one"] if shared else []


def _others(inventory: Inventory) -> dict[str, float]:
    """By owner, what other daemons have given of the CPUs that are there."""
    found: dict[str, float] = {}
    for claim in inventory.claims:
        load = sum(load for cpu, load in claim.loads.items() if cpu in inventory.cpu_ids)
        if load:
            found[claim.owner] = round(found.get(claim.owner, 0.0) + load, 6)
    return found


def came_since(wants: Sequence[Want], given: Given) -> list[str]:
    """That somebody computes on a GPU of which a worker was promised the whole, or so much that not all is left."""
    room = given.room
    notes = []
    there: dict[int, list[Want]] = {}
    for want in wants:
        for at in sorted({at for places in given.at[want.service].values() for at in places}):
            there.setdefault(at, []).append(want)
    for at, strangers in enumerate(room.gpus.strangers):
        here = there.get(at, [])
        if here and strangers and (room.memory[at] < 0 or any(want.whole for want in here)):
            device = room.gpus.devices[at]
            who = listed([want.service for want in here])
            verb = "has" if len(here) == 1 else "have"
            notes.append(f"{who} {verb} GPU {device.label} beside {processes(strangers)}")
    return notes


def _cpus(count: float) -> str:
    return f"{number(count)} CPU{'' if count == 1 else 's'}"
