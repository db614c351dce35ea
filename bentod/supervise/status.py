"""What `status` shows of services and workers: values."""

from __future__ import annotations

from dataclasses import dataclass

from bentod.supervise.exit import Exit
from bentod.supervise.state import ServiceState, WorkerState


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """One worker as `status` shows it. `exit` is how its process before ended, `age_s` how long it serves by now."""

    index: int
    pid: int | None
    state: WorkerState
    restarts: int
    reason: str
    socket: str
    started_s: float | None
    recycled: int = 0
    exit: Exit | None = None
    age_s: float | None = None


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """One service as `status` shows it. `workers` are those that it should have, then those that come or go."""

    name: str
    state: ServiceState
    ready: int
    wanted: int
    reason: str
    workers: tuple[WorkerStatus, ...]
