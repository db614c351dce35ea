"""When a GPU gets no workers any more: by what its driver says, and by what becomes of its workers. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from bentod.plan.inventory import Device, DeviceEvent

FATAL_XIDS = frozenset({46, 48, 62, 64, 74, 79, 94, 95, 110, 119, 120, 136, 140, 143, 155, 156, 158})
"""Errors after which NVIDIA wants the GPU reset, its links examined (74) or the host restarted (79): "Analyzing Xid
Errors with the Xid Catalog", docs.nvidia.com/deploy/xid-errors/analyzing-xid-catalog.html, column "Resolution Bucket
(Immediate Action)", and its workflow for 48.

After 94 it wants only the program restarted; but memory that could not be corrected is memory that could not be
corrected, and the count of such errors rises with it. 63 (a spare row takes a bad one's place) and 92 (errors that were
corrected) are to be ignored. What programs do wrong says nothing of the GPU: 13, 31, 43, 45, 68, 69, and 109, which may
be either, and which NVIDIA's own plug-in for Kubernetes counts among those of programs.
"""

WINDOW_S = 300.0
DEATHS = 3
_OTHERS = 3
"""The workers of a service do well elsewhere if they died there together at most this many times less often."""

_OWN_DOING = frozenset({"device-side assert triggered", "cudaErrorAssert", "CUDA_ERROR_ASSERT"})
"""A program found itself wrong: the GPU has done what it was told."""


@dataclass(frozen=True, slots=True)
class Death:
    """A process of a service that has lost its GPU, when, and by which of CUDA's errors."""

    at: float
    service: str
    device: str
    text: str


def said(event: DeviceEvent) -> str:
    """Why a device gets no workers any more, by what the driver says; empty if it may go on."""
    if event.kind == "xid" and event.code not in FATAL_XIDS:
        return ""
    return event.text


def counts(text: str) -> bool:
    """Whether a worker's end by this error may be its GPU's doing."""
    return not any(one in text for one in _OWN_DOING)


def failing(deaths: Iterable[Death], now: float, used: Mapping[str, Collection[str]]) -> dict[str, str]:
    """The devices on which the workers of a service have died again and again lately, while those of the same service
    on others did well, each with the reason. `used`: by service, the devices that its workers have. Where a service has
    only one, nobody can tell its device's faults from its own."""
    recent = [one for one in deaths if now - one.at < WINDOW_S]
    found = {}
    for service, devices in used.items():
        own = [one.device for one in recent if one.service == service]
        for device in set(own) & set(devices):
            here = own.count(device)
            if here >= DEATHS and len(set(devices)) > 1 and (len(own) - here) * _OTHERS <= here:
                last = [one.text for one in recent if one.service == service and one.device == device][-1]
                found[device] = (
                    f"{here} workers of {service} died there of CUDA errors within {WINDOW_S / 60:.0f} minutes, "
                    f"and hardly any elsewhere: {last}"
                )
    return found


def parts(uuid: str, devices: Iterable[Device]) -> tuple[str, ...]:
    """A device and, if it is a GPU that has them, its MIG instances."""
    return (uuid, *(device.uuid for device in devices if device.parent == uuid))


def words(uuid: str, devices: Iterable[Device]) -> str:
    """A device for people: `GPU 3`."""
    found = next((device for device in devices if device.uuid == uuid), None)
    return f"GPU {uuid if found is None else found.label}"
