"""What the kernel keeps for workers: a control group (version 2) for each, where this daemon may make some, with its
limit of memory, and its share of CPUs that others want, too. Source: the kernel's manual of control groups (2)."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, Protocol

from bentod.supervise.processes import parent

LEAF = "bentod-daemon"
_WORKER = "bentod-worker-"
_TRIES = 20
_WEIGHT, _MOST_WEIGHT = 100, 10_000
"""A group's share of CPUs that are wanted by others: what the kernel gives by default, for each CPU, and its most."""


class Kernel(Protocol):
    """What changes control groups; the seam at which tests put a kernel that only keeps files."""

    def make(self, folder: Path) -> None:
        """Make a group. Raises OSError."""

    def remove(self, folder: Path) -> None:
        """Remove a group in which nobody is. Raises OSError."""

    def write(self, path: Path, text: str) -> None:
        """Tell a group something. Raises OSError."""


class Real:
    """The kernel."""

    def make(self, folder: Path) -> None:
        """As `mkdir`."""
        folder.mkdir(exist_ok=True)

    def remove(self, folder: Path) -> None:
        """As `rmdir`."""
        folder.rmdir()

    def write(self, path: Path, text: str) -> None:
        """In one go: the kernel takes each write for an order."""
        with path.open("wb", buffering=0) as file:
            file.write(text.encode())


class Group:
    """The control group of one worker."""

    def __init__(self, folder: Path, kernel: Kernel) -> None:
        self._folder = folder
        self._kernel = kernel

    def limit(self, memory: int | None) -> None:
        """From now on so many bytes, and nothing swapped; None: as many as there are. Raises OSError."""
        self._kernel.write(self._folder / "memory.max", "max" if memory is None else str(memory))
        known = memory is not None
        for name, text in (("memory.oom.group", "1" if known else "0"), ("memory.swap.max", "0" if known else "max")):
            if (self._folder / name).exists():
                self._kernel.write(self._folder / name, text)

    def used(self) -> int:
        """The bytes that it has and cannot give up: without what was read of files."""
        cached = sum(size for name, size in _pairs(self._folder / "memory.stat") if name.endswith("active_file"))
        with contextlib.suppress(OSError, ValueError):
            return max(0, int((self._folder / "memory.current").read_text()) - cached)
        return 0

    def share(self, cpus: float | None) -> None:
        """From now on as much of CPUs that others want, too, as so many are of theirs; none of them is a limit while
        nobody else wants it. Nothing happens where the kernel does not divide CPUs."""
        if (self._folder / "cpu.weight").exists():
            with contextlib.suppress(OSError):
                self._kernel.write(self._folder / "cpu.weight", str(_weight(cpus or 1.0)))

    def join(self, pid: int) -> None:
        """The process is in it from now on, and whatever it starts. Raises OSError."""
        self._kernel.write(self._folder / "cgroup.procs", str(pid))

    def killed(self) -> Literal["", "limit", "host"]:
        """Whether the kernel has killed it for want of memory: because of its own limit, or of that of all."""
        events = dict(_pairs(self._folder / "memory.events"))
        if not events.get("oom_kill"):
            return ""
        return "limit" if events.get("oom") else "host"

    def remove(self) -> bool:
        """Remove it, and kill who is left in it. False: it is not empty yet."""
        with contextlib.suppress(OSError):
            if (self._folder / "cgroup.kill").exists():
                self._kernel.write(self._folder / "cgroup.kill", "1")
        try:
            self._kernel.remove(self._folder)
        except OSError:
            return not self._folder.exists()
        return True


class Groups:
    """Makes groups for workers, in a group that is this daemon's alone."""

    def __init__(self, folder: Path, kernel: Kernel, proc: Path) -> None:
        self._folder = folder
        self._kernel = kernel
        self._proc = proc

    @property
    def shares(self) -> bool:
        """Whether CPUs that several want are divided by what each was promised."""
        return "cpu" in _words(self._folder / "cgroup.subtree_control")

    def group(self, pid: int, memory: int | None, cpus: float | None = None) -> Group:
        """A group of its own for a process, with its limit. Raises OSError."""
        self._sweep()
        folder = self._folder / f"{_WORKER}{pid}"
        made = Group(folder, self._kernel)
        try:
            self._kernel.make(folder)
            if memory is not None:
                made.limit(memory)
            made.share(cpus)
            made.join(pid)
        except OSError:
            with contextlib.suppress(OSError):
                self._kernel.remove(folder)
            raise
        return made

    def _sweep(self) -> None:
        """Remove groups whose workers have gone: those of a daemon that was killed."""
        for folder in self._folder.glob(f"{_WORKER}*"):
            if not (self._proc / folder.name.removeprefix(_WORKER)).exists():
                with contextlib.suppress(OSError):
                    self._kernel.remove(folder)


