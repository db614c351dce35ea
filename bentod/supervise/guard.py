"""Holds one worker process to the CPUs and the memory that it was given."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from bentod.plan import words
from bentod.spec.quantities import size_text
from bentod.supervise import affinity
from bentod.supervise.cgroup import Group
from bentod.supervise.exit import Exit
from bentod.supervise.processes import proportional, resident, threads

BREACH = 1.5
"""With so many times its memory a worker is killed at once; with less it is replaced when its successor is ready."""
_STRAYS = 3
"""So often a worker that leaves its CPUs is brought back."""
_SHARE = 0.05
"""Walking all pages of a worker takes no more of the time than this."""
_NEWS = 0.1
"""What it has more than at the last look is news if it is so much of its limit."""
_MIB = 1024 * 1024

Log = Callable[..., None]


@dataclass(frozen=True, slots=True)
class Seen:
    """One look at a process: its memory in bytes (None: not asked), the CPUs that it had then, whether it had left
    them, which of them are gone, and why it cannot be held to them."""

    memory: int | None = None
    cpus: tuple[int, ...] = ()
    strayed: bool = False
    gone: tuple[int, ...] = ()
    refused: str = ""


class Guard:
    """`worker` is its index, `log` takes events of its service. `group` is its control group where the kernel keeps its
    limit: then its memory is not looked at. `look` may run in any thread, the rest is for one event loop."""

    def __init__(
        self, worker: int, pid: int, cpus: Sequence[int], memory: int | None, group: Group | None, log: Log
    ) -> None:
        self.worker = worker
        self.pid = pid
        self.group = group
        self.over = ""
        """Why it is to be replaced; empty if it is within its limit."""
        self._cpus = tuple(cpus)
        self._memory = memory
        self._log = log
        self._end: Callable[[Exit], None] | None = None
        self._strays = 0
        self._told: tuple[int, ...] = ()
        self._moved = self._loose = False
        self._next, self._had = 0.0, 0

    @property
    def holds(self) -> bool:
        """Whether there is anything to look at."""
        return bool(self._cpus) or self._moved or self.weighs

    @property
    def weighs(self) -> bool:
        """Whether its memory is looked at."""
        return self._memory is not None and self.group is None

    def begin(self) -> None:
        """Hold the process to its CPUs, before it has been told anything: all its threads are born there."""
        if self._cpus:
            refused = affinity.pin(threads([self.pid]), self._cpus)
            self._tell(affinity.gone(self.pid, self._cpus), refused)

    def watch(self, end: Callable[[Exit], None]) -> None:
        """From now on `end` is called if it must not go on."""
        self._end = end

    def adopt(self, cpus: Sequence[int], memory: int | None) -> bool:
        """From now on these; the CPUs from the next look on. Returns whether that should be soon."""
        if memory != self._memory:
            self._memory, self._next, self.over = memory, 0.0, ""
            self._limit()
        if tuple(cpus) == self._cpus:
            return False
        self._cpus, self._moved, self._loose, self._strays, self._told = tuple(cpus), True, False, 0, ()
        return True

    def _limit(self) -> None:
        """A lower limit than what it has would have it killed at once: it keeps the old one, and is replaced."""
        if self.group is not None:
            self.over = self.excess(self.group.used())
            try:
                if not self.over:
                    self.group.limit(self._memory)
            except OSError:
                self.group = None  # it is looked at from now on

    # ── looks ────────────────────────────────────────────────────────────────────────────────────

    def look(self, pids: Sequence[int], page: int) -> Seen:
        """What its processes do now; threads that have left its CPUs are brought back."""
        seen = self._pinned(pids)
        return replace(seen, memory=self._weigh(pids, page))

    def _pinned(self, pids: Sequence[int]) -> Seen:
        """Threads that are born meanwhile are where those are that bear them, so they are pinned twice."""
        cpus, refused = self._cpus, ""
        if self._loose or not (cpus or self._moved):
            return Seen(cpus=cpus)
        strayed = bool(cpus) and affinity.strayed(threads(pids), cpus)
        if strayed or self._moved or self._told:
            refused = affinity.pin(threads(pids), cpus) or affinity.pin(threads(pids), cpus)
        return Seen(None, cpus, strayed, affinity.gone(self.pid, cpus), refused)

    def _weigh(self, pids: Sequence[int], page: int) -> int | None:
        limit = self._memory
        if limit is None or self.group is not None:
            return None
        had, begun = resident(pids, page), time.monotonic()
        if had <= limit:
            return had
        if begun < self._next and had - self._had < limit * _NEWS:
            return None
        found = proportional(pids, page)
        ended = time.monotonic()
        self._had, self._next = had, ended + (ended - begun) / _SHARE
        return found

    # ── what follows from them ───────────────────────────────────────────────────────────────────

    def take(self, seen: Seen) -> None:
        """Act upon what was seen."""
        if seen.cpus == self._cpus:  # not if it was given others meanwhile
            self._place(seen)
        if seen.memory is not None and self._memory is not None:
            self._judge(seen.memory, self._memory)

    def _place(self, seen: Seen) -> None:
        self._tell(seen.gone, seen.refused)
        if self._moved and not seen.refused:
            self._log(
                "worker.pinned",
                worker=self.worker,
                pid=self.pid,
                cpus=words.cpus(self._cpus) if self._cpus else "all CPUs",
            )
        elif seen.strayed and not seen.refused:
            self._stray()
        self._moved = False

    def _tell(self, gone: tuple[int, ...], refused: str) -> None:
        """CPUs that are gone, once; that a process cannot be held to any, too."""
        if gone and gone != self._told:
            self._log("worker.cpus_gone", level="warning", worker=self.worker, pid=self.pid, cpus=words.cpus(gone))
        elif refused and not gone:
            self._let_be(refused)
        self._told = gone

    def _stray(self) -> None:
        self._strays += 1
        if self._strays > _STRAYS:
            self._let_be(f"it has left them {self._strays} times")
            return
        cpus = words.cpus(self._cpus)
        self._log("worker.strayed", level="warning", worker=self.worker, pid=self.pid, cpus=cpus, times=self._strays)

    def _let_be(self, reason: str) -> None:
        self._loose = True
        cpus = words.cpus(self._cpus)
        self._log("worker.unpinned", level="warning", worker=self.worker, pid=self.pid, cpus=cpus, reason=reason)

    def excess(self, memory: int | None) -> str:
        """Why it is to be replaced if it has so much memory; empty if it may have that."""
        limit = self._memory
        if memory is None or limit is None or memory <= limit:
            return ""
        return f"it has {memory // _MIB} MiB, more than its `resources.memory` of {_size(limit)}"

    def _judge(self, memory: int, limit: int) -> None:
        self.over = ""
        if memory > limit * BREACH and self._end is not None:
            had = f"it had {memory // _MIB} MiB, more than {BREACH:g} times"
            self._end(Exit("memory", f"killed: {had} its `resources.memory` of {_size(limit)}"))
        else:
            self.over = self.excess(memory)

    def killed(self) -> Literal["", "limit", "host"]:
        """Whether the kernel has killed it for want of memory, as far as its control group tells."""
        return self.group.killed() if self.group is not None else ""

    def exit(self) -> Exit:
        """How a process ended that was killed because of its own limit."""
        limit = _size(self._memory or 0)
        return Exit("memory", f"killed by the kernel: it used more than its `resources.memory` of {limit}")


def _size(size: int) -> str:
    """`2 GiB`."""
    text = size_text(size)
    number = text.rstrip("KMGTiB")
    return f"{number} {text.removeprefix(number)}"
