"""From orders to a serving target: import, construct, start hook, and the kind of server that fits its methods."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from bentod.wire.orders import Failed, Method, Probed, Setup
from bentod.worker import target
from bentod.worker.calls import Caller, bound
from bentod.worker.device_errors import Spotter
from bentod.worker.imports import Imports
from bentod.worker.shared_threads import SharedThreadServer
from bentod.worker.threads import ThreadServer

if TYPE_CHECKING:
    import asyncio

_BACKLOG = 128
_HOOK_TIMEOUT_S = 30


class Server(Protocol):
    """What serves calls."""

    def serve(self) -> None:
        """Serve until drained."""

    def drain(self) -> None:
        """End once the gateways have gone. From any thread."""


def start(setup: Setup, imports: Imports, spotter: Spotter) -> Served | Failed:
    """Import, construct and start the target, in this thread, which will also run its calls (or its event loop).
    `imports` follows what it imports from here on, `spotter` sees what it raises."""
    _import_before(Path(setup.project), setup.target)
    imports.install()
    try:
        instance = target.construct(target.load(setup.target, Path(setup.project), imports), setup.init)
        served = Served(instance, setup, tuple(target.methods(instance, setup.methods).values()), spotter)
        served.start()
    except target.TargetFailed as failure:
        return Failed(failure.stage, failure.error, failure.traceback, imports.record.files, spotter.lost(failure))
    return served


def _import_before(project: Path, name: str) -> None:
    """If the project has files named as modules of Python's own, import first what we may need later: the project's
    files come first from then on."""
    names: set[str] = set()
    for folder in (project, (project / name.partition(":")[0]).parent):
        with suppress(OSError):
            names |= {path.stem for path in folder.iterdir()}
    if names & {*sys.stdlib_module_names, "uvloop", "msgpack"}:
        for needed in ("bentod.worker.shared_tasks", "uvloop"):
            importlib.import_module(needed)


class Served:
    """A constructed target with its methods and hooks."""

    def __init__(self, instance: object, setup: Setup, methods: tuple[Method, ...], spotter: Spotter) -> None:
        self.methods = methods
        self._spotter = spotter
        self._setup = setup
        self._bound = tuple(bound(target.bind(instance, method.name), method) for method in methods)
        self._hooks = {name: target.bind(instance, method) for name, method in setup.hooks.items()}
        hooks = [target.style(hook) for hook in self._hooks.values()]
        styles = (*hooks, *(method.style for method in methods))
        self._loop = _new_loop() if any(style.startswith("async") for style in styles) else None

    def start(self) -> None:
        """Run the `start` hook. Raises TargetFailed."""
        try:
            self._hook("start")
        except BaseException as error:  # noqa: BLE001 - user code may raise anything
            raise target.failed("start hook", error) from None

    def probe(self) -> Probed:
        """What the `ready` hook says; false and an exception are a no. To be called while the server serves."""
        try:
            ok = self._hook("ready") is not False
        except BaseException as error:  # noqa: BLE001 - user code may raise anything
            self._spotter.seen(error)
            return Probed(ok=False, reason=f"the ready hook raised {type(error).__name__}: {error}"[:500])
        return Probed(ok, reason="" if ok else "the ready hook said no")

    def stop(self) -> None:
        """Run the `stop` hook; what it raises goes to the log, and the worker ends all the same."""
        try:
            self._hook("stop")
        except BaseException as error:  # noqa: BLE001 - user code may raise anything
            sys.stderr.write(target.failed("stop hook", error).traceback)

    def _hook(self, name: str) -> Any:
        value = self._hooks[name]() if name in self._hooks else None
        if not inspect.iscoroutine(value):
            return value
        assert self._loop is not None
        if self._loop.is_running():  # we are in the control thread
            return _elsewhere(value, self._loop)
        return self._loop.run_until_complete(value)

    @contextmanager
    def listening(self) -> Iterator[Server]:
        """A server on the worker's own socket, which is gone afterwards."""
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listener.bind(self._setup.socket)
            listener.listen(_BACKLOG)
            yield self._server(listener)
        finally:
            listener.close()
            Path(self._setup.socket).unlink(missing_ok=True)

    def _server(self, listener: socket.socket) -> Server:
        given = (self._bound, _report, frozenset(self._setup.expected), self._setup.project, self._spotter.seen)
        several = self._setup.gateways > 1
        if not any(method.is_async for method in self._bound):
            kind = SharedThreadServer if several else ThreadServer
            return kind(listener, self._setup.threads, lambda: Caller(*given))
        from bentod.worker.coroutines import AsyncCaller  # asyncio costs a plain target 9 MB and 60 ms
        from bentod.worker.shared_tasks import SharedTaskServer
        from bentod.worker.tasks import TaskServer

        assert self._loop is not None
        tasks = SharedTaskServer if several else TaskServer
        return tasks(self._loop, listener, lambda: AsyncCaller(*given), self._setup)


def _new_loop() -> asyncio.AbstractEventLoop:
    import uvloop  # as above: only targets with coroutines pay for an event loop

    return uvloop.new_event_loop()


def _elsewhere(coroutine: Any, loop: asyncio.AbstractEventLoop) -> Any:
    import asyncio

    return asyncio.run_coroutine_threadsafe(coroutine, loop).result(_HOOK_TIMEOUT_S)


def _report(text: str) -> None:
    """What the log should know. The user's code may have closed stderr: that must not cost the call its answer."""
    with contextlib.suppress(Exception):
        sys.stderr.write(text)
        sys.stderr.flush()
