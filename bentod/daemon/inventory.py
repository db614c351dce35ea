"""What this host has left."""

from __future__ import annotations

import contextlib
from pathlib import Path

_CGROUPS = (
    ("sys/fs/cgroup/memory.max", "sys/fs/cgroup/memory.current"),
    ("sys/fs/cgroup/memory/memory.limit_in_bytes", "sys/fs/cgroup/memory/memory.usage_in_bytes"),
)


def available_memory(root: Path = Path("/")) -> int | None:
    """Bytes that new processes can have without swapping, in this container too (cgroup v2 or v1); None where the
    system does not tell. Source: proc_meminfo(5), cgroups(7)."""
    found = [_available(root)]
    for limit, current in _CGROUPS:
        most, used = _number(root / limit), _number(root / current)
        if most is not None and used is not None:
            found.append(max(0, most - used))
    return min((one for one in found if one is not None), default=None)


def _available(root: Path) -> int | None:
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in (root / "proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return None


def _number(path: Path) -> int | None:
    """What a cgroup's file says; None for `max`, and where there is no such file."""
    with contextlib.suppress(OSError, ValueError):
        return int(path.read_text())
    return None
