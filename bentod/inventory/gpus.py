"""What the driver says of the GPUs, what is known of them meanwhile, and what is news. Values, and pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from bentod.plan.inventory import Device, DeviceEvent, Inventory

UNLISTED = "the driver does not list it any more"
_SPLIT = "it is in MIG mode now, and its instances are the devices"


@dataclass(frozen=True, slots=True)
class Gpus:
    """The part of an Inventory that the driver tells. `codes`: NVML's errors of the devices that failed, by index.
    `last`: who said it says nothing more, another process may learn more."""

    devices: tuple[Device, ...] = ()
    gpus: Literal["ok", "none", "failed"] = "ok"
    reason: str = ""
    driver: str = ""
    codes: Mapping[str, int] | None = None
    last: bool = False


def failed(reason: str) -> Gpus:
    """The driver could not be asked."""
    return Gpus(gpus="failed", reason=reason)


def joined(inventory: Inventory, found: Gpus) -> Inventory:
    """A host with these GPUs."""
    return replace(inventory, devices=found.devices, gpus=found.gpus, reason=found.reason, driver=found.driver)


def remembered(known: Iterable[Device], found: Gpus) -> Gpus:
    """What was found, with those devices that were known before and are not told of now, as failed ones. A GPU that
    failed before it could say which it is, is the one that had its index."""
    known = tuple(known)
    if found.gpus != "ok":
        return replace(found, devices=tuple(_failed(device, found.reason) for device in known))
    devices = [_recognised(device, known) for device in found.devices]
    told = {device.uuid for device in devices} | {device.parent for device in devices}
    gone = [_failed(device, _why(device, devices)) for device in known if device.uuid not in told]
    return replace(found, devices=tuple(sorted((*devices, *gone), key=_order)))


def news(before: Iterable[Device], after: Gpus) -> Iterator[DeviceEvent]:
    """What happened to devices between two answers of a driver that worked."""
    if after.gpus != "ok":
        return
    codes = after.codes or {}
    now = {device.uuid: device for device in after.devices}
    for old in before:
        new = now.get(old.uuid, _failed(old, _SPLIT))
        if old.state == "ok" and new.state == "failed":
            silent = new.reason in (UNLISTED, _SPLIT)
            code = 0 if silent else codes.get(new.index, codes.get(_gpu(new), 0))
            yield DeviceEvent(new.uuid, "lost", code, new.reason)
        if old.errors is not None and new.errors is not None and new.errors > old.errors:
            more = new.errors - old.errors
            words = "1 error of its memory" if more == 1 else f"{more} errors of its memory"
            yield DeviceEvent(new.uuid, "ecc", more, f"{words} could not be corrected")


def _recognised(device: Device, known: Iterable[Device]) -> Device:
    """A failed device with all that was known of it; any other as it is."""
    if device.state != "failed":
        return device
    for old in known:
        if old.uuid == device.uuid or (not device.uuid and old.index == device.index and old.reason != UNLISTED):
            return _failed(old, device.reason)
    parents = (old.parent for old in known if old.parent and _gpu(old) == device.index)
    return device if device.uuid else replace(device, uuid=next(parents, ""))


def _why(device: Device, others: Iterable[Device]) -> str:
    """Why a device is not told of. MIG instances fail with their GPU, which then does not tell of any."""
    gpus = (one for one in others if one.index == _gpu(device) or one.uuid == device.parent)
    return next((one.reason for one in gpus if device.parent and one.reason), UNLISTED)


def _gpu(device: Device) -> str:
    """NVML's number of the GPU that it is, or is a part of."""
    return device.index.partition(":")[0]


def _failed(device: Device, reason: str) -> Device:
    """What is still sure of it. What its memory had for errors stays, so that more of them are news later."""
    return replace(device, state="failed", reason=reason, free=None, utilization=None, processes=())


def _order(device: Device) -> tuple[tuple[int, ...], bool]:
    return tuple(int(part) for part in device.index.split(":") if part.isdigit()), device.reason == UNLISTED
