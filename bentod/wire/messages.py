"""What the daemon, the gateways and the workers tell each other: frozen values ⇄ MessagePack.

A message travels as the array `[class name, {field: value}]`. Values nest; an unknown class, an unknown field or a
missing field is a WireError, so two processes of different versions cannot misunderstand each other silently.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from dataclasses import dataclass, field
from typing import Any

import msgpack

from bentod.errors import WireError

# ── daemon → worker ──────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Setup:
    """A worker's orders, sent once. `methods` are those that the APIs call; `socket` is where it shall listen.

    `expected` are exceptions, as `module:Class`, that need no traceback in the log. `inspect` asks only for an import
    and the methods' signatures: nothing is constructed, no socket is opened.
    """

    service: str
    index: int
    target: str
    project: str
    methods: tuple[str, ...]
    socket: str = ""
    init: dict[str, Any] = field(default_factory=dict)
    hooks: dict[str, str] = field(default_factory=dict)
    threads: int = 1
    concurrency: int = 100
    expected: tuple[str, ...] = ()
    inspect: bool = False


@dataclass(frozen=True, slots=True)
class Drain:
    """Finish what was taken, then stop; what is left after `timeout_s` is abandoned."""

    timeout_s: float


@dataclass(frozen=True, slots=True)
class Probe:
    """Ask the `ready` hook."""


# ── worker → daemon ──────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a callable. `kind` is the name of an `inspect` parameter kind, such as `KEYWORD_ONLY`."""

    name: str
    kind: str
    required: bool


@dataclass(frozen=True, slots=True)
class Method:
    """One callable of a service, as it was found. `parameters` is None where Python cannot tell them.

    `style` is `sync`, `async`, `generator` or `async generator`.
    """

    name: str
    style: str
    parameters: tuple[Parameter, ...] | None


@dataclass(frozen=True, slots=True)
class Ready:
    """The worker listens on its socket and can serve."""

    methods: tuple[Method, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class Failed:
    """The worker cannot start. `stage`: `import`, `construct`, `method` or `start hook`; `traceback`: the user's."""

    stage: str
    error: str
    traceback: str = ""


@dataclass(frozen=True, slots=True)
class Probed:
    """What the `ready` hook said."""

    ok: bool
    reason: str = ""


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
    them (`$ref: "#/types/NAME"` points into the table's `types`); `errors` maps `module:Class` to a status."""

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
    """One service as the gateways see it. `admit`: whether calls may wait for a worker although none is ready."""

    name: str
    state: str
    wanted: int
    workers: tuple[WorkerRoute, ...]
    admit: bool
    methods: tuple[Method, ...] = ()
    reason: str = ""
    stop_timeout_s: float = 30.0


@dataclass(frozen=True, slots=True)
class RouteTable:
    """All that a gateway needs. `number` grows with every push; `generation` with every applied plan."""

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


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """A gateway's orders, sent once, together with the listening sockets: the limits of its connections.

    `access_log` is `text`, `json` or `off`; `access_file` is where its lines go, stderr if it is empty.
    """

    index: int
    header_timeout_s: float
    body_timeout_s: float
    keep_alive_s: float
    access_log: str
    access_file: str


@dataclass(frozen=True, slots=True)
class StatsRequest:
    """Ask a gateway what it counted."""

    number: int


# ── gateway → daemon ─────────────────────────────────────────────────────────────────────────────


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


@dataclass(frozen=True, slots=True)
class ApiStats:
    """What one gateway counted for one API since it started. `codes` maps a problem code, or `ok`, to a count."""

    name: str
    waiting: int
    running: int
    codes: dict[str, int]


@dataclass(frozen=True, slots=True)
class Stats:
    """The answer to StatsRequest `number`. `workers` maps a worker's pid to the calls it answered."""

    number: int
    apis: tuple[ApiStats, ...]
    workers: dict[str, int]
    connections: int


Message = (
    Setup | Drain | Probe | Ready | Failed | Probed | RouteTable | ServerLimits | StatsRequest | Acknowledged | Drained
    | Unusable | Stats
)  # fmt: skip
_CLASSES: dict[str, type[Any]] = {cls.__name__: cls for cls in typing.get_args(Message)}


def encode(message: Message) -> bytes:
    """One message as MessagePack. Raises WireError for a value that MessagePack cannot hold."""
    try:
        return bytes(msgpack.packb([type(message).__name__, dataclasses.asdict(message)]))
    except (TypeError, ValueError, OverflowError) as error:
        raise WireError(f"cannot send {type(message).__name__}: {error}") from error


def decode(data: bytes | memoryview) -> Message:
    """The message in `data`. Raises WireError for anything that `encode` does not make."""
    try:
        name, fields = msgpack.unpackb(data, strict_map_key=False)
        return _build(_CLASSES[name], fields)  # type: ignore[no-any-return]
    except (ValueError, KeyError, TypeError, AttributeError, msgpack.UnpackException) as error:
        raise WireError(f"unknown message: {type(error).__name__} {error}") from error


def _build(kind: Any, value: Any) -> Any:
    """`value`, decoded from MessagePack, as the annotated `kind`: dataclasses and tuples of them are rebuilt."""
    if dataclasses.is_dataclass(kind):
        return kind(**{key: _build(_hints(kind)[key], item) for key, item in value.items()})  # type: ignore[operator]
    if isinstance(kind, types.UnionType):
        return None if value is None else _build(typing.get_args(kind)[0], value)
    if typing.get_origin(kind) is tuple:
        return tuple(_build(typing.get_args(kind)[0], item) for item in value)
    return value


_HINTS: dict[Any, dict[str, Any]] = {}


def _hints(kind: Any) -> dict[str, Any]:
    if kind not in _HINTS:
        _HINTS[kind] = typing.get_type_hints(kind)
    return _HINTS[kind]
