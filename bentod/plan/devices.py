"""Which worker gets which CPUs and GPUs of a host, or why not: decided without looking at anything. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from bentod.plan.devices_attempt import Given, Taste, attempt
from bentod.plan.devices_auto import Now, Purse, grown
from bentod.plan.devices_cpus import Worker, cpu_sets, cpus_claimed, cpus_left
from bentod.plan.devices_gpus import shared_out
from bentod.plan.devices_lacks import came_since, cpu_lack, cpu_notes, memory_claimed, memory_lack
from bentod.plan.devices_room import Gpus, Held, Want, gpus_of, share_of, want_of
from bentod.plan.devices_words import gpu_lack, owners_of
from bentod.plan.grants import Demand, Grant, Lack, Placement
from bentod.plan.inventory import Inventory

NOBODY: Mapping[str, Sequence[Grant]] = MappingProxyType({})


def place(demands: Sequence[Demand], inventory: Inventory, held: Mapping[str, Sequence[Grant]] = NOBODY) -> Placement:
    """What each worker gets. `held` is what the workers have that run: they keep it if it still suits, and as few
    services as possible lose it to make room. Whatever lacks something is named, each with its own numbers; it gets
    nothing, and the rest what fits."""
    gpus = gpus_of(inventory)
    wants = [want_of(order, one, gpus) for order, one in enumerate(demands) if one.needs.computes]
    given, taste = shared_out(wants, gpus, _positions(held, gpus))
    memory_lacks, memory = _memory(demands, inventory, held)
    lacks = [lack for demand in demands if (lack := cpu_lack(demand, inventory))]
    lacks += [*memory_lacks, *_gpu_lacks(wants, inventory, given, taste)]
    lacking = {lack.service for lack in lacks}
    placed = [demand for demand in demands if demand.service not in lacking]
    by_service = {want.service: want for want in wants}
    now = Now(by_service, given, taste, {service: len(grants) for service, grants in held.items()})
    cpus = cpus_left(inventory)
    counts = _counts(placed, cpus, Purse(cpus - _cpus(placed), memory), now)
    wanted = _cpus_wanted(placed, counts)
    sets, shared = cpu_sets(wanted, inventory.cpu_ids, _cpus_held(held), cpus_claimed(inventory))
    grants = {
        one.service: tuple(
            _grant(by_service.get(one.service), index, given, gpus, sets.get((one.service, index), ()))
            for index in range(counts[one.service])
        )
        for one in placed
    }
    order = {demand.service: number for number, demand in enumerate(demands)}
    notes = (*cpu_notes(wanted, inventory, shared), *came_since(wants, given))
    return Placement(grants, tuple(sorted(lacks, key=lambda lack: order[lack.service])), notes)


def _positions(held: Mapping[str, Sequence[Grant]], gpus: Gpus) -> Held:
    """By service and worker, which GPUs it has, if all of them may still be given."""
    return {
        service: found
        for service, grants in sorted(held.items())
        if (
            found := {
                index: tuple(gpus.positions[share.device] for share in grant.shares)
                for index, grant in enumerate(grants)
                if grant.shares and all(share.device in gpus.positions for share in grant.shares)
            }
        )
    }


def _memory(
    demands: Sequence[Demand], inventory: Inventory, held: Mapping[str, Sequence[Grant]]
) -> tuple[list[Lack], int | None]:
    """Which services lack memory, and what the others leave. What runs comes first, then whatever needs least."""
    lacks, having = [], memory_claimed(inventory)
    if inventory.memory is None:
        return [], None
    left = inventory.memory - sum(memory for _, memory in having)
    needs = [(demand.needs.memory * (demand.workers or 1), demand) for demand in demands if demand.needs.memory]
    for total, demand in sorted(needs, key=lambda one: (one[1].service not in held, one[0])):
        if total <= left:
            left -= total
            having.append((demand.service, total))
        else:
            lacks.append(memory_lack(demand, inventory.memory, having))
    return lacks, left


def _gpu_lacks(wants: Sequence[Want], inventory: Inventory, given: Given, taste: Taste) -> list[Lack]:
    """Others are named only where it would fit without them."""
    owners = owners_of(wants, given) if given.failed else ()
    found = []
    for want in given.failed:
        alone = attempt([want], given.room.gpus, {}, taste)
        there = (owners_of((), alone), inventory, alone) if alone.failed else (owners, inventory, given)
        found.append(gpu_lack(want, *there, taste))
    return found


def _counts(demands: Sequence[Demand], cpus: float, purse: Purse, now: Now) -> dict[str, int]:
    """How many workers each service gets."""
    autos = [demand for demand in demands if demand.workers is None]
    more = grown(autos, cpus, purse, now) if autos else {}
    return {demand.service: demand.workers or more[demand.service] for demand in demands}


def _cpus(demands: Sequence[Demand]) -> float:
    """The CPUs that are not left for `auto` services with GPUs."""
    fixed = [one for one in demands if one.workers is not None or one.needs.computes]
    return sum((one.needs.cpus or 0) * (one.workers or 1) for one in fixed)


def _cpus_wanted(demands: Sequence[Demand], counts: Mapping[str, int]) -> dict[Worker, float]:
    return {
        (demand.service, index): demand.needs.cpus
        for demand in demands
        if demand.needs.cpus
        for index in range(counts[demand.service])
    }


def _cpus_held(held: Mapping[str, Sequence[Grant]]) -> dict[Worker, tuple[int, ...]]:
    return {
        (service, index): grant.cpus
        for service, grants in held.items()
        for index, grant in enumerate(grants)
        if grant.cpus
    }


def _grant(want: Want | None, index: int, given: Given, gpus: Gpus, cpus: tuple[int, ...]) -> Grant:
    places = () if want is None else given.at[want.service].get(index, ())
    return Grant(tuple(share_of(want, gpus, at) for at in places) if want else (), cpus)
