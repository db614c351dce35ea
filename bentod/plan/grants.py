"""What workers need of the host, and what each gets of it. Values only; `devices.py` decides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Needs:
    """What each worker of a service is promised: `cpus` at once, bytes of `memory`, `gpus` (whole ones, or a part of
    one), bytes of `gpu_memory` on each of its GPUs, and only GPUs whose name fits the glob `gpu_type`. None: the spec
    does not say."""

    cpus: float | None = None
    memory: int | None = None
    gpus: float | None = None
    gpu_memory: int | None = None
    gpu_type: str | None = None

    @property
    def computes(self) -> bool:
        """Whether it needs a GPU, or a part of one."""
        return bool(self.gpus) or (self.gpus is None and self.gpu_memory is not None)


@dataclass(frozen=True, slots=True)
class Share:
    """What one worker has of one GPU: `part` of its time, up to 1 for all of it, and bytes of `memory`."""

    device: str
    part: float
    memory: int


@dataclass(frozen=True, slots=True)
class Grant:
    """What one worker has: GPUs, and the CPUs that it may run on (none named: all)."""

    shares: tuple[Share, ...] = ()
    cpus: tuple[int, ...] = ()


NOTHING = Grant()
"""What a worker has of a host that nobody has looked at."""


@dataclass(frozen=True, slots=True)
class Demand:
    """One service to be placed. `workers` None: as many as there is room for, `auto`."""

    service: str
    needs: Needs
    workers: int | None = 1


@dataclass(frozen=True, slots=True)
class Lack:
    """Why a service does not fit: the key of its `resources` that cannot be kept, the arithmetic, what would help."""

    service: str
    key: str
    message: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Placement:
    """By service, what each of its workers has, in the order of their indexes. With `lacks`, those services have no
    grants and the rest is what fits. `notes` are worth a warning: CPUs that several workers share."""

    grants: Mapping[str, tuple[Grant, ...]] = field(default_factory=dict)
    lacks: tuple[Lack, ...] = ()
    notes: tuple[str, ...] = ()
