"""What processes use, as the system measures it: CPU time, memory and threads of whole process groups."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from bentod.inventory.cpus import cpus
from bentod.inventory.memory import available_memory, total_memory
from bentod.supervise.processes import proportional_of, stat

_ROOT = Path("/")
_IDLE, _IOWAIT, _GUEST = 3, 4, 8
_TICKS = os.sysconf("SC_CLK_TCK")
_ENDED = frozenset("ZXx")
_PAUSE = 50.0
"""What was long to measure is measured again only after so many times as long: 2 % of one CPU at most."""


@dataclass(frozen=True, slots=True)
class Use:
    """What a process and those in its group have used and have. `cpu_s` is user and system time, that of children which
    have ended included: it only grows. `memory` is the proportional set size, None where the system does not tell."""

    cpu_s: float
    threads: int
    memory: int | None = None
    processes: int = 1


@dataclass(frozen=True, slots=True)
class HostUse:
    """As many `cpus` may be used at once; `cpu_s` is for how long those have worked since the system began, whoever
    used them. `memory` are the bytes that may be used, `available` those of them that are left. None: the system does
    not tell."""

    cpus: float
    cpu_s: float | None = None
    memory: int | None = None
    available: int | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """What the host, this process and some groups, by their leaders, used `at` a moment of a monotonic clock."""

    at: float
    host: HostUse
    own: Use
    groups: Mapping[int, Use]


@dataclass(frozen=True, slots=True)
class Process:
    """One line of `/proc/PID/stat`: `own_s` is the process's CPU time, `children_s` that of the children that it has
    waited for. `started` tells it from others that had its number."""

    pid: int
    state: str
    group: int
    own_s: float
    children_s: float
    threads: int
    started: int


class Meter:
    """Measures process groups, again and again. It may be asked from several threads."""

    def __init__(self, root: Path = _ROOT, clock: Callable[[], float] = time.monotonic) -> None:
        self._root = root
        self._clock = clock
        self._lock = threading.Lock()
        self._counters: dict[tuple[int, int], _Counter] = {}
        self._sizes: dict[tuple[int, int], _Size] = {}

    def read(self, groups: Collection[int]) -> Reading:
        """What each of these groups uses; those whose leader is gone are missing."""
        with self._lock:
            found = list(processes(groups, self._root))
            at = self._clock()
            leaders = {one.pid: one for one in found if one.pid == one.group and one.state not in _ENDED}
            keys = [(pid, one.started) for pid, one in leaders.items()]
            self._counters = {key: self._counters.get(key, _Counter()) for key in keys}
            sizes = self._memory(one for one in found if one.state not in _ENDED)
            members: dict[int, list[Process]] = {pid: [] for pid in leaders}
            for one in found:
                members.get(one.group, []).append(one)
            uses = {pid: self._use(one, members[pid], sizes) for pid, one in leaders.items()}
            return Reading(at, host(self._root), own(self._root), uses)

    def _use(self, leader: Process, members: Collection[Process], sizes: dict[int, int | None]) -> Use:
        counter = self._counters[leader.pid, leader.started]
        living = [one for one in members if one.state not in _ENDED]
        known = [size for one in living if (size := sizes.get(one.pid)) is not None]
        return Use(
            cpu_s=round(counter.total(sum(one.own_s + one.children_s for one in members)), 2),
            threads=sum(one.threads for one in living),
            memory=sum(known) if sizes.get(leader.pid) is not None else None,
            processes=len(living),
        )

    def _memory(self, found: Iterable[Process]) -> dict[int, int | None]:
        """The size of each process; that of a large one, which takes long, may be from a moment ago."""
        kept: dict[tuple[int, int], _Size] = {}
        for one in found:
            key, now = (one.pid, one.started), self._clock()
            size = self._sizes.get(key)
            if size is None or now - size.at >= size.cost_s * _PAUSE:
                value = memory(one.pid, self._root)
                size = _Size(value, self._clock(), self._clock() - now)
            kept[key] = size
        self._sizes = kept
        return {pid: size.value for (pid, _), size in kept.items()}


@dataclass(frozen=True, slots=True)
class _Size:
    value: int | None
    at: float
    cost_s: float


class _Counter:
    """Makes a sum of CPU times one that only grows.

    It shrinks for a moment if a child ends between two lines that are read: its time is nowhere yet. It shrinks for
    good if nobody waits for a child: from the second time on, what grows counts again.
    """

    def __init__(self) -> None:
        self._most = self._lost = 0.0
        self._shrunk: float | None = None

    def total(self, seen: float) -> float:
        """The time so far, now that this sum is seen."""
        if seen + self._lost < self._most and self._shrunk is not None:
            self._lost += self._most - (self._shrunk + self._lost)
        self._shrunk = seen if seen + self._lost < self._most else None
        self._most = max(self._most, seen + self._lost)
        return self._most


def processes(groups: Collection[int], root: Path = _ROOT) -> Iterator[Process]:
    """The processes of these groups, their leaders first: a child that ends meanwhile then counts once at most."""
    pids = [int(name) for name in _names(root / "proc") if name.isdigit()] if groups else []
    for pid in sorted(pids, key=lambda pid: (pid not in groups, pid)):
        fields = stat(pid, root / "proc")
        with contextlib.suppress(ValueError, IndexError):
            if int(fields[2]) in groups:
                yield _process(pid, fields)


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208 - of many, so it is to be fast
    except OSError:
        return []


def _process(pid: int, fields: list[bytes]) -> Process:
    """Source: proc_pid_stat(5). Raises ValueError, IndexError."""
    user, system, children_user, children_system = (int(field) / _TICKS for field in fields[11:15])
    return Process(
        pid=pid,
        state=fields[0].decode("ascii"),
        group=int(fields[2]),
        own_s=user + system,
        children_s=children_user + children_system,
        threads=int(fields[17]),
        started=int(fields[19]),
    )


def own(root: Path = _ROOT) -> Use:
    """What this process uses by itself, without the children that it has waited for."""
    size = memory(os.getpid(), root)
    try:
        process = _process(os.getpid(), stat(os.getpid(), root / "proc"))
    except (ValueError, IndexError):
        return Use(0.0, 0, size)
    return Use(round(process.own_s, 2), process.threads, size)


def memory(pid: int | None, root: Path = _ROOT) -> int | None:
    """Proportional set size in bytes, where the system tells: shared pages count once among those who share them."""
    return None if pid is None else proportional_of(pid, root / "proc")


def host(root: Path = _ROOT) -> HostUse:
    """What all processes together may use, and use."""
    usable, numbers = cpus(root)
    return HostUse(usable, _busy_s(numbers, root), total_memory(root), available_memory(root))


def _busy_s(numbers: Collection[int], root: Path) -> float | None:
    found = []
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in (root / "proc/stat").read_text().splitlines():
            name, _, rest = line.partition(" ")
            if name[:3] == "cpu" and name[3:].isdigit() and int(name[3:]) in numbers:
                ticks = [int(field) for field in rest.split()[:_GUEST]]
                found.append(sum(ticks) - ticks[_IDLE] - ticks[_IOWAIT])
    return round(sum(found) / _TICKS, 2) if found else None
