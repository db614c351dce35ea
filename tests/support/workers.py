"""Real worker processes, driven over their control channel as the daemon would."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bentod.wire.blocking import BlockingChannel
from bentod.wire.orders import Drain, Failed, Imported, Order, Ready, Setup

PATIENCE_S = 60.0
_END_S = 20.0


class Worker:
    """A worker that has said whether it is ready."""

    def __init__(self, process: subprocess.Popen[bytes], end: socket.socket, errors: Path) -> None:
        self.process = process
        self._end = end
        self._errors = errors
        self._channel = BlockingChannel(end)
        self.answer: Order | None = None

    @property
    def files(self) -> dict[str, str]:
        """What it had imported when it answered."""
        assert isinstance(self.answer, (Ready, Failed)), self.answer
        return self.answer.files

    @property
    def stderr(self) -> str:
        return self._errors.read_text("utf-8", "replace")

    def send(self, order: Order) -> None:
        self._channel.send(order)

    def receive(self, within_s: float = PATIENCE_S) -> Order | None:
        """What it says next. Raises TimeoutError."""
        self._end.settimeout(within_s)
        return self._channel.receive()

    def imported(self) -> dict[str, str]:
        """What it has imported, as it says next."""
        found = self.receive()
        assert isinstance(found, Imported), found
        return found.files


@contextmanager
def worker(project: Path, target: str, method: str = "f", **setup: Any) -> Iterator[Worker]:
    """A worker that has answered; afterwards it is drained."""
    short = Path(tempfile.mkdtemp(prefix="bw"))
    ours, theirs = socket.socketpair()
    with ours, theirs, (short / "stderr").open("wb") as errors:
        argv = [sys.executable, "-P", "-m", "bentod.worker", str(theirs.fileno())]
        process = subprocess.Popen(
            argv, cwd=project, pass_fds=[theirs.fileno()], stderr=errors, process_group=0, env={**os.environ}
        )
        theirs.close()
        try:
            found = Worker(process, ours, short / "stderr")
            found.send(Setup("s", 0, target, str(project), (method,), str(short / "socket"), **setup))
            found.answer = found.receive()
            yield found
            if process.poll() is None and isinstance(found.answer, Ready):
                found.send(Drain(_END_S))
                assert process.wait(_END_S) == 0, found.stderr
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
            shutil.rmtree(short)
