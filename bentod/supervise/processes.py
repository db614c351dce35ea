"""What the kernel says of process groups: who is in them, their threads, their memory."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable
from pathlib import Path

PROC = Path("/proc")


def stat(pid: int, proc: Path = PROC) -> list[bytes]:
    """What the kernel says of a process, from its state on; nothing if it is gone. Before that comes its name in
    brackets, which may hold blanks, brackets, and bytes that are no text. Source: proc_pid_stat(5)."""
    try:
        with open(f"{proc}/{pid}/stat", "rb", buffering=0) as file:  # noqa: PTH123 - of many, so it is to be fast
            return file.read().rpartition(b")")[2].split()
    except OSError:
        return []


def parent(pid: int, proc: Path = PROC) -> int:
    """Whose child a process is; 0 if it is gone."""
    return _number(stat(pid, proc), 1)


def members(groups: Collection[int], proc: Path = PROC) -> dict[int, list[int]]:
    """The processes of each of these groups."""
    found: dict[int, list[int]] = {group: [] for group in groups}
    with contextlib.suppress(OSError):
        for folder in proc.iterdir():
            if folder.name.isdigit() and (group := _number(stat(int(folder.name), proc), 2)) in found:
                found[group].append(int(folder.name))
    return found


def _number(fields: list[bytes], at: int) -> int:
    try:
        return int(fields[at])
    except (ValueError, IndexError):
        return 0


def threads(pids: Iterable[int], proc: Path = PROC) -> list[int]:
    """All threads of these processes."""
    found: list[int] = []
    for pid in pids:
        with contextlib.suppress(OSError):
            found += [int(one.name) for one in (proc / str(pid) / "task").iterdir()]
    return found


def resident(pids: Iterable[int], page: int, proc: Path = PROC) -> int:
    """Bytes that these processes have in memory, what they share counted for each: quickly asked, and never less than
    `proportional`. `page` is how large a page is. Source: proc_pid_statm(5)."""
    return sum(_resident(proc / str(pid), page) for pid in pids)


def proportional(pids: Iterable[int], page: int, proc: Path = PROC) -> int:
    """Bytes that these processes have in memory, what is shared divided among those who share it. The kernel walks all
    their pages for it. What it does not tell of is counted as `resident`."""
    return sum(
        _resident(proc / str(pid), page) if (size := proportional_of(pid, proc)) is None else size for pid in pids
    )


def _resident(folder: Path, page: int) -> int:
    with contextlib.suppress(OSError, ValueError, IndexError):
        return int((folder / "statm").read_bytes().split()[1]) * page
    return 0


def proportional_of(pid: int, proc: Path = PROC) -> int | None:
    """The same of one process; None if the kernel does not tell. Source: the kernel's manual of smaps_rollup."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in (proc / str(pid) / "smaps_rollup").read_bytes().splitlines():
            if line.startswith(b"Pss:"):
                return int(line.split()[1]) * 1024
    return None
