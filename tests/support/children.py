"""Child processes that never run: what they get is kept, what they say and how they end is up to a test."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from bentod.errors import WireError
from bentod.plan.model import RestartPolicy, ServicePlan, WorkerPlan
from bentod.supervise.process import ChildProcess
from bentod.supervise.surroundings import Surroundings
from bentod.wire.messages import Message, Method, Ready

READY = Ready((Method("f", "sync", ()),), 0.01)


class FakeChannel:
    """The daemon's end of a control channel."""

    def __init__(self) -> None:
        self.sent: list[Message] = []
        self.closed = False
        self._said: asyncio.Queue[Message | WireError | None] = asyncio.Queue()

    def send(self, message: Message) -> None:
        self.sent.append(message)

    async def receive(self) -> Message | None:
        message = await self._said.get()
        if message is None:
            self._said.put_nowait(None)
        if isinstance(message, WireError):
            raise message
        return message

    def close(self) -> None:
        self.closed = True

    def say(self, message: Message | WireError | None) -> None:
        """What the child says; None is the end of its channel."""
        self._said.put_nowait(message)


class FakeChild:
    """A child. `stubborn`: it does not end when it is told to drain."""

    _pids = itertools.count(4_000_000)

    def __init__(self, *, stubborn: bool = False) -> None:
        self.pid = next(self._pids)
        self.channel = FakeChannel()
        self.killed = False
        self.peak: int | None = None
        self._ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        if not stubborn:
            self.channel.send = self._obey  # type: ignore[method-assign]

    def _obey(self, message: Message) -> None:
        self.channel.sent.append(message)
        if type(message).__name__ == "Drain":
            self.end(0)

    async def wait(self) -> int:
        return await asyncio.shield(self._ended)

    @property
    def exit_code(self) -> int | None:
        return self._ended.result() if self._ended.done() else None

    def kill(self) -> None:
        if self.exit_code is None:
            self.killed = True
            self.end(-9)

    def end(self, code: int, *, silent: bool = False) -> None:
        """The process ends; `silent` keeps its channel open for a while, as the kernel may."""
        if not self._ended.done():
            self._ended.set_result(code)
        if not silent:
            self.channel.say(None)

    def say(self, message: Message | WireError | None = READY) -> None:
        self.channel.say(message)


class FakeLauncher:
    """Launches fake children. `failing`: OSErrors to raise first; `gate`: if not set, launching waits."""

    def __init__(self, *, ready: bool = False, stubborn: bool = False) -> None:
        self.children: list[FakeChild] = []
        self.failing: list[OSError] = []
        self.removed: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.ready = ready
        self._stubborn = stubborn

    async def launch(self, service: ServicePlan, worker: WorkerPlan) -> ChildProcess:
        del service, worker
        await self.gate.wait()
        if self.failing:
            raise self.failing.pop(0)
        child = FakeChild(stubborn=self._stubborn)
        self.children.append(child)
        if self.ready:
            child.say()
        return cast(ChildProcess, child)

    def socket_path(self) -> Path:
        return Path(f"/nowhere/{len(self.children)}")

    def remove_socket(self, path: str) -> None:
        self.removed.append(path)


def policy(**changed: Any) -> RestartPolicy:
    """A restart policy that does not wait."""
    return RestartPolicy(**{"delay_s": 0.0, "factor": 2.0, "max_delay_s": 1.0, "window_s": 300.0, "limit": 3} | changed)


def plan(workers: int = 1, **changed: Any) -> ServicePlan:
    """A service."""
    values: dict[str, Any] = {
        "name": "s",
        "target": "m:f",
        "methods": ("f",),
        "hooks": {},
        "threads": 2,
        "concurrency": 7,
        "start_timeout_s": 20.0,
        "stop_timeout_s": 20.0,
        "restart": policy(),
        "expected": (),
        "gateways": 3,
        "workers": tuple(WorkerPlan(index, {"device": index}, {}) for index in range(workers)),
    }
    return ServicePlan(**values | changed)


def around(launcher: FakeLauncher, changed: Callable[[], None], log: Callable[..., None], **given: Any) -> Surroundings:
    """What a worker is given; its pool has not gone live, and has nothing to try it with."""

    async def fine(*_: Any) -> str:
        return ""

    values: dict[str, Any] = {
        "launcher": launcher,
        "project": "/project",
        "objects": "",
        "pins": dict,
        "rehearse": fine,
        "live": lambda: False,
        "changed": changed,
        "log": log,
        "jitter": lambda: 0.0,
        "kills": lambda: None,
    }
    return Surroundings(**values | given)


class Events:
    """A log that keeps what it is told."""

    def __init__(self) -> None:
        self.all: list[tuple[str, dict[str, Any]]] = []

    def __call__(self, event: str, **keys: Any) -> None:
        self.all.append((event, keys))

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.all]
