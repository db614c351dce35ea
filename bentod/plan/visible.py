"""Which GPUs may be given out at all: what the daemon's own environment says of it. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from bentod.plan.devices_room import place_of
from bentod.plan.inventory import Device, Inventory

VARIABLES = ("BENTOD_VISIBLE_GPUS", "CUDA_VISIBLE_DEVICES")
_NONE = {"", "none", "-1", "nodevfiles", "void"}


def visible(inventory: Inventory, environ: Mapping[str, str]) -> Inventory:
    """The same with only the GPUs that both variables name, if they are set: by number in NVML's order (`0`, a MIG
    instance `0:1`), by UUID or an unambiguous beginning of one, or `all`. As in CUDA, what follows a name that no GPU
    has does not count. `reason` says what a variable has kept back."""
    said = []
    kept = sorted(inventory.devices, key=place_of)
    for variable in VARIABLES:
        if variable in environ:
            named, wrong = _named(environ[variable], inventory.devices)
            hidden = sum(device.uuid not in named for device in inventory.devices)
            kept = [device for device in kept if device.uuid in named]
            if hidden or wrong:
                said.append(_told(variable, len(inventory.devices) - hidden, len(inventory.devices), wrong))
    if not said:
        return inventory
    reasons = [inventory.reason, *(said if inventory.gpus == "ok" else ())]
    return replace(inventory, devices=tuple(kept), reason="; ".join(filter(None, reasons)))


def _named(text: str, devices: Sequence[Device]) -> tuple[Collection[str], str]:
    """The UUIDs of the GPUs that are named, and the first name that is none."""
    words = [word.strip() for word in text.split(",")]
    if [word.lower() for word in words] == ["all"]:
        return {device.uuid for device in devices}, ""
    found: set[str] = set()
    for word in words:
        some = _called(word, devices)
        if not some:
            return found, "" if word.lower() in _NONE else word
        found |= some
    return found, ""


def _called(word: str, devices: Sequence[Device]) -> set[str]:
    """A GPU, with the MIG instances that it is divided into, or such an instance. Nothing if several are meant."""
    if word.replace(":", "").isdecimal():
        some = [device for device in devices if device.index == word or device.index.startswith(f"{word}:")]
    else:
        lower = word.lower()
        if not lower.startswith(("gpu-", "mig-")):
            return set()
        some = [device for device in devices if device.uuid.lower() == lower]
        some = some or [device for device in devices if device.uuid.lower().startswith(lower)]
        if len(some) > 1:
            return set()
    uuids = {device.uuid for device in some}
    return uuids | {device.uuid for device in devices if device.parent and device.parent in uuids}


def _told(variable: str, left: int, total: int, wrong: str) -> str:
    if wrong:
        shown = wrong if len(wrong) <= 50 else f"{wrong[:49]}…"
        return f"{variable} names {shown}, which no GPU here is: {left} of {total} are left"
    return f"{variable} leaves {left} of {total} GPUs"
