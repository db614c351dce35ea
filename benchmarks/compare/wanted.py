"""What bentod should reach, and whether a session showed it."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import dataclass

from compare.measuring import Seen
from compare.summary import OURS, ahead, alone, of, spread

SHARE, SLOWER, SLOWER_MS = 0.95, 1.15, 0.5
OVER_BENTOML = {"echo": 25.0, "embed": 1.2}
LOADS = {"echo": ("1", "16", "64"), "embed": ("32",)}
ONE_WORKER = "1w"


@dataclass(frozen=True)
class Verdict:
    """A claim, what was seen, and whether that is enough."""

    claim: str
    seen: str
    good: bool


def verdicts(seen: list[Seen], workload: str) -> Iterator[Verdict]:
    """Those claims for which there is something to look at."""
    for load in LOADS.get(workload, ()):
        for peer, wanted in (("mosec", 1.0), ("bentoml", OVER_BENTOML[workload])):
            if peer == "bentoml" and load == "1":
                continue
            factor = ahead(of(seen, workload, OURS, load), of(seen, workload, peer, load))
            if factor:
                shown = f"x {factor.median:.2f} [{factor.least:.2f}-{factor.most:.2f}]"
                claim = f"{workload}, {load} connections: at least {wanted:g} x {peer}'s best setting"
                yield Verdict(claim, shown, factor.median >= wanted)
    if workload == "embed":
        yield from _beside_the_model(seen)
        yield from _windows(seen)


def _beside_the_model(seen: list[Seen]) -> Iterator[Verdict]:
    """One worker, because the model alone has one process."""
    best, single = alone(seen, "embed"), alone(seen, "embed", "batch 1")
    full, lonely = of(seen, "embed", OURS, "32", ONE_WORKER), of(seen, "embed", OURS, "1", ONE_WORKER)
    factor = ahead(full, best)
    if factor:
        shown = f"x {factor.median:.2f} [{factor.least:.2f}-{factor.most:.2f}] of {best[0].setting}"
        claim = f"embed, 32 connections: at least {SHARE:.0%} of the model alone at its best size of batch"
        yield Verdict(claim, shown, factor.median >= SHARE)
    if lonely and single:
        ours, model = (statistics.median(one.p50 for one in column) for column in (lonely, single))
        claim = f"embed, 1 connection: p50 within {SLOWER - 1:.0%} + {SLOWER_MS} ms of the model alone"
        yield Verdict(claim, f"{ours:.2f} ms, alone {model:.2f} ms", ours <= model * SLOWER + SLOWER_MS)


def _windows(seen: list[Seen]) -> Iterator[Verdict]:
    """Against every setting of Mosec that waits for batches; keep all settings to see all of them."""
    ours = of(seen, "embed", OURS, "50%", ONE_WORKER)
    for setting in sorted({one.setting for one in seen if one.peer == "mosec" and one.setting.startswith("1w batch")}):
        theirs = [one for one in of(seen, "embed", "mosec", "50%", setting) if one.setting == setting]
        if ours and theirs:
            mine, other = (spread([one.p99 for one in column]).median for column in (ours, theirs))
            claim = f"embed, 50 % of capacity: p99 lower than with Mosec's {setting}"
            yield Verdict(claim, f"{mine:.1f} ms, Mosec {other:.1f} ms", mine < other)
