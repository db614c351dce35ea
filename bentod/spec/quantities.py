"""Durations and sizes as people write them."""

from __future__ import annotations

import re

DURATION_PATTERN = r"^[0-9]+(\.[0-9]+)?(ms|s|m|h)$"
SIZE_PATTERN = r"^[0-9]+(\.[0-9]+)?(B|KB|MB|GB|TB|KiB|MiB|GiB|TiB)$"

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_BYTES = {unit + "B": 1000**power for power, unit in enumerate(("", "K", "M", "G", "T"))}
_BYTES |= {unit + "iB": 1024**power for power, unit in enumerate(("K", "M", "G", "T"), start=1)}
_PARTS = re.compile(r"([0-9]+(?:\.[0-9]+)?)([A-Za-z]+)")


def seconds(text: str) -> float | None:
    """`250ms` → 0.25; None if `text` is no duration."""
    return _scaled(text, _SECONDS)


def size(text: str) -> int | None:
    """`512KiB` → 524288; None if `text` is no size of whole bytes."""
    value = _scaled(text, _BYTES)
    return int(value) if value is not None else None


def duration_text(value_s: float) -> str:
    """0.25 → `250ms`: with the largest unit that makes it whole; one minute is better said in seconds."""
    for unit, factor in reversed(_SECONDS.items()):
        if value_s >= factor * (2 if factor > 1 else 1) and (value_s / factor).is_integer():
            return f"{int(value_s / factor)}{unit}"
    return f"{value_s:g}s"


def size_text(value: int) -> str:
    """524288 → `512KiB`: with the largest binary unit that makes it whole."""
    for unit in ("TiB", "GiB", "MiB", "KiB"):
        if value and value % _BYTES[unit] == 0:
            return f"{value // _BYTES[unit]}{unit}"
    return f"{value}B"


def _scaled(text: str, units: dict[str, float] | dict[str, int]) -> float | None:
    match = _PARTS.fullmatch(text)
    if match is None or match[2] not in units or len(match[1]) > 18:
        return None
    return float(match[1]) * units[match[2]]
