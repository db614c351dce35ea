"""One session: a look at every setting, then rounds in which every server has its turn, in shuffled order."""

from __future__ import annotations

import http.client
import random
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compare.asking import ASK
from compare.environments import Environments, NotInstalledError
from compare.measuring import SERVE, Amount, Seen, Target, in_process, measured, work_environ
from compare.peers import Peer, Setting
from compare.processes import Command, NotStartedError, free_port, running
from compare.ranking import best
from compare.workloads import Load, Workload
from compare.wrk import LoadError

IN_PROCESS, CALLS = "in-process", "calls"
WARM_UP_S, WARM_UP = 1.0, Load(8)
OPEN_FACTOR = 3
"""Open loops run for so much longer: they are for the tail."""

Entry = tuple[Peer, Setting]


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    rounds: int
    seconds: float
    scout_s: float
    finalists: int
    seed: int
    settings: list[str]
    """Only these, unless there are none."""


class Session:
    """Measures one workload after the other."""

    def __init__(self, plan: Plan, environments: Environments) -> None:
        self._plan = plan
        self._environments = environments
        self._random = random.Random(plan.seed)
        self._right: list[Any] = []
        self._capacity = 0.0
        self.seen: list[Seen] = []
        self.failed: dict[str, str] = {}

    def measure(self, workload: Workload, peers: list[Peer], loads: list[Load]) -> None:
        """All of it; what cannot be measured is noted in `failed`."""
        every = [(peer, setting) for peer in peers for setting in peer.settings.get(workload.name, ())]
        entries = [
            (peer, setting) for peer, setting in every if str(setting) in (self._plan.settings or [str(setting)])
        ]
        chosen: dict[Entry, list[Load]] = dict.fromkeys(entries, loads)
        for peer in peers:  # all of them before anything is measured; what fails is told at its turn
            with suppress(NotInstalledError):
                self._environments.python(peer.environment)
        try:
            self._right = in_process(workload, self._environments.python("bentod"), 0)
            self._alone(workload, 0)
        except (NotInstalledError, LoadError) as error:
            self._fail(f"{workload.name}, {IN_PROCESS}", error)
            return
        if self._plan.finalists:
            self._turn(workload, chosen, 0, self._plan.scout_s)
            chosen = self._finalists(workload, entries, loads)
        for number in range(1, self._plan.rounds + 1):
            self._alone(workload, number)
            self._turn(workload, chosen, number, self._plan.seconds)

    def _alone(self, workload: Workload, number: int) -> None:
        """The work without a server. Its best rate is the capacity of which open loops take a share."""
        if not workload.in_process:
            return
        found = in_process(workload, self._environments.python("bentod"), max(3.0, self._plan.seconds))
        for size, one in found.items():
            self._note(Seen(workload.name, IN_PROCESS, f"batch {size}", CALLS, number, **one))
        if not number:
            self._capacity = max(one["rate"] for one in found.values())

    def _turn(self, workload: Workload, chosen: dict[Entry, list[Load]], number: int, seconds: float) -> None:
        """Each server once, in an order of its own."""
        entries = list(chosen)
        self._random.shuffle(entries)
        for peer, setting in entries:
            try:
                with self._serving(workload, peer, setting) as target:
                    for load in self._random.sample(chosen[peer, setting], len(chosen[peer, setting])):
                        self._load(workload, (peer, setting), load, number, seconds, target)
            except (NotInstalledError, NotStartedError, LoadError) as error:
                self._fail(f"{workload.name}, {peer.name} {setting}", error)

    def _fail(self, name: str, error: Exception) -> None:
        self.failed.setdefault(name, str(error))
        print(f"{name}: {error}", file=sys.stderr, flush=True)

    def _load(self, workload: Workload, entry: Entry, load: Load, number: int, seconds: float, target: Target) -> None:
        amount = Amount(seconds * (OPEN_FACTOR if load.share else 1), load.share * self._capacity, self._plan.seed)
        found = measured(target, workload, self._right, load, amount, self._environments.python("bentod"))
        self._note(Seen(workload.name, entry[0].name, str(entry[1]), str(load), number, **found))

    def _note(self, seen: Seen) -> None:
        self.seen.append(seen)
        print(
            f"{seen.round:2d} {seen.workload:6s} {seen.load:>5s}  {seen.peer:10s} {seen.setting:24s}"
            f" {seen.rate:9.1f}/s  p50 {seen.p50:8.2f} ms  p99 {seen.p99:8.2f} ms"
            f"  cpu {seen.cpu_us:6.0f} us  others {seen.others:4.0%}"
            + (f"  late {seen.late_ms:.1f} ms" if seen.late_ms else ""),
            flush=True,
        )

    def _finalists(self, workload: Workload, entries: list[Entry], loads: list[Load]) -> dict[Entry, list[Load]]:
        """The best of each peer's settings at each load."""
        chosen: dict[Entry, list[Load]] = defaultdict(list)
        for load in loads:
            for peer in {peer.name for peer, _ in entries}:
                kept = best(self.seen, workload.name, peer, str(load))[: self._plan.finalists]
                for entry in entries:
                    if entry[0].name == peer and str(entry[1]) in kept:
                        chosen[entry].append(load)
        return {entry: chosen[entry] for entry in entries if entry in chosen}

    @contextmanager
    def _serving(self, workload: Workload, peer: Peer, setting: Setting) -> Iterator[Target]:
        """A server that answers rightly, and is warm."""
        port = free_port()
        python = self._environments.python(peer.environment)
        environ = {
            "COMPARE_WORKLOAD": workload.name,
            "COMPARE_PORT": str(port),
            "COMPARE_PORT_2": str(free_port()),
            "COMPARE_SETTING": setting.described(),
            **work_environ(),
        }
        with tempfile.TemporaryDirectory(prefix="bc", ignore_cleanup_errors=True) as name:
            command = Command([python, str(SERVE / peer.script)], Path(name), environ)
            with running(command, lambda: self._answers(port, peer, workload, setting), peer.patience_s) as mark:
                target = Target(peer.name, setting.batched, port, Path(name), mark)
                warm_up = Amount(WARM_UP_S, 0, self._plan.seed)
                measured(target, workload, self._right, WARM_UP, warm_up, self._environments.python("bentod"))
                yield target

    def _answers(self, port: int, peer: Peer, workload: Workload, setting: Setting) -> bool:
        """Whether a server answers, and rightly. Raises LoadError for a wrong answer."""
        request = ASK[peer.name](workload.name, workload.values()[0], setting.batched)
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        headers = {"Content-Type": request.kind, "Accept": "application/json"}
        try:
            connection.request("POST", request.path, request.body, headers)
            response = connection.getresponse()
            body = response.read()
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
        if response.status in {404, 503} or b"not ready" in body:  # it is still waking up
            return False
        if response.status != 200 or not workload.right(self._right[0], request.value(body)):
            raise LoadError(f"{response.status} {body[:300]!r}")
        return True
