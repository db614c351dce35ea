"""What gateways count and learn while they serve, as the daemon hears it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Ceiling:
    """Batches of this API in this pool hold at most `most` calls, or rows, since one ran out of memory `at` some size;
    0: they may be of any size again. What one gateway says, the others are told with their routes."""

    service: str
    pool: str
    api: str
    most: int
    at: int


@dataclass(frozen=True, slots=True)
class ApiStats:
    """What one gateway counted for one API since it started. `codes` maps a problem code, or `ok`, to a count;
    `batched` calls were sent to workers in `batches`. `most` and `at`: see Ceiling."""

    name: str
    waiting: int
    running: int
    codes: dict[str, int]
    batches: int = 0
    batched: int = 0
    most: int = 0
    at: int = 0


@dataclass(frozen=True, slots=True)
class Stats:
    """The answer to StatsRequest `number`. `workers` maps a worker's pid to the calls it answered."""

    number: int
    apis: tuple[ApiStats, ...]
    workers: dict[str, int]
    connections: int
