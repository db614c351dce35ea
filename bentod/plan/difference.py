"""What lies between two plans, and how to get from one to the other: values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from bentod.plan.allotment import Allotment

Action = Literal["keep", "live", "restart", "add", "remove"]
Verdict = Literal["same", "compatible", "breaking", "added", "removed"]
Mode = Literal["overlap", "one_by_one", "stop_first"]


@dataclass(frozen=True, slots=True)
class Cause:
    """What forces an action: a `key` of the spec such as `services.x.threads`, a `file` of the project, or the `state`
    of what runs (a service that has failed). `before` and `after` are for people: short, and never a secret."""

    kind: Literal["key", "file", "state"]
    name: str
    before: str = ""
    after: str = ""


@dataclass(frozen=True, slots=True)
class ServiceChange:
    """What happens to one service."""

    name: str
    action: Action
    causes: tuple[Cause, ...] = ()


@dataclass(frozen=True, slots=True)
class GatewayChange:
    """What happens to the gateways: `keep`, `live` (new limits and routes), or `restart`."""

    action: Action
    causes: tuple[Cause, ...] = ()


@dataclass(frozen=True, slots=True)
class ApiCause:
    """One thing in which an API differs for its callers. `pointer` is a JSON Pointer into the API's section of the
    spec, such as `/input/properties/n/maximum`."""

    pointer: str
    message: str
    breaking: bool


@dataclass(frozen=True, slots=True)
class ApiChange:
    """What a change means for the callers of one API."""

    name: str
    verdict: Verdict
    causes: tuple[ApiCause, ...] = ()

    @property
    def breaking(self) -> bool:
        """Whether callers that are right today may be wrong afterwards."""
        return self.verdict in {"breaking", "removed"}


@dataclass(frozen=True, slots=True)
class Difference:
    """All that lies between what runs and what is wanted. Every service and API of either is named once."""

    services: tuple[ServiceChange, ...]
    apis: tuple[ApiChange, ...]
    gateways: GatewayChange
    documents: tuple[Cause, ...] = ()
    """Keys that only change what is said: names, versions, descriptions, types."""

    @property
    def empty(self) -> bool:
        """Whether there is nothing to do."""
        return (
            all(service.action == "keep" for service in self.services)
            and all(api.verdict == "same" and not api.causes for api in self.apis)
            and self.gateways.action == "keep"
            and not self.documents
        )

    @property
    def breaking(self) -> tuple[ApiChange, ...]:
        """The APIs whose callers it may break."""
        return tuple(api for api in self.apis if api.breaking)

    def of(self, service: str) -> ServiceChange:
        """What happens to a service. Raises LookupError."""
        return next(change for change in self.services if change.name == service)


@dataclass(frozen=True, slots=True)
class Usage:
    """What one running service needs, as it was measured: bytes (proportional set size) of each worker, and how long
    the last start of one took, None if there was none. `gpus`: by the UUID of a GPU, the bytes that each of its workers
    there has."""

    workers: tuple[int, ...] = ()
    start_s: float | None = None
    gpus: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Step:
    """How one service gets from the old to the new. `gap_s`: for how long, going by its last start, none of its
    workers serves; 0 for no gap, None if it is not known. `reason` says why in this way."""

    service: str
    mode: Mode
    reason: str
    gap_s: float | None = 0.0


@dataclass(frozen=True, slots=True)
class GpuBudget:
    """What the overlap costs on one GPU in bytes: what it has in all, what is free now (None: the driver does not
    tell), what our workers have there as it was measured (0: nothing is known), and how much more is expected
    meanwhile."""

    uuid: str
    name: str
    memory: int
    free: int | None
    running: int
    expected: int


@dataclass(frozen=True, slots=True)
class Budget:
    """What the overlap costs in bytes. `available` is what this host has left, None where it does not tell. `gpus` are
    those that workers have, or are to have."""

    available: int | None
    running: int
    expected: int
    gpus: tuple[GpuBudget, ...] = ()


@dataclass(frozen=True, slots=True)
class Proposal:
    """What a change would do. `base` is the generation that runs (0: none, or a git revision is compared), `state`
    stands for what exactly it was compared with and for what is on disk: a saved proposal whose `state` is another
    by now says nothing any more. `allotment` is what the workers get of the host, None if nothing was asked of it."""

    base: int
    state: str
    difference: Difference
    budget: Budget
    steps: tuple[Step, ...]
    allotment: Allotment | None = None
