"""Demands → Room: the CPUs, memory and GPUs of a container that holds all workers of a spec. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from bentod.plan.devices import place
from bentod.plan.grants import Demand, Placement
from bentod.plan.inventory import Device, Inventory
from bentod.render.recipes import Unwritable

MOST_GPUS = 64
DAEMON = 128 * 1024**2
"""What a container's memory has for the daemon, and the process that asks the driver: about 60 and 30 MiB of it are
used."""
GATEWAY = 128 * 1024**2
"""What it has for each gateway: 25 to 50 MiB are used, the rest is for requests that wait."""
_CPU_M = 1000
_NO_END = 2**50


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked besides the spec, None where nothing is said. `placement` is what a host would give to the workers;
    without one, how many an `auto` makes is not known."""

    gpus: int | None = None
    cpus_m: int | None = None
    memory: int | None = None
    placement: Placement | None = None


@dataclass(frozen=True, slots=True)
class Room:
    """What the container has. `cpus_m`, in thousandths, is what it needs to work, `most_cpus_m` what it can use, with
    its gateways. `memory` is what all of it may use, `least_memory` what is known to be needed. None: the spec does not
    say."""

    gpus: int = 0
    cpus_m: int | None = None
    most_cpus_m: int | None = None
    memory: int | None = None
    least_memory: int | None = None


def room(demands: Sequence[Demand], services: int, gateways: int, asked: Asked, cuda: bool) -> Room:
    """The room for `services`, of which these have demands. `cuda`: the image has CUDA. Raises Unwritable."""
    known = [_counted(demand, asked.placement) for demand in demands]
    silent = services - len(known)
    gpus = _gpus(known, asked, cuda)
    return replace(_said(known, silent, gateways), gpus=gpus, **_overridden(asked))


def _overridden(asked: Asked) -> dict[str, Any]:
    cpus = {} if asked.cpus_m is None else {"cpus_m": asked.cpus_m, "most_cpus_m": asked.cpus_m}
    memory = {} if asked.memory is None else {"memory": asked.memory, "least_memory": asked.memory}
    return {**cpus, **memory}


def _counted(demand: Demand, placement: Placement | None) -> Demand:
    """A demand with the number of workers, if a host has decided it."""
    grants = placement.grants.get(demand.service, ()) if placement is not None else ()
    return replace(demand, workers=len(grants)) if demand.workers is None and grants else demand


def _said(demands: Sequence[Demand], silent: int, gateways: int) -> Room:
    """The sums. A limit is known only if every service says what it needs, and how many workers it has."""
    counts = [(1 if demand.workers is None else demand.workers, demand) for demand in demands]
    open_ended = silent > 0 or any(demand.workers is None for demand in demands)
    cpus = [_thousandths(count * demand.needs.cpus) for count, demand in counts if demand.needs.cpus is not None]
    memory = [count * demand.needs.memory for count, demand in counts if demand.needs.memory is not None]
    all_cpus, all_memory = (not open_ended and len(one) == len(counts) for one in (cpus, memory))
    besides = DAEMON + gateways * GATEWAY
    return Room(
        cpus_m=sum(cpus) + (0 if len(cpus) == len(counts) and not silent else _CPU_M) if cpus else None,
        most_cpus_m=sum(cpus) + gateways * _CPU_M if cpus and all_cpus else None,
        memory=sum(memory) + besides if memory and all_memory else None,
        least_memory=sum(memory) + besides if memory else None,
    )


def _thousandths(cpus: float) -> int:
    return math.ceil(round(cpus * _CPU_M, 6))


# ── GPUs ─────────────────────────────────────────────────────────────────────────────────────────


def _gpus(demands: Sequence[Demand], asked: Asked, cuda: bool) -> int:
    if asked.gpus is not None and not 0 <= asked.gpus <= MOST_GPUS:
        raise Unwritable(f"{asked.gpus} GPUs are not between 0 and {MOST_GPUS}")
    if not any(demand.needs.gpus is not None or demand.needs.computes for demand in demands):
        return int(cuda) if asked.gpus is None else asked.gpus
    least = packed([demand for demand in demands if demand.needs.computes])
    if asked.gpus is not None and asked.gpus < least:
        count = "1 GPU" if least == 1 else f"{least} GPUs"
        raise Unwritable(f"the workers need {count} at the least (`resources`), and `--gpus` says {asked.gpus}")
    if asked.gpus is not None:
        return asked.gpus
    if asked.placement is not None:
        return len(
            {one.device for grants in asked.placement.grants.values() for grant in grants for one in grant.shares}
        )
    _refuse_unknown(demands)
    if least > MOST_GPUS:
        raise Unwritable(f"the workers need {least} GPUs (`resources`), more than the {MOST_GPUS} of one container")
    return least


def _refuse_unknown(demands: Sequence[Demand]) -> None:
    """Raise Unwritable if how many GPUs the workers need depends on these GPUs."""
    for demand in demands:
        if demand.needs.computes and (demand.workers is None or demand.needs.gpus is None):
            key = "workers: auto" if demand.workers is None else "resources.gpu_memory"
            why = (
                "fills the GPUs that there are"
                if demand.workers is None
                else "without `gpus` is a part of their memory"
            )
            raise Unwritable(
                f"how many GPUs the container has must be said: `{key}` of the service {demand.service} {why}. "
                "Say `--gpus N`, or `--inventory FILE` with what `bentod inventory --json` says on such a host"
            )


def packed(demands: Sequence[Demand]) -> int:
    """The GPUs on which these workers fit, however large their memory is: fractions share one, whole ones do not, and
    those of another `gpu_type` neither. Of an `auto` one worker counts, and of a share by memory alone nothing but that
    it needs a GPU."""
    wanted = [_by_part(demand) for demand in demands]
    kinds = sorted({demand.needs.gpu_type for demand in wanted if demand.needs.gpu_type is not None})
    devices: list[Device] = []
    for kind in kinds:
        devices += _enough([demand for demand in wanted if demand.needs.gpu_type == kind], kind, [])
    return len(_enough(wanted, "", devices))


def _by_part(demand: Demand) -> Demand:
    needs = demand.needs
    return replace(
        demand,
        workers=demand.workers or 1,
        needs=replace(
            needs,
            cpus=None,
            memory=None,
            gpu_memory=1 if needs.gpus is None else None,
            gpu_type=None if needs.gpu_type is None else _plain(needs.gpu_type),
        ),
    )


def _plain(pattern: str) -> str:
    """A name that stands for all GPUs that fit the pattern, and fits itself."""
    return "kind " + pattern.lower().encode().hex()


def _enough(demands: Sequence[Demand], kind: str, devices: Sequence[Device]) -> list[Device]:
    """These devices, and as many more of this kind as it takes."""
    found = list(devices)
    most = len(found) + sum((demand.workers or 1) * max(1, math.ceil(demand.needs.gpus or 0)) for demand in demands)
    while len(found) < most and place(demands, Inventory(cpus=1.0, devices=tuple(found), gpus="ok"), {}).lacks:
        number = len(found)
        found.append(Device(f"{kind or 'any'} {number}", kind or "any", _NO_END, index=str(number), free=_NO_END))
    return found