def delegated(root: Path = Path("/"), pid: int | None = None, kernel: Kernel | None = None) -> Groups | None:
    """Groups for workers, if the group of this process may be divided: it can be written, knows of memory, and nobody
    is in it but this process and its children. They move into a group within it: only groups at the end of the tree
    may have processes."""
    pid, kernel, proc = pid or os.getpid(), kernel or Real(), root / "proc"
    own = _own(root)
    if own is None:
        return None
    if own.name == LEAF and _divided(own.parent):  # a daemon before this one has done it
        _share(own.parent, kernel)
        return Groups(own.parent, kernel, proc)
    if not _may(own) or "memory" not in _words(own / "cgroup.controllers") or _foreign(own, pid, proc):
        return None
    return Groups(own, kernel, proc) if _divide(own, kernel) else None


def _own(root: Path) -> Path | None:
    """The folder of the group that this process is in. Source: cgroups(7), proc_pid_mountinfo(5)."""
    with contextlib.suppress(OSError, ValueError):
        lines = (root / "proc/self/cgroup").read_text().splitlines()
        [name] = [line.removeprefix("0::") for line in lines if line.startswith("0::")]
        for line in (root / "proc/self/mountinfo").read_text().splitlines():
            words, _, kind = line.partition(" - ")
            within, place = words.split()[3:5]
            if kind.startswith("cgroup2 ") and Path(name).is_relative_to(within):
                found = root / place.lstrip("/") / Path(name).relative_to(within)
                return found if found.is_dir() else None
    return None


def _divide(own: Path, kernel: Kernel) -> bool:
    """Move everybody into the leaf and have the groups beside it know of memory; or leave all as it was."""
    leaf = own / LEAF
    try:
        kernel.make(leaf)
        for _ in range(_TRIES):
            _move(own, leaf, kernel)
            with contextlib.suppress(OSError):  # somebody was born meanwhile
                kernel.write(own / "cgroup.subtree_control", "+memory")
                _share(own, kernel)
                return True
    except OSError:
        pass
    with contextlib.suppress(OSError):
        _move(leaf, own, kernel)
        kernel.remove(leaf)
    return False


def _share(own: Path, kernel: Kernel) -> None:
    """Have the kernel divide CPUs among groups, if it does that here. Who is in the leaf, gateways above all, is many:
    it has as much as all CPUs are."""
    if "cpu" in _words(own / "cgroup.controllers"):
        with contextlib.suppress(OSError):
            kernel.write(own / "cgroup.subtree_control", "+cpu")
            Group(own / LEAF, kernel).share(float(len(os.sched_getaffinity(0))))


def _weight(cpus: float) -> int:
    return min(_MOST_WEIGHT, max(1, round(cpus * _WEIGHT)))


def _move(source: Path, target: Path, kernel: Kernel) -> None:
    for pid in _words(source / "cgroup.procs"):
        with contextlib.suppress(ProcessLookupError):
            kernel.write(target / "cgroup.procs", pid)


def _divided(folder: Path) -> bool:
    return _may(folder) and "memory" in _words(folder / "cgroup.subtree_control")


def _may(folder: Path) -> bool:
    files = ("cgroup.procs", "cgroup.subtree_control")
    return os.access(folder, os.W_OK) and all(os.access(folder / name, os.W_OK) for name in files)


def _foreign(folder: Path, pid: int, proc: Path) -> bool:
    """Whether somebody is in it who is neither this process nor descends from it. (0 is a process that cannot be seen
    from here.)"""
    others = [int(other) for other in _words(folder / "cgroup.procs")]
    return any(pid not in _line(other, proc) for other in others if not other or (proc / str(other)).exists())


def _line(pid: int, proc: Path) -> Iterator[int]:
    """A process and those from which it descends."""
    while pid > 0:
        yield pid
        pid = parent(pid, proc)


def _words(path: Path) -> list[str]:
    try:
        return path.read_text().split()
    except OSError:
        return []


def _pairs(path: Path) -> Iterator[tuple[str, int]]:
    with contextlib.suppress(OSError, ValueError):
        for line in path.read_text().splitlines():
            name, _, count = line.partition(" ")
            yield name, int(count)
