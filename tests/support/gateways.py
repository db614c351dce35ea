"""A gateway's end of a worker's socket, and workers that serve in a thread of the test."""

from __future__ import annotations

import asyncio
import itertools
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bentod.wire.entries import CANCEL, NAMED, POSITIONAL, EntryPacker, unpack
from bentod.wire.frames import Splitter
from bentod.wire.messages import Setup
from bentod.worker import target
from bentod.worker.calls import Bound, Caller, bound
from bentod.worker.tasks import AsyncCaller, TaskServer
from bentod.worker.threads import ThreadServer

WAIT_S = 20.0


def bounds(*functions: Callable[..., Any]) -> tuple[Bound, ...]:
    """Functions as a worker's methods."""
    return tuple(bound(function, target.describe("f", function)) for function in functions)


def entries(data: bytes) -> list[Any]:
    """The entries in some frames."""
    splitter = Splitter()
    found = [entry for payload in splitter.feed(data) for entry in unpack(payload)]
    assert splitter.clean
    return found


class Gate:
    """A gateway: sends calls, and waits for answers."""

    def __init__(self, path: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(WAIT_S)
        self.socket.connect(path)
        self._packer = EntryPacker()
        self._splitter = Splitter()
        self._ids = itertools.count(1)
        self._answers: list[Any] = []

    def __enter__(self) -> Gate:
        return self

    def __exit__(self, *exc: object) -> None:
        self.socket.close()

    def entry(
        self, argument: Any, method: int = 0, *, named: bool = False, timeout_s: float = WAIT_S, extra: Any = None
    ) -> tuple[Any, ...]:
        """A call with a new id."""
        kind = NAMED if named else POSITIONAL
        return kind, next(self._ids), method, time.monotonic() + timeout_s, argument, extra

    def send(self, *calls: Sequence[Any]) -> None:
        """Send entries together."""
        self.socket.sendall(self._packer.frames([self._packer.entry(call) for call in calls]))

    def call(self, argument: Any, method: int = 0, **options: Any) -> int:
        """Send one call; its id."""
        call = self.entry(argument, method, **options)
        self.send(call)
        return int(call[1])

    def cancel(self, call: int) -> None:
        self.send((CANCEL, call))

    def answer(self) -> Any:
        """The next answer; None at the end."""
        while not self._answers:
            data = self.socket.recv(65536)
            if not data:
                return None
            for payload in self._splitter.feed(data):
                self._answers += unpack(payload)
        return self._answers.pop(0)

    def answers(self, count: int) -> dict[int, Any]:
        """That many answers, by id."""
        found = {}
        for _ in range(count):
            answer = self.answer()
            assert answer is not None, "the worker hung up"
            found[answer[1]] = answer
        return found


class Serving:
    """A worker that serves in another thread."""

    def __init__(self, server: ThreadServer | TaskServer, path: str, log: list[str]) -> None:
        self.server = server
        self.path = path
        self.log = log
        self.thread = threading.Thread(target=server.serve, name="worker")

    def gate(self) -> Gate:
        """A new gateway, connected."""
        return Gate(self.path)

    def ended(self) -> bool:
        """Whether it has ended, or does soon."""
        self.thread.join(WAIT_S)
        return not self.thread.is_alive()


@contextmanager
def serving(
    *functions: Callable[..., Any], threads: int = 1, concurrency: int = 100, tasks: bool = False
) -> Iterator[Serving]:
    """A worker with these methods; when the block ends it is drained, and must end."""
    folder = Path(tempfile.mkdtemp(prefix="bt"))
    path = str(folder / "w")
    log: list[str] = []
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(path)
    listener.listen()
    loop = asyncio.new_event_loop() if tasks else None
    found = bounds(*functions)
    if loop is not None:
        setup = Setup("s", 0, "m", "/", (), threads=threads, concurrency=concurrency)
        server: ThreadServer | TaskServer = TaskServer(loop, listener, lambda: AsyncCaller(found, log.append), setup)
    else:
        server = ThreadServer(listener, threads, lambda: Caller(found, log.append))
    worker = Serving(server, path, log)
    worker.thread.start()
    try:
        yield worker
        server.drain()
        assert worker.ended(), "it does not end"
    finally:
        listener.close()
        if loop is not None and not worker.thread.is_alive():
            loop.close()
        shutil.rmtree(folder)
