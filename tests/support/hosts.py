"""Hosts that are not there, what services may want of them, and what must hold of every placement."""

from collections import defaultdict
from fnmatch import fnmatchcase
from math import ceil
from types import MappingProxyType

from bentod.plan.grants import Demand, Needs
from bentod.plan.inventory import Device, GpuProcess, Inventory

GIB = 1024**3


def gpu(index, name="NVIDIA A10", memory=24, **more):
    """A GPU with so many GiB."""
    return Device(more.pop("uuid", f"GPU-{index}"), name, memory * GIB, str(index), **more)


def python(pid=4711, memory=10, name="python"):
    """Somebody else's process."""
    return GpuProcess(pid, name, None if memory is None else memory * GIB)


def host(*devices, cpus=16, memory=64, **more):
    """A host with these GPUs, or with so many that are alike."""
    if len(devices) == 1 and isinstance(devices[0], int):
        devices = [gpu(index) for index in range(devices[0])]
    there = None if memory is None else memory * GIB
    return Inventory(cpus, tuple(range(ceil(cpus))), there, tuple(devices), more.pop("gpus", "ok"), **more)


def demand(service, workers=1, **needs):
    """A service; memory in GiB."""
    for name in ("memory", "gpu_memory"):
        if needs.get(name) is not None:
            needs[name] = int(needs[name] * GIB)
    return Demand(service, Needs(**needs), workers)


def names(placement, inventory):
    """By service, the indexes of each worker's GPUs."""
    indexes = {device.uuid: device.index for device in inventory.devices}
    return {
        service: [",".join(indexes[share.device] for share in grant.shares) for grant in grants]
        for service, grants in placement.grants.items()
    }


def suits(needs, device, inventory):
    """Whether a GPU may be given to a service at all."""
    divided = {other.parent for other in inventory.devices}
    return (
        device.state == "ok"
        and device.uuid not in divided
        and fnmatchcase(device.name.lower(), (needs.gpu_type or "*").lower())
        and device.memory >= (needs.gpu_memory or 0)
        and not (device.parent and (needs.gpus or 0) > 1)
    )


def strangers(device):
    """Who is there and none of ours."""
    return [process for process in device.processes if process.pid]


def taken(needs, device):
    """The part and the bytes that a worker takes."""
    if (needs.gpus or 0) >= 1:
        return 1.0, device.memory
    part = needs.gpus or needs.gpu_memory / device.memory
    return part, int(part * device.memory) if needs.gpu_memory is None else needs.gpu_memory


def claimed(inventory):
    """By UUID, the part and the bytes that other daemons have given."""
    found = defaultdict(lambda: (0.0, 0))
    for share in (share for claim in inventory.claims for share in claim.shares):
        part, memory = found[share.device]
        found[share.device] = part + share.part, memory + share.memory
    return found


def wrong(demands, inventory, placement, had=frozenset()):
    """All that must not be. `had` are the services that may have kept what strangers have come to since."""
    found = [*_wrong_sizes(demands, inventory, placement), *_wrong_cpus(demands, inventory, placement)]
    devices = {device.uuid: device for device in inventory.devices}
    parts, memory, owners = defaultdict(float), defaultdict(int), defaultdict(list)
    kept = set()
    for one in demands:
        for grant in placement.grants.get(one.service, ()):
            for share in grant.shares:
                device = devices[share.device]
                whole = (one.needs.gpus or 0) >= 1
                parts[device.uuid] += share.part
                memory[device.uuid] += share.memory
                owners[device.uuid].append(whole)
                kept |= {device.uuid} if one.service in had else set()
                if not suits(one.needs, device, inventory):
                    found.append(f"{one.service} has {device}")
                if (round(share.part, 9), share.memory) != (
                    round(taken(one.needs, device)[0], 9),
                    taken(one.needs, device)[1],
                ):
                    found.append(f"{one.service} has {share}")
                if whole and strangers(device) and one.service not in had:
                    found.append(f"{one.service} has a stranger's GPU")
    others = claimed(inventory)
    for uuid, some in owners.items():
        theirs = sum(process.memory or 0 for process in strangers(devices[uuid]))
        if any(some) and (len(some) > 1 or uuid in others):
            found.append(f"{uuid} is booked twice")
        parts[uuid] += others[uuid][0]
        memory[uuid] += others[uuid][1]
        if parts[uuid] > 1 + 1e-9 or memory[uuid] > devices[uuid].memory - (0 if any(some) or uuid in kept else theirs):
            found.append(f"{uuid} has {parts[uuid]}, {memory[uuid]}")
    return found


