"""What a session has shown: at each load each peer's best setting beside bentod's, with the spread over the rounds."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from compare.measuring import Seen
from compare.ranking import best

OURS, IN_PROCESS, CALLS = "bentod", "in-process", "calls"


@dataclass(frozen=True)
class Spread:
    """A median, and between what it lies."""

    median: float
    least: float
    most: float


@dataclass(frozen=True)
class Cell:
    """A peer at a load, with its best setting. `ahead` is by what factor bentod is better: in throughput, or where
    that is given in the 99th percentile of latency."""

    workload: str
    load: str
    peer: str
    setting: str
    rate: Spread
    p50: Spread
    p99: Spread
    cpu_us: float
    offered: float
    ahead: Spread | None


def spread(values: list[float]) -> Spread:
    return Spread(statistics.median(values), min(values), max(values))


def cells(seen: list[Seen], workload: str) -> list[Cell]:
    """Every load and peer that was measured in a round, in the order of `seen`'s loads."""
    measured = [one for one in seen if one.workload == workload and one.round and one.load != CALLS]
    found = []
    for load in sorted({one.load for one in measured}, key=lambda load: (load.endswith("%"), int(load.rstrip("%")))):
        peers = sorted({one.peer for one in measured if one.load == load}, key=lambda peer: (peer != OURS, peer))
        ours = of(measured, workload, OURS, load)
        found += [cell(of(measured, workload, peer, load), ours) for peer in peers]
    return found


def of(seen: list[Seen], workload: str, peer: str, load: str, settings: str = "") -> list[Seen]:
    """The measurements of a peer's best setting; of those that begin so."""
    kept = [one for one in seen if one.round and one.setting.startswith(settings)]
    chosen = best(kept, workload, peer, load)[:1]
    return [
        one for one in kept if (one.workload, one.peer, one.load) == (workload, peer, load) and one.setting in chosen
    ]


def cell(mine: list[Seen], ours: list[Seen]) -> Cell:
    first = mine[0]
    return Cell(
        first.workload,
        first.load,
        first.peer,
        first.setting,
        spread([one.rate for one in mine]),
        spread([one.p50 for one in mine]),
        spread([one.p99 for one in mine]),
        statistics.median(one.cpu_us for one in mine),
        first.offered,
        None if first.peer == OURS else ahead(ours, mine),
    )


def ahead(ours: list[Seen], theirs: list[Seen]) -> Spread | None:
    """By what factor the first are better, round by round; None if they share no round."""
    other = {one.round: one for one in theirs}
    if theirs and theirs[0].offered:
        factors = [other[one.round].p99 / one.p99 for one in ours if one.round in other]
    else:
        factors = [one.rate / other[one.round].rate for one in ours if one.round in other and other[one.round].rate]
    return spread(factors) if factors else None


def alone(seen: list[Seen], workload: str, setting: str = "") -> list[Seen]:
    """The work without a server, at its best size of batch or a given one."""
    measured = [one for one in seen if one.round]
    chosen = [setting] if setting else best(measured, workload, IN_PROCESS, CALLS)[:1]
    return [one for one in measured if (one.workload, one.peer) == (workload, IN_PROCESS) and one.setting in chosen]
