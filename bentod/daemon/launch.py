"""Starts this package's own child processes."""

from __future__ import annotations

import itertools
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from bentod.daemon.prelaunch import spawn_gateway
from bentod.daemon.spares import Spares
from bentod.plan.model import ServicePlan, WorkerPlan
from bentod.supervise.limits import Limits
from bentod.supervise.process import ChildProcess, attach
from bentod.supervise.spawn import Spawned, spawn
from bentod.wire.frames import frame
from bentod.wire.messages import ServerLimits, encode

WorkerOutput = Callable[[str, int, str, str], None]
"""Takes service, worker, stream and one line."""


class ProcessLauncher:
    """Starts workers as `python -m bentod.worker`, in the project's folder, with their output captured.

    `-P` keeps the project from shadowing what the worker itself imports; the target's folder comes first later, when
    the target is imported. `limits` holds them all to what they were granted.
    """

    def __init__(self, project: Path, sockets: Path, output: WorkerOutput) -> None:
        self._project = project
        self._sockets = sockets
        self._output = output
        self._numbers = itertools.count(1)
        self.spares = Spares(self._start)
        self.limits = Limits()

    def prepare(self, service: ServicePlan) -> None:
        """A worker of this service will probably be needed soon."""
        self.spares.prepare(_environ(service.workers[0]))

    async def launch(self, service: ServicePlan, worker: WorkerPlan) -> ChildProcess:
        """A new process for this worker. Raises OSError."""

        def sink(stream: str, line: str) -> None:
            self._output(service.name, worker.index, stream, line)

        environ = _environ(worker)
        return await attach(self.spares.take(environ) or self._start(environ), sink)

    def _start(self, environ: Mapping[str, str]) -> Spawned:
        return spawn([sys.executable, "-P", "-m", "bentod.worker"], environ, self._project, capture=True)

    def socket_path(self) -> Path:
        """A fresh path for a worker's data socket."""
        return self._sockets / str(next(self._numbers))

    def remove_socket(self, path: str) -> None:
        """Remove what a worker that is gone may have left at its path."""
        Path(path).unlink(missing_ok=True)


def _environ(worker: WorkerPlan) -> dict[str, str]:
    return {**worker.environ, "PYTHONUNBUFFERED": "1"}


async def launch_gateway(spawned: Spawned | None, limits: ServerLimits, sockets: Sequence[int]) -> ChildProcess:
    """A gateway with its orders and the listening sockets: `spawned` beforehand, or a new process. Raises OSError."""
    if spawned is None:
        spawned = spawn_gateway()
    socket.send_fds(spawned.end, [frame(encode(limits))], sockets)
    return await attach(spawned)
