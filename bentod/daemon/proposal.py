"""What a change would do: from what runs, what is wanted, and what the files hold. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bentod.daemon.contents import changes
from bentod.daemon.desired import Desired
from bentod.daemon.unsaid import unsaid
from bentod.plan import fingerprint
from bentod.plan.allotment import allotment
from bentod.plan.diff import difference
from bentod.plan.difference import Cause, Proposal, Usage
from bentod.plan.model import Plan
from bentod.plan.steps import steps

Files = Mapping[str, str]
"""Names of files, each with the SHA-256 of its content; "" if there is no such file."""


@dataclass(frozen=True)
class Running:
    """What runs: generation `number`, the files that each of its services has imported, and those besides that count
    for all services. `failed` services have no worker, and get none."""

    number: int = 0
    plan: Plan | None = None
    files: Mapping[str, Files] = field(default_factory=dict)
    included: Files = field(default_factory=dict)
    failed: frozenset[str] = frozenset()
    usage: Mapping[str, Usage] = field(default_factory=dict)
    written: Mapping[str, Any] = field(default_factory=dict)
    """The spec as it was written."""


@dataclass(frozen=True)
class Disk:
    """What the files hold now: those that the services have imported, and those that count for all of them."""

    files: Files = field(default_factory=dict)
    included: Files = field(default_factory=dict)
    available: int | None = None


def propose(running: Running, desired: Desired, disk: Disk) -> Proposal:
    """What would change if what is wanted were applied now."""
    causes = _causes(running, desired, disk)
    found = difference(running.plan, desired.plan, causes, running.failed)
    budget, ways = steps(found, running.plan, desired.plan, running.usage, disk.available, desired.inventory)
    shown = unsaid(found, running.written, desired.loaded.as_written)
    given = allotment(desired.placement, desired.inventory)
    return Proposal(running.number, _state(running, desired, disk), shown, budget, ways, given)


def _causes(running: Running, desired: Desired, disk: Disk) -> dict[str, tuple[Cause, ...]]:
    """By service, the files that differ from those that run."""
    everyone: tuple[Cause, ...] = ()
    if not desired.pins:
        everyone = changes(running.included, disk.included)
    found = {}
    for name, before in running.files.items():
        on_disk = {file: disk.files.get(file, digest) for file, digest in before.items()}  # but what is excluded
        now = {**before, **desired.pins[name]} if name in desired.pins else on_disk
        found[name] = (*changes(before, now), *everyone)
    return found


def _state(running: Running, desired: Desired, disk: Disk) -> str:
    """Stands for everything that a proposal was made from, but for what services need and what is left."""
    services = running.plan.services if running.plan is not None else ()
    what = [
        running.number,
        {service.name: fingerprint.digest(service, running.files.get(service.name, {})) for service in services},
        sorted(running.failed),
        dict(desired.texts),
        {name: dict(files) for name, files in desired.pins.items()},
        desired.loaded.env_file_values,
        dict(disk.files),
        dict(disk.included),
    ]
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()
