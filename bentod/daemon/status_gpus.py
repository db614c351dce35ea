"""What `status` says of the host and its GPUs: what there is, what workers were given, what they really use."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from bentod.daemon.use import HostUse
from bentod.plan.grants import Grant, Share
from bentod.plan.inventory import Device, GpuProcess, Inventory


def host_document(host: HostUse, inventory: Inventory | None, ours: Mapping[int, str]) -> dict[str, Any]:
    """The host as far as it is known; `ours` are the services by their workers' process groups."""
    document: dict[str, Any] = {
        "cpus": host.cpus,
        "cpu_seconds": host.cpu_s,
        "memory": host.memory,
        "available": host.available,
        "devices": [] if inventory is None else [_device_document(one, ours) for one in inventory.devices],
    }
    return document if inventory is None else {**document, "gpus": inventory.gpus, "reason": inventory.reason}


def _device_document(device: Device, ours: Mapping[int, str]) -> dict[str, Any]:
    return {
        "uuid": device.uuid,
        "index": device.index,
        "name": device.name,
        "parent": device.parent,
        "memory": device.memory,
        "free": device.free,
        "utilization": device.utilization,
        "state": device.state,
        "reason": device.reason,
        "processes": [
            {
                "pid": one.pid,
                "name": one.name,
                "memory": one.memory,
                "service": ours.get(one.group) if one.pid else None,
            }
            for one in device.processes
        ],
    }


def gpu_documents(grant: Grant, group: int | None, inventory: Inventory | None) -> list[dict[str, Any]]:
    """The GPUs that a worker was given, then those that it computes on all the same."""
    known = {device.uuid: device for device in inventory.devices} if inventory is not None else {}
    shares = {share.device: share for share in grant.shares}
    others = (Share(uuid, 0.0, 0) for uuid in _intruded(known.values(), shares.keys(), group))
    return [_gpu_document(share, known.get(share.device), group) for share in (*grant.shares, *others)]


def _intruded(devices: Collection[Device], granted: Collection[str], group: int | None) -> Iterator[str]:
    yield from (device.uuid for device in devices if device.uuid not in granted and _of(device, group))


def _gpu_document(share: Share, device: Device | None, group: int | None) -> dict[str, Any]:
    mine = _of(device, group) if device is not None else []
    return {
        "uuid": share.device,
        "index": device.index if device is not None else "",
        "name": device.name if device is not None else "",
        "part": share.part,
        "memory_granted": share.memory,
        "memory": _memory(device, mine) if device is not None and group is not None else None,
        "utilization": _utilization(share, device, mine) if device is not None and group is not None else None,
    }


def _utilization(share: Share, device: Device, mine: Collection[GpuProcess]) -> float | None:
    """In which part of the last moment a worker computed. Nobody else should compute on a GPU that it has alone."""
    told = [one.utilization for one in mine if one.utilization is not None]
    if told:
        return round(min(1.0, sum(told)), 4)
    return device.utilization if share.part == 1 else None


def _memory(device: Device, mine: Collection[GpuProcess]) -> int | None:
    """What a worker has of a GPU. None where the driver does not tell, nor whose all the processes are."""
    sizes = [one.memory for one in mine]
    if device.state == "failed" or None in sizes or (not mine and any(one.pid == 0 for one in device.processes)):
        return None
    return sum(size for size in sizes if size is not None)


def _of(device: Device, group: int | None) -> list[GpuProcess]:
    return [one for one in device.processes if one.pid and group is not None and one.group == group]
