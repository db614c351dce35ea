"""What this host has left, and what the services need of it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from bentod.daemon.status import memory
from bentod.plan.difference import Usage
from bentod.supervise.pool import Pool

_UNLIMITED = 1 << 60
"""cgroup v1 has no word for it: it says the largest number of pages."""


async def usage(pools: Mapping[str, Pool]) -> dict[str, Usage]:
    """What each service needs, as it is measured now."""
    pids = {name: [worker.pid for worker in pool.status().workers] for name, pool in pools.items()}
    starts = {name: pool.start_s for name, pool in pools.items()}
    sizes = await asyncio.to_thread(lambda: {name: list(map(memory, found)) for name, found in pids.items()})
    return {
        name: Usage(tuple(size for size in found if size is not None), starts[name]) for name, found in sizes.items()
    }


def available_memory(root: Path = Path("/")) -> int | None:
    """Bytes that new processes can have without swapping, in this container too (cgroup v2 or v1); None where the
    system does not tell. Source: proc_meminfo(5), cgroups(7), the kernel's manual of memory cgroups."""
    found = [_available(root), *_left(root)]
    return min((one for one in found if one is not None), default=None)


def _available(root: Path) -> int | None:
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in (root / "proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return None


def _left(root: Path) -> Iterator[int]:
    """What each control group that this process is in, and that has a limit, leaves."""
    with contextlib.suppress(OSError, ValueError):
        for line in (root / "proc/self/cgroup").read_text().splitlines():
            _, controllers, own = line.split(":", 2)
            if not controllers:
                yield from _v2(root / "sys/fs/cgroup", own)
            elif "memory" in controllers.split(","):
                yield from _v1(root / "sys/fs/cgroup/memory", own)


def _v2(mount: Path, own: str) -> Iterator[int]:
    for folder in _upwards(mount, own):
        most, used = _number(folder / "memory.max"), _number(folder / "memory.current")
        if most is not None and used is not None:
            yield max(0, most - used + _cached(folder, "inactive_file"))


def _v1(mount: Path, own: str) -> Iterator[int]:
    for folder in _upwards(mount, own):
        most, used = _number(folder / "memory.limit_in_bytes"), _number(folder / "memory.usage_in_bytes")
        if most is not None and used is not None and most < _UNLIMITED:
            yield max(0, most - used + _cached(folder, "total_inactive_file"))


def _upwards(mount: Path, own: str) -> list[Path]:
    """The folders of a group and of those around it. In a container only its own may be there, as the topmost."""
    folder = mount / own.strip("/")
    return [one for one in (folder, *folder.parents) if one.is_relative_to(mount)]


def _cached(folder: Path, key: str) -> int:
    """What a group has only to spare reading files again: it is given up at need."""
    with contextlib.suppress(OSError, ValueError):
        for line in (folder / "memory.stat").read_text().splitlines():
            name, _, value = line.partition(" ")
            if name == key:
                return int(value)
    return 0


def _number(path: Path) -> int | None:
    """What a group's file says; None for `max`, and where there is no such file."""
    with contextlib.suppress(OSError, ValueError):
        return int(path.read_text())
    return None
