"""Real child processes of a pool that run some code of a test instead of a worker."""

from __future__ import annotations

import itertools
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from bentod.plan.grants import NOTHING, Grant
from bentod.plan.model import ServicePlan, WorkerPlan
from bentod.supervise.pool import Pool
from bentod.supervise.process import ChildProcess, attach
from bentod.supervise.spawn import spawn
from tests.support.children import Events, plan

ROOT = Path(__file__).parents[2]
READY = """
import ctypes, os, signal, socket, subprocess, sys, threading, time
from bentod.wire.blocking import BlockingChannel
from bentod.wire.orders import Ready
channel = BlockingChannel(socket.socket(fileno=int(sys.argv[1])))
channel.receive()
channel.send(Ready((), 0.1))
"""
"""What a process begins with that is a worker as far as its pool can see."""


class RealLauncher:
    """Launches Python with some code. `lines` is what they wrote, `pids` are all that were started."""

    def __init__(self, code: str, folder: Path, socket_folder: Path) -> None:
        self.code, self.folder = code, folder
        self.lines: list[str] = []
        self.pids: list[int] = []
        self._sockets = (socket_folder / str(number) for number in itertools.count())

    async def launch(self, service: ServicePlan | None, worker: WorkerPlan | None) -> ChildProcess:
        del service, worker
        argv = [sys.executable, "-c", self.code]
        spawned = spawn(argv, {"PYTHONPATH": str(ROOT)}, self.folder, capture=True)
        self.pids.append(spawned.popen.pid)
        return await attach(spawned, lambda _, line: self.lines.append(line))

    def socket_path(self) -> Path:
        return next(self._sockets)

    def remove_socket(self, path: str) -> None:
        Path(path).unlink(missing_ok=True)


def started(
    code: str, tmp_path: Path, *, grant: Grant = NOTHING, given: dict[str, Any] | None = None, **changed: Any
) -> tuple[Pool, RealLauncher, Events]:
    """A pool of one real process that has this grant, its launcher and its events. `given` are more arguments of the
    pool."""
    launcher, events = RealLauncher(code, tmp_path, tmp_path), Events()
    service = replace(plan(**changed), workers=(WorkerPlan(0, {}, {}, grant),))
    pool = Pool(service, tmp_path, launcher, lambda: None, events, **(given or {}))
    pool.start()
    return pool, launcher, events
