"""How long it takes to decide who gets which GPU: `python benchmarks/place.py [--mixes N] [--json FILE]`.

Services of every shape on a host with 64 GPUs of three kinds and 256 CPUs, 200 or as many as fit, in random mixes:

- `fits`: everything has room.        `whole`: only whole GPUs, for workers with one to four.
- `full`: more is wanted than there is.
- `again`: all of them run, and nothing changes.   `more`: all but ten run; ten are added, and others may have to move.
- `lost`: all of them run, and four GPUs are gone.

Times are those of the processor, so that what else the machine does counts for little. Exits with 1 if one of them
took longer than it may.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).parents[1]))

from bentod.plan.devices import place
from bentod.plan.grants import Demand, Needs, Placement
from bentod.plan.inventory import Device, GpuProcess, Inventory

GIB = 1024**3
GPUS, SERVICES = 64, 200
KINDS = (("NVIDIA A10", 24), ("NVIDIA A100-SXM4-80GB", 80), ("NVIDIA H100 80GB HBM3", 80))
LIMIT_S = 0.1


@dataclass(frozen=True)
class Row:
    """What some mixes came to, in seconds. `lacking` are services, of all mixes, `moved` those that ran elsewhere."""

    what: str
    mixes: int
    services: float
    workers: float
    median_s: float
    worst_s: float
    lacking: int
    moved: int


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--mixes", type=int, default=50)
    options.add_argument("--only", nargs="+", choices=MEASURES, default=list(MEASURES))
    options.add_argument("--json", type=Path, help="write the figures here")
    args = options.parse_args()
    print(f"{'mixes that':10} {'services':>9} {'workers':>8} {'median':>9} {'worst':>9} {'lacking':>8} {'moved':>6}")
    rows = []
    for name in args.only:
        row = measured(name, [MEASURES[name](Random(seed)) for seed in range(args.mixes)])
        rows.append(row)
        times = f"{row.median_s * 1000:6.1f} ms {row.worst_s * 1000:6.1f} ms"
        print(f"{name:10} {row.services:9.0f} {row.workers:8.0f} {times} {row.lacking:8} {row.moved:6}")
    if args.json:
        args.json.write_text(json.dumps([asdict(row) for row in rows], indent=2))
    return int(any(row.worst_s > LIMIT_S for row in rows))


Mix = tuple[list[Demand], Inventory, dict]


def measured(what: str, mixes: Sequence[Mix]) -> Row:
    """Each mix once, after one that does not count."""
    place(*mixes[0])
    times, found = [], []
    for mix in mixes:
        gc.collect()
        start = time.process_time()
        found.append(place(*mix))
        times.append(time.process_time() - start)
    return Row(
        what,
        len(mixes),
        statistics.mean(len(demands) for demands, _, _ in mixes),
        statistics.mean(sum(one.workers or 1 for one in demands) for demands, _, _ in mixes),
        statistics.median(times),
        max(times),
        sum(len(one.lacks) for one in found),
        sum(moved(one, mix[2]) for one, mix in zip(found, mixes, strict=True)),
    )


def moved(found: Placement, held: dict) -> int:
    """Services that lose what they had."""
    return sum(
        any(old.shares != new.shares for old, new in zip(grants, found.grants.get(name, ()), strict=False))
        for name, grants in held.items()
    )


def some_host(random: Random) -> Inventory:
    """Runs of GPUs of each kind; somebody computes on one in ten."""
    devices = []
    for index in range(GPUS):
        name, size = KINDS[(index // 8 + random.randrange(3) * (index % 8 == 0)) % 3]
        strange = (GpuProcess(1000 + index, "python", random.randint(1, 8) * GIB),) if random.random() < 0.1 else ()
        devices.append(Device(f"GPU-{index:08x}", name, size * GIB, str(index), processes=strange))
    return Inventory(256, tuple(range(256)), 2048 * GIB, tuple(devices), "ok")


def service(random: Random, number: int, whole: float, scale: float) -> Demand:
    """A service of any shape; `whole` is how likely it wants whole GPUs, `scale` how much others want."""
    kind = random.choice((None, None, None, "*A10", "*H100*", "*80GB*"))
    cpus = random.choice((None, 0.5, 1, 2))
    if random.random() < whole:
        needs = Needs(cpus, 2 * GIB, random.choice((1, 1, 2, 4)), random.choice((None, 20 * GIB)), kind)
        return Demand(f"s{number}", needs, 1)
    if random.random() < 0.3:
        needs = Needs(cpus, GIB, None, int(random.randint(1, 8) * scale * GIB), kind)
    else:
        part = random.choice((0.05, 0.1, 0.15, 0.2, 0.25)) * scale
        needs = Needs(cpus, None, part, random.choice((None, None, GIB, 3 * GIB)), kind)
    return Demand(f"s{number}", needs, random.choice((1, 1, 1, 2, 3)))


def full(random: Random) -> Mix:
    """More than there is room for."""
    return [service(random, number, 0.1, 1.6) for number in range(SERVICES)], some_host(random), {}


def fits(random: Random, whole: float = 0.03, most: int = SERVICES) -> Mix:
    """As many services as have room."""
    inventory, wanted = some_host(random), [service(random, number, whole, 1.0) for number in range(2 * most)]
    found: list[Demand] = []
    for size in (most, most // 4, most // 16, 0):
        found += [wanted.pop() for _ in range(size)]
        while (placed := place(found, inventory)).lacks:
            found = [one for one in found if one.service in placed.grants][:most]
    return found, inventory, {}


def whole(random: Random) -> Mix:
    """Whole GPUs only: as many services as have room."""
    return fits(random, 1.0)


def again(random: Random) -> Mix:
    """All run."""
    demands, inventory, _ = fits(random)
    return demands, inventory, dict(place(demands, inventory).grants)


def more(random: Random) -> Mix:
    """All but ten run, with room made by chance."""
    demands, inventory, _ = fits(random)
    random.shuffle(demands)
    return demands, inventory, dict(place(demands[10:], inventory).grants)


def lost(random: Random) -> Mix:
    """All run, and four GPUs are gone."""
    demands, inventory, held = again(random)
    devices = random.sample(inventory.devices, GPUS - 4)
    return demands, replace(inventory, devices=tuple(devices)), held


MEASURES: dict[str, Callable[[Random], Mix]] = {
    "fits": fits,
    "whole": whole,
    "full": full,
    "again": again,
    "more": more,
    "lost": lost,
}

if __name__ == "__main__":
    sys.exit(main())
