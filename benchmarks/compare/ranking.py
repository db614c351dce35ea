"""Which of a peer's settings is the best at a load."""

from __future__ import annotations

import statistics
from collections import defaultdict

from compare.measuring import Seen

KEEPS_UP = 0.97
"""Of what an open loop offers."""


def best(seen: list[Seen], workload: str, peer: str, load: str) -> list[str]:
    """A peer's settings, the best first: by answers a second; where those are given, by the tail."""
    groups: dict[str, list[Seen]] = defaultdict(list)
    for one in seen:
        if (one.workload, one.peer, one.load) == (workload, peer, load):
            groups[one.setting].append(one)
    return sorted(groups, key=lambda setting: _badness(groups[setting]))


def _badness(seen: list[Seen]) -> tuple[bool, float]:
    rate = statistics.median(one.rate for one in seen)
    offered = seen[0].offered
    if offered:
        return rate < KEEPS_UP * offered, statistics.median(one.p99 for one in seen)
    return False, -rate
