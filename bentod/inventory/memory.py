"""How much memory this host has for processes, and how much of it is left, in a container too."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from bentod.inventory.cgroups import entry, groups, number

_UNLIMITED = 1 << 60
"""cgroup v1 has no word for it: it says the largest number of pages."""


def available_memory(root: Path = Path("/")) -> int | None:
    """Bytes that new processes can have without swapping, in this container too (cgroup v2 or v1); None where the
    system does not tell. Source: proc_meminfo(5), cgroups(7), the kernel's manual of memory cgroups."""
    return min(_known(_meminfo(root, "MemAvailable:"), *_left(root)), default=None)


def total_memory(root: Path = Path("/")) -> int | None:
    """Bytes that all processes together may use here: the system's memory, or what the narrowest of the control groups
    around this process allows. None where the system does not tell."""
    return min(_known(_meminfo(root, "MemTotal:"), *(most for most, _ in _limits(root))), default=None)


def memory_scope(root: Path = Path("/")) -> str:
    """Names what `total_memory` is the memory of: processes that are told the same share it. Empty: the system."""
    whole = _meminfo(root, "MemTotal:")
    narrower = [(most, folder) for most, folder in _limits(root) if whole is None or most < whole]
    if not narrower:
        return ""
    with contextlib.suppress(OSError):
        found = min(narrower, key=lambda one: one[0])[1].stat()
        return f"{found.st_dev}:{found.st_ino}"
    return ""


def _known(*found: int | None) -> list[int]:
    return [one for one in found if one is not None]


def _meminfo(root: Path, key: str) -> int | None:
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in (root / "proc/meminfo").read_text().splitlines():
            if line.startswith(key):
                return int(line.split()[1]) * 1024
    return None


def _left(root: Path) -> Iterator[int]:
    """What each control group that this process is in, and that has a limit, leaves."""
    second, first = groups(root, "memory")
    for folder in second:
        most, used = number(folder / "memory.max"), number(folder / "memory.current")
        if most is not None and used is not None:
            yield max(0, most - used + _cached(folder, "inactive_file"))
    for folder in first:
        most, used = number(folder / "memory.limit_in_bytes"), number(folder / "memory.usage_in_bytes")
        if most is not None and used is not None and most < _UNLIMITED:
            yield max(0, most - used + _cached(folder, "total_inactive_file"))


def _limits(root: Path) -> Iterator[tuple[int, Path]]:
    """What each control group allows. One of version 1 tells the limits of those around it, too, which a container may
    not see."""
    second, first = groups(root, "memory")
    for folder in second:
        yield from ((most, folder) for most in _known(number(folder / "memory.max")))
    for folder in first:
        told = number(folder / "memory.limit_in_bytes"), entry(folder / "memory.stat", "hierarchical_memory_limit")
        yield from ((most, folder) for most in _known(*told) if most < _UNLIMITED)


def _cached(folder: Path, key: str) -> int:
    """What a group has only to spare reading files again: it is given up at need."""
    return entry(folder / "memory.stat", key) or 0
