"""What the daemon and its children tell each other: the orders of workers, and the route tables of gateways."""

from __future__ import annotations

import typing
from dataclasses import dataclass, field
from typing import Any

from bentod.wire.counted import ApiStats, Ceiling, Stats
from bentod.wire.orders import (
    DeviceFailed,
    Drain,
    Failed,
    Imported,
    Method,
    Order,
    Parameter,
    Probe,
    Probed,
    Ready,
    Setup,
)
from bentod.wire.values import pack, unpack

# ── daemon → gateway ─────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Example:
    """One example of an API. `has_output` tells a missing output from `null`."""

    name: str
    input: Any
    output: Any = None
    has_output: bool = False
    tolerance: float | None = None


@dataclass(frozen=True, slots=True)
class ApiRoute:
    """One API, complete. `path` holds the path prefix; `input` and `output` are the JSON Schemas as the user wrote
    them (`$ref: "#/types/NAME"` points into the table's `types`); `errors` maps `module:Class` to a status;
    `stream` is `sse`, `ndjson`, `raw` or empty; `stream_idle_s` bounds the time between two chunks.

    `takes` is what the callable expects: `item`, `columns`, `items` or `rows`. `max_size` is 0 if calls are not
    batched; `max_delay_s` is how long a part of a batch may be held. `concurrency` slots at once, 0 for all.
    `priority` is the level of its calls, 1 first; a client's header may ask for any from `highest` on."""

    name: str
    service: str
    method: str
    path: str
    input: Any = True
    output: Any = True
    summary: str = ""
    description: str = ""
    tags: tuple[str, ...] = ()
    deprecated: bool = False
    timeout_s: float = 30.0
    queue: int = 256
    max_body: int = 16 * 1024 * 1024
    retry: bool = True
    errors: dict[str, int] = field(default_factory=dict)
    output_check: bool = True
    stream: str = ""
    stream_idle_s: float = 60.0
    takes: str = "item"
    max_size: int = 0
    max_delay_s: float = 0.0
    concurrency: int = 0
    priority: int = 5
    highest: int = 5
    examples: tuple[Example, ...] = ()


@dataclass(frozen=True, slots=True)
class WorkerRoute:
    """One ready worker; `threads` synchronous calls and `concurrency` calls of `async def` methods run at once."""

    index: int
    pid: int
    socket: str
    threads: int
    concurrency: int


@dataclass(frozen=True, slots=True)
class ServiceRoute:
    """The pool of one service as the gateways see it. `admit`: whether calls may wait for a worker although none is
    ready.

    `pool` tells apart the pools that a service had over time: workers of one pool run the same code with the same
    settings. A pool that is `retiring` gets no new calls: it finishes what waits for it, then its workers are let go.
    `ceilings` are what gateways have learned of its batches.
    """

    name: str
    state: str
    wanted: int
    workers: tuple[WorkerRoute, ...]
    admit: bool
    methods: tuple[Method, ...] = ()
    reason: str = ""
    stop_timeout_s: float = 30.0
    pool: str = ""
    retiring: bool = False
    ceilings: tuple[Ceiling, ...] = ()


@dataclass(frozen=True, slots=True)
class RouteTable:
    """All that a gateway needs. `number` grows with every push; `generation` with every applied plan. `services` are
    the pool that each service has now, and those that are retiring."""

    number: int
    generation: int
    name: str
    version: str
    description: str
    path_prefix: str
    docs: bool
    types: dict[str, Any]
    apis: tuple[ApiRoute, ...]
    services: tuple[ServiceRoute, ...]
    labels: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """A gateway's orders, sent together with the listening sockets: the limits of its connections. Sent again, they
    change these limits only: the time-outs.

    It is number `index` of `gateways`. `access_log` is `text`, `json` or `off`; `access_file` is where its lines go,
    stderr if it is empty. `files` is the folder, for all gateways, of calls that have files.
    """

    index: int
    gateways: int
    header_timeout_s: float
    body_timeout_s: float
    keep_alive_s: float
    access_log: str
    access_file: str
    files: str


@dataclass(frozen=True, slots=True)
class StatsRequest:
    """Ask a gateway what it counted."""

    number: int


@dataclass(frozen=True, slots=True)
class Rehearse:
    """Have each worker of `table` answer the examples of its service's APIs: before it gets calls, so that a worker
    that cannot answer never does, and no caller waits for what is slow only once. Nothing else of the gateway
    changes."""

    number: int
    table: RouteTable


# ── gateway → daemon ─────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class ExampleFailure:
    """An example that a worker did not answer as it says; `text` are the lines that say how."""

    api: str
    example: str
    text: str


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """The answer to Rehearse `number`: `examples` were tried, these failed."""

    number: int
    examples: int
    failures: tuple[ExampleFailure, ...] = ()


@dataclass(frozen=True, slots=True)
class Killed:
    """A worker died while it ran this call, and nothing besides it that is known; `deaths` are the workers that this
    call has met its end with so far."""

    service: str
    pid: int
    api: str
    request_id: str
    deaths: int


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The gateway uses table `number` from now on."""

    number: int


@dataclass(frozen=True, slots=True)
class Drained:
    """The gateway has answered every call that it took; `abandoned` were cut off."""

    abandoned: int


@dataclass(frozen=True, slots=True)
class Unusable:
    """A worker that should be replaced, and why: it holds a call far beyond its deadline, or its link broke."""

    service: str
    pid: int
    reason: str


Heard = Unusable | Killed | Ceiling
"""What a gateway says without being asked."""

Message = (
    Order
    | RouteTable
    | ServerLimits
    | StatsRequest
    | Rehearse
    | Acknowledged
    | Drained
    | Rehearsed
    | Killed
    | Unusable
    | Ceiling
    | Stats
)
_CLASSES: dict[str, type[Any]] = {cls.__name__: cls for cls in typing.get_args(Message)}


def encode(message: Message) -> bytes:
    """One message as MessagePack. Raises WireError for a value that MessagePack cannot hold."""
    return pack(message)


def decode(data: bytes | memoryview) -> Message:
    """The message in `data`. Raises WireError for anything that `encode` does not make."""
    found: Message = unpack(data, _CLASSES)
    return found


__all__ = [
    "Acknowledged",
    "ApiRoute",
    "ApiStats",
    "Ceiling",
    "DeviceFailed",
    "Drain",
    "Drained",
    "Example",
    "ExampleFailure",
    "Failed",
    "Heard",
    "Imported",
    "Killed",
    "Message",
    "Method",
    "Parameter",
    "Probe",
    "Probed",
    "Ready",
    "Rehearse",
    "Rehearsed",
    "RouteTable",
    "ServerLimits",
    "ServiceRoute",
    "Setup",
    "Stats",
    "StatsRequest",
    "Unusable",
    "WorkerRoute",
    "decode",
    "encode",
]
