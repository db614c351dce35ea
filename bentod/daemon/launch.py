"""Starts this package's own child processes."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from bentod.plan.model import ServicePlan, WorkerPlan
from bentod.supervise.process import ChildProcess, spawn

WorkerOutput = Callable[[str, int, str, str], None]
"""Takes service, worker, stream and one line."""


class ProcessLauncher:
    """Starts workers as `python -m bentod.worker`, in the project's folder, with their output captured.

    `-P` keeps the project from shadowing what the worker itself imports; the target's folder comes first later, when
    the target is imported.
    """

    def __init__(self, project: Path, sockets: Path, output: WorkerOutput) -> None:
        self._project = project
        self._sockets = sockets
        self._output = output
        self._numbers = itertools.count(1)

    async def launch(self, service: ServicePlan, worker: WorkerPlan) -> ChildProcess:
        """A new process for this worker. Raises OSError."""

        def sink(stream: str, line: str) -> None:
            self._output(service.name, worker.index, stream, line)

        environ = {**worker.environ, "PYTHONUNBUFFERED": "1"}
        argv = [sys.executable, "-P", "-m", "bentod.worker"]
        return await spawn(argv, environ=environ, directory=self._project, sink=sink)

    def socket_path(self) -> Path:
        """A fresh path for a worker's data socket."""
        return self._sockets / str(next(self._numbers))


async def launch_gateway(descriptors: Sequence[int], environ: Mapping[str, str]) -> ChildProcess:
    """A new gateway process, which inherits the listening sockets and shares the daemon's stderr. Raises OSError."""
    argv = [sys.executable, "-P", "-m", "bentod.gateway"]
    return await spawn(argv, environ=environ, directory=Path("/"), descriptors=descriptors)
