"""The Plan: what will run on this host, decided completely. Values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from bentod.plan.grants import NOTHING, Grant, Needs
from bentod.plan.models import Located
from bentod.wire.messages import ApiRoute


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """Exponential back-off with jitter; more than `limit` restarts within `window_s` are given up."""

    delay_s: float
    factor: float
    max_delay_s: float
    window_s: float
    limit: int


@dataclass(frozen=True, slots=True)
class RecyclePolicy:
    """When a worker is replaced although nothing is wrong with it: after so many calls, so long (with some jitter),
    or with so much memory (proportional set size in bytes). None: never for that reason."""

    max_calls: int | None
    max_age_s: float | None
    max_memory: int | None


@dataclass(frozen=True, slots=True)
class ReloadPlan:
    """What is watched besides the spec, its `env_files` and what the workers import, and how soon a change is acted
    on. `include` and `exclude` are patterns as in a `.gitignore`."""

    watch: bool = True
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    debounce_s: float = 0.3


@dataclass(frozen=True, slots=True)
class WorkerPlan:
    """What differs between the workers of one service. `environ` is complete; `grant` is what it has of the host, empty
    if no host was looked at."""

    index: int
    init: Mapping[str, Any]
    environ: Mapping[str, str]
    grant: Grant = NOTHING


@dataclass(frozen=True, slots=True)
class ServicePlan:
    """A pool of workers, to which `gateways` connect. `expected` are the exceptions, as `module:Class`, that its APIs
    map to a status.

    `init` and `env` are what the spec says to all workers alike: the worker's index and the paths of models are not
    filled in, and what the daemon's own environment adds is left out. `models` are those whose paths they name; None is
    one that does not lie on this host. `implied`: no section of the spec describes it, an API's `target` does.

    `needs` is what the spec promises each worker of the host, None if nothing. `auto`: the number of workers follows
    from the host; where none was looked at there is one. `hidden`: its workers see no GPU.
    """

    name: str
    target: str
    methods: tuple[str, ...]
    hooks: Mapping[str, str]
    expected: tuple[str, ...]
    threads: int
    concurrency: int
    start_timeout_s: float
    stop_timeout_s: float
    restart: RestartPolicy
    workers: tuple[WorkerPlan, ...]
    gateways: int = 1
    recycle: RecyclePolicy | None = None
    reload: Literal["auto", "overlap", "stop_first"] = "auto"
    init: Mapping[str, Any] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    implied: bool = False
    models: Mapping[str, Located | None] = field(default_factory=dict)
    needs: Needs | None = None
    auto: bool = False
    hidden: bool = False

    @property
    def movable(self) -> bool:
        """Whether its next workers may start on other GPUs, beside those that run."""
        return self.reload == "auto" and not self.auto and any(worker.grant.shares for worker in self.workers)


@dataclass(frozen=True, slots=True)
class ServerPlan:
    """The public side."""

    listen: tuple[str, ...]
    path_prefix: str
    gateways: int
    header_timeout_s: float
    body_timeout_s: float
    keep_alive_s: float
    drain_timeout_s: float
    docs: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that a generation is made from."""

    name: str
    version: str
    description: str
    labels: Mapping[str, str]
    project: Path
    types: Mapping[str, Any]
    services: tuple[ServicePlan, ...]
    apis: tuple[ApiRoute, ...]
    server: ServerPlan
    reload: ReloadPlan = ReloadPlan()
    models: Mapping[str, Located | None] = field(default_factory=dict)
