"""How many CPUs this process may use, and which: its affinity, and the quotas of the control groups around it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterator
from pathlib import Path

from bentod.inventory.cgroups import groups, number


def cpus(root: Path = Path("/"), affinity: Collection[int] | None = None) -> tuple[float, tuple[int, ...]]:
    """How many at once, such as 1.5, and the numbers of those that it may run on (None: ask the system).

    Source: the kernel's manuals of cgroups (`cpu.max`; `cpu.cfs_quota_us`), sched_setaffinity(2).
    """
    ids = tuple(sorted(os.sched_getaffinity(0) if affinity is None else affinity))
    return min([float(len(ids)), *_quotas(root)]), ids


def _quotas(root: Path) -> Iterator[float]:
    """How many CPUs each control group allows."""
    second, first = groups(root, "cpu")
    for folder in second:
        with contextlib.suppress(OSError, ValueError):
            quota, period = (folder / "cpu.max").read_text().split()
            if quota != "max" and int(period) > 0 and int(quota) > 0:
                yield int(quota) / int(period)
    for folder in first:
        most, period_us = number(folder / "cpu.cfs_quota_us"), number(folder / "cpu.cfs_period_us")
        if most is not None and period_us is not None and most > 0 and period_us > 0:
            yield most / period_us
