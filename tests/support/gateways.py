"""A gateway's end of a worker's socket, and workers that serve in a thread of the test."""

from __future__ import annotations

import asyncio
import itertools
import select
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bentod.codec.parcels import opener
from bentod.wire.entries import (
    BATCH,
    CANCEL,
    CHUNK,
    FREE,
    NAMED,
    PASS,
    POSITIONAL,
    REFUSED,
    TAKEN,
    EntryPacker,
    Terms,
    unpack,
)
from bentod.wire.intake import Frame, Intake, Memory
from bentod.wire.messages import Setup
from bentod.worker import target
from bentod.worker.calls import Bound, Caller, bound
from bentod.worker.coroutines import AsyncCaller
from bentod.worker.shared_tasks import SharedTaskServer
from bentod.worker.shared_threads import SharedThreadServer
from bentod.worker.tasks import TaskServer
from bentod.worker.threads import ThreadServer

WAIT_S = 20.0


def bounds(*functions: Callable[..., Any]) -> tuple[Bound, ...]:
    """Functions as a worker's methods."""
    return tuple(bound(function, target.describe("f", function)) for function in functions)


def frames(data: bytes | Sequence[Memory], intake: Intake | None = None) -> list[Frame]:
    """The frames in some bytes, which may come in pieces."""
    intake = intake or Intake()
    found: list[Frame] = []
    for piece in [data] if isinstance(data, bytes) else data:
        left = memoryview(piece).cast("B")
        while left:
            room = intake.buffer()
            count = min(len(room), len(left))
            room[:count] = left[:count]
            left = left[count:]
            found += intake.received(count)
    return found


def entries(data: bytes | Sequence[Memory]) -> list[Any]:
    """The entries in some frames, their parts with them."""
    return [entry for payload, attachments in frames(data) for entry in unpack(payload, opener(attachments))]


class Gate:
    """A gateway: sends calls, and waits for answers."""

    def __init__(self, path: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(WAIT_S)
        self.socket.connect(path)
        self._packer = EntryPacker()
        self._intake = Intake()
        self._ids = itertools.count(1)
        self._answers: list[Any] = []
        self._slot, self._refusals = 0, 0

    def __enter__(self) -> Gate:
        return self

    def __exit__(self, *exc: object) -> None:
        self.socket.close()

    def entry(
        self,
        argument: Any,
        method: int = 0,
        *,
        named: bool = False,
        timeout_s: float = WAIT_S,
        extra: Any = None,
        terms: Terms | None = None,
        ahead: int = 0,
    ) -> tuple[Any, ...]:
        """A call with a new id; of a stream, if it may be `ahead` of its reader."""
        terms = Terms(ahead=ahead) if ahead else terms
        kind = NAMED if named else POSITIONAL
        return kind, next(self._ids), method, time.monotonic() + timeout_s, argument, extra, terms

    def send(self, *calls: Sequence[Any]) -> None:
        """Send entries together."""
        self.socket.sendall(self._packer.frames([self._packer.entry(call) for call in calls]))

    def call(self, argument: Any, method: int = 0, **options: Any) -> int:
        """Send one call; its id."""
        call = self.entry(argument, method, **options)
        self.send(call)
        return int(call[1])

    def batch(
        self, arguments: Sequence[Any], takes: str = "columns", method: int = 0, *, apart: bool = True, **options: Any
    ) -> list[int]:
        """Send calls as one batch; their ids."""
        calls = [self.entry(argument, method, **options) for argument in arguments]
        self.send((BATCH, next(self._ids), len(calls), takes, apart), *calls)
        return [int(call[1]) for call in calls]

    def give_back(self) -> None:
        """What was offered last is not wanted."""
        self.send((PASS, self._slot, self._refusals))

    def cancel(self, call: int) -> None:
        self.send((CANCEL, call))

    def take(self, call: int, chunks: int) -> None:
        """Tell that so many chunks have found their reader."""
        self.send((TAKEN, call, chunks))

    def answer(self) -> Any:
        """The next answer or chunk; None at the end."""
        while not self._answers:
            count = self.socket.recv_into(self._intake.buffer())
            if not count:
                return None
            for payload, attachments in self._intake.received(count):
                self._answers += unpack(payload, opener(attachments))
        answer = self._answers.pop(0)
        if answer[0] == FREE:
            self._slot = answer[1]
        self._refusals += answer[0] == REFUSED
        return answer

    def stream(self, call: int, *, take: bool = True) -> tuple[list[Any], Any]:
        """The chunks of a stream and its end; each chunk is taken."""
        chunks = []
        while (answer := self.answer())[0] == CHUNK:
            assert answer[1] == call
            chunks.append(answer[3])
            if take:
                self.take(call, 1)
        return chunks, answer

    def silent(self) -> bool:
        """Whether nothing more has come so far."""
        if self._answers:
            return False
        if not select.select([self.socket], [], [], 0)[0]:
            return True
        count = self.socket.recv_into(self._intake.buffer())
        for payload, attachments in self._intake.received(count):
            self._answers += unpack(payload, opener(attachments))
        return not self._answers

    def answers(self, count: int) -> dict[int, Any]:
        """That many answers, by id."""
        found = {}
        while len(found) < count:
            answer = self.answer()
            assert answer is not None, "the worker hung up"
            if answer[0] != FREE:
                found[answer[1]] = answer
        return found


class Serving:
    """A worker that serves in another thread."""

    def __init__(self, server: ThreadServer | TaskServer, path: str, log: list[str]) -> None:
        self.server = server
        self.path = path
        self.log = log
        self.thread = threading.Thread(target=server.serve, name="worker", daemon=True)

    def gate(self) -> Gate:
        """A new gateway, connected."""
        return Gate(self.path)

    def ended(self) -> bool:
        """Whether it has ended, or does soon."""
        self.thread.join(WAIT_S)
        return not self.thread.is_alive()


@contextmanager
def serving(
    *functions: Callable[..., Any], threads: int = 1, concurrency: int = 100, tasks: bool = False, gateways: int = 1
) -> Iterator[Serving]:
    """A worker with these methods, for so many gateways; when the block ends it is drained, and must end."""
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
        tasks_kind = TaskServer if gateways == 1 else SharedTaskServer
        server: ThreadServer | TaskServer = tasks_kind(loop, listener, lambda: AsyncCaller(found, log.append), setup)
    else:
        kind = ThreadServer if gateways == 1 else SharedThreadServer
        server = kind(listener, threads, lambda: Caller(found, log.append))
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
