"""How values of a plan are shown to people: short, in the spec's own words, under the spec's own keys."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from bentod.plan.difference import Cause
from bentod.spec.node import dotted
from bentod.spec.quantities import duration_text, size_text

LONGEST = 60
MIB = 1024 * 1024

Shown = Callable[[Any], str]


def short(text: str) -> str:
    """`text`, cut off where it is too long for a line of a plan."""
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def listed(values: Sequence[str]) -> str:
    """Several values."""
    return short(", ".join(values))


def seconds(value: float | None) -> str:
    """A duration as the spec writes it; empty for none."""
    return "" if value is None else duration_text(value)


def size(value: int | None) -> str:
    """A size as the spec writes it; empty for none."""
    return "" if value is None else size_text(value)


def number(value: int | float | None) -> str:
    """A number; empty for none."""
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def ranges(ids: Collection[int]) -> str:
    """`0-3,6`, as in /proc."""
    ordered = sorted(set(ids))
    starts = [one for one in ordered if one - 1 not in ids]
    ends = [one for one in ordered if one + 1 not in ids]
    return ",".join(f"{a}" if a == b else f"{a}-{b}" for a, b in zip(starts, ends, strict=True))


def cpus(ids: Collection[int]) -> str:
    """`CPU 3` or `CPUs 0-3,6`."""
    return f"CPU{'' if len(set(ids)) == 1 else 's'} {ranges(ids)}"


def flag(value: bool) -> str:
    """Truth as the spec writes it."""
    return "true" if value else "false"


def mebibytes(value: int) -> str:
    """Bytes as people read them."""
    return f"{value / MIB:.0f} MiB" if value >= MIB or not value else f"{value / MIB:.1f} MiB"


LIVE_SERVER: Mapping[str, Shown] = {
    "path_prefix": short,
    "docs": flag,
    "header_timeout_s": seconds,
    "body_timeout_s": seconds,
    "keep_alive_s": seconds,
    "drain_timeout_s": seconds,
}
"""What gateways can follow while they run, and how each is shown."""

LIVE_SERVICE: Mapping[str, Shown] = {"start_timeout_s": seconds, "stop_timeout_s": seconds, "reload": str}
"""What a pool can follow while it runs, besides the number of its workers and the two policies."""

RESTART: Mapping[str, Shown] = {
    "delay_s": seconds,
    "factor": number,
    "max_delay_s": seconds,
    "window_s": seconds,
    "limit": number,
}
RELOAD: Mapping[str, Shown] = {"watch": flag, "include": listed, "exclude": listed, "debounce_s": seconds}
RESOURCES: Mapping[str, Shown] = {
    "cpus": number,
    "memory": size,
    "gpus": number,
    "gpu_memory": size,
    "gpu_type": lambda text: short(text or ""),
}
"""What a service is promised. CPUs, and whether it has a GPU at all, need new workers."""

RECYCLE: Mapping[str, Shown] = {"max_calls": number, "max_age_s": seconds, "max_memory": size}


def changes(section: tuple[str, ...], old: Any, new: Any, shown: Mapping[str, Shown]) -> tuple[Cause, ...]:
    """A cause for each of the attributes `shown` in which two values differ; None stands for a value without any."""
    found = []
    for name, show in shown.items():
        before, after = getattr(old, name, None), getattr(new, name, None)
        if before != after:
            found.append(Cause("key", dotted((*section, name.removesuffix("_s"))), show(before), show(after)))
    return tuple(found)


def existence(before: bool, after: bool) -> tuple[str, str]:
    """What is said of a value that is not shown: `before` and `after` of a cause."""
    return ("", "changed") if before and after else ("set", "") if before else ("", "set")
