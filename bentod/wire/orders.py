"""What the daemon and a worker tell each other. A file of its own, because every worker waits for its import."""

from __future__ import annotations

import typing
from dataclasses import dataclass, field
from typing import Any

from bentod.wire.values import pack, unpack

# ── daemon → worker ──────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Setup:
    """A worker's orders, sent once. `methods` are those that the APIs call; `socket` is where it shall listen.

    `expected` are exceptions, as `module:Class`, that need no traceback in the log. `inspect` asks only for an import
    and the methods' signatures: nothing is constructed, no socket is opened. `gateways` will connect.

    `objects` is a folder of files named by the SHA-256 of their content. What the worker imports from the project is
    kept there. `pins` maps project files to such names: these are imported as they were then, whatever the project's
    folder holds by now.
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
    gateways: int = 1
    expected: tuple[str, ...] = ()
    inspect: bool = False
    objects: str = ""
    pins: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Drain:
    """Finish what was taken, then stop; what is left after `timeout_s` is abandoned.

    Somebody else serves on the same sockets already if `linger_s` is given: then a gateway still answers, for so long,
    what comes on the connections that it has, and lets each of them end with an answer.
    """

    timeout_s: float
    linger_s: float = 0.0


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
    """The worker listens on its socket and can serve. `files` are the project's files that it has imported, as paths
    from the project's folder, each with the SHA-256 of its content."""

    methods: tuple[Method, ...]
    seconds: float
    files: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Failed:
    """The worker cannot start. `stage`: `import`, `construct`, `method` or `start hook`; `traceback`: the user's;
    `files`: see Ready, with those whose import failed. `device`: what its GPU did to it, if that is why; see
    DeviceFailed."""

    stage: str
    error: str
    traceback: str = ""
    files: dict[str, str] = field(default_factory=dict)
    device: str = ""


@dataclass(frozen=True, slots=True)
class DeviceFailed:
    """The worker has lost its GPU, such as by `device-side assert triggered`, and ends itself: no CUDA call of this
    process works any more."""

    text: str


@dataclass(frozen=True, slots=True)
class Imported:
    """The worker has imported more since: all its `files`, see Ready."""

    files: dict[str, str]


@dataclass(frozen=True, slots=True)
class Probed:
    """What the `ready` hook said."""

    ok: bool
    reason: str = ""


Order = Setup | Drain | Probe | Ready | Failed | DeviceFailed | Imported | Probed
_CLASSES: dict[str, type[Any]] = {cls.__name__: cls for cls in typing.get_args(Order)}


def encode(order: Order) -> bytes:
    """One order or report as MessagePack. Raises WireError for a value that MessagePack cannot hold."""
    return pack(order)


def decode(data: bytes | memoryview) -> Order:
    """The order or report in `data`. Raises WireError for anything else."""
    found: Order = unpack(data, _CLASSES)
    return found
