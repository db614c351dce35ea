"""What a worker is given besides its plan: what its pool shares, and what it inherits."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from bentod.supervise.devices import NO_DEVICES, Devices
from bentod.supervise.exit import KillCounter
from bentod.supervise.life import Launcher
from bentod.supervise.limits import Limits
from bentod.wire.messages import Method, WorkerRoute


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the workers of a pool share. `pins` are the files that the next process must import, `rehearse` has a
    worker answer the examples (empty: it did), `live` tells whether the pool has gone live, `changed` is called after
    every move, `log` with each event and its keys. `limits` holds processes to what they were granted,
    `devices` knows the GPUs."""

    launcher: Launcher
    project: str
    objects: str
    pins: Callable[[], Mapping[str, str]]
    rehearse: Callable[[WorkerRoute, tuple[Method, ...]], Awaitable[str]]
    live: Callable[[], bool]
    changed: Callable[[], None]
    log: Callable[..., None]
    jitter: Callable[[], float]
    kills: KillCounter
    limits: Limits = field(default_factory=Limits)
    devices: Devices = NO_DEVICES


@dataclass(slots=True)
class History:
    """What a successor inherits: the times of restarts, how many starts in a row did not last, and how often a worker
    was recycled."""

    restarts: list[float] = field(default_factory=list)
    unsettled: int = 0
    recycled: int = 0
