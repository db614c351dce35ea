"""Who computes on a GPU: from a number that the driver tells to a process of this PID namespace."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from bentod.plan.inventory import GpuProcess

_FIRST_NAMESPACE = "pid:[4026531836]"
"""The PID namespace of the system itself has this number, always: include/linux/proc_ns.h of the kernel."""


def process(pid: int, memory: int | None, utilization: float | None, root: Path = Path("/")) -> GpuProcess:
    """The process of this number, or one with `pid` 0 if it is none of this PID namespace."""
    if pid <= 0:
        return GpuProcess(0, "", memory, 0, utilization)
    try:
        group = os.getpgid(pid)
    except OSError:
        return GpuProcess(0, "", memory, 0, utilization)
    if not _computes(root, pid):
        return GpuProcess(0, "", memory, 0, utilization)
    return GpuProcess(pid, _name(root / f"proc/{pid}"), memory, group, utilization)


def _computes(root: Path, pid: int) -> bool:
    """Whether it may be the one that is meant. Older drivers tell the numbers of the system's own namespace in
    containers, too: there, a process without files of the driver only has the same number by chance."""
    with contextlib.suppress(OSError):
        if str((root / "proc/self/ns/pid").readlink()) == _FIRST_NAMESPACE:
            return True
        files = [_target(file) for file in (root / f"proc/{pid}/fd").iterdir()]
        return any(file.startswith(("/dev/nvidia", "/dev/dxg")) for file in files)
    return True


def _target(file: Path) -> str:
    with contextlib.suppress(OSError):
        return str(file.readlink())
    return ""


def _name(folder: Path) -> str:
    with contextlib.suppress(OSError):
        return (folder / "comm").read_bytes().decode(errors="replace").strip()
    return ""