def _wrong_sizes(demands, inventory, placement):
    lacking = {lack.service for lack in placement.lacks}
    for one in demands:
        grants = placement.grants.get(one.service)
        if (grants is None) != (one.service in lacking):
            yield f"{one.service} has neither grants nor a lack, or both"
            continue
        if grants is None:
            continue
        if len(grants) != one.workers and (one.workers is not None or not grants):
            yield f"{one.service} has {len(grants)} workers"
        count = 0 if not one.needs.computes else max(1, int(one.needs.gpus or 0))
        if any(len({share.device for share in grant.shares}) != count for grant in grants):
            yield f"{one.service} has {grants}"
    total = sum(len(placement.grants.get(one.service, ())) * (one.needs.memory or 0) for one in demands)
    if inventory.memory is not None and total > inventory.memory:
        yield "too much memory"


def _wrong_cpus(demands, inventory, placement):
    loads, whole, wanted = defaultdict(float), defaultdict(int), 0.0
    for one in demands:
        for grant in placement.grants.get(one.service, ()):
            cpus = one.needs.cpus or 0
            wanted += cpus
            if len(grant.cpus) != ceil(cpus) or not {*grant.cpus} <= {*inventory.cpu_ids}:
                yield f"{one.service} has CPUs {grant.cpus}"
            for cpu in grant.cpus:
                loads[cpu] += cpus / ceil(cpus)
                whole[cpu] += cpus == ceil(cpus)
    shared = any(load > 1 + 1e-9 for load in loads.values())
    if all(float(one.needs.cpus or 0).is_integer() for one in demands) and shared and wanted <= len(inventory.cpu_ids):
        yield f"CPUs are shared without need: {dict(loads)}"
    if wanted > inventory.cpus + 1e-9 and not placement.notes:
        yield "nobody says that CPUs are shared"


def possible(demands, inventory, used=MappingProxyType({})):
    """Whether there is any placement of GPUs, found by trying everything. `used` is by UUID what is given already."""
    devices = list(inventory.devices)
    items = [
        one.needs
        for one in sorted(demands, key=lambda one: -(one.needs.gpus or 0))
        if one.needs.computes
        for _ in range((1 if one.workers is None else one.workers) * max(1, int(one.needs.gpus or 0)))
    ]
    parts = [1.0] * len(devices)
    memory = [one.memory - sum(process.memory or 0 for process in strangers(one)) for one in devices]
    for at, device in enumerate(devices):
        part, size = used.get(device.uuid, (0.0, 0))
        parts[at], memory[at] = parts[at] - part, memory[at] - size
    return _fits(items, inventory, devices, parts, memory)


def _fits(items, inventory, devices, parts, memory):
    if not items:
        return True
    needs, tried = items[0], set()
    for at, device in enumerate(devices):
        if not suits(needs, device, inventory):
            continue
        part, size = taken(needs, device)
        whole = (needs.gpus or 0) >= 1
        state = (device.name, device.memory, device.parent, parts[at], memory[at], bool(strangers(device)))
        if state in tried or (whole and (strangers(device) or parts[at] < 1 - 1e-9)):
            continue
        if part > parts[at] + 1e-9 or (size > memory[at] and not whole):
            continue
        tried.add(state)
        parts[at] -= part
        memory[at] -= size
        found = _fits(items[1:], inventory, devices, parts, memory)
        parts[at] += part
        memory[at] += size
        if found:
            return True
    return False
