"""Serves a target that has `async def` methods: each call is a task; synchronous methods run in a thread pool."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, cast

from bentod.errors import WireError
from bentod.wire.entries import CANCEL, NAMED, Entry, same_user, unpack
from bentod.wire.frames import Splitter
from bentod.wire.orders import Setup
from bentod.worker.calls import Caller, context_of


class AsyncCaller(Caller):
    """Runs calls of `async def` methods."""

    async def run_async(self, entry: Entry) -> bytes:
        """The answer, framed; cancelling this cancels the method."""
        kind, call, index, deadline, argument, extra = entry
        method = self.methods[index]
        started = time.monotonic()
        if started >= deadline:
            return self.expired(call)
        named: dict[str, Any] = dict(argument) if kind == NAMED else {}
        context = None
        if method.takes_context and extra is not None:  # else `context` is a property of the input
            named["context"] = context = context_of(extra, deadline)
        try:
            value = await (method.call(**named) if kind == NAMED else method.call(argument, **named))
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            given_up = task is not None and task.cancelling()  # else it is the method's own affair
            return self.given_up(call) if given_up else self.raised(call, started, error)
        except BaseException as error:  # noqa: BLE001 - user code may raise anything, SystemExit included
            return self.raised(call, started, error)
        return self.done(call, started, value, context)


class TaskServer:
    """Runs calls as tasks of `loop` until it is drained."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, listener: socket.socket, caller: Callable[[], AsyncCaller], setup: Setup
    ) -> None:
        self._loop = loop
        self._listener = listener
        self._caller = caller
        self.async_caller = caller()
        self._local = threading.local()
        self._pool = ThreadPoolExecutor(setup.threads, thread_name_prefix="call")
        self._slots = asyncio.Semaphore(setup.concurrency)
        self.connections: set[_Connection] = set()
        self._drained = asyncio.Event()
        self.draining = False

    def serve(self) -> None:
        """Serve until `drain` was called and every gateway has gone."""
        self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        server = await self._loop.create_unix_server(lambda: _Connection(self), sock=self._listener)
        await self._drained.wait()
        server.close()
        self._pool.shutdown(wait=False)

    def drain(self) -> None:
        """Take no new gateway, and end once those that are connected have gone. From any thread."""
        self._loop.call_soon_threadsafe(self._drain)

    def _drain(self) -> None:
        self.draining = True
        self.check()

    def check(self) -> None:
        """End if there is nothing left to do."""
        if self.draining and not self.connections:
            self._drained.set()

    def start(self, entry: Entry) -> tuple[asyncio.Future[bytes], asyncio.Future[bytes] | Future[bytes]]:
        """Begin one call: the future of its framed answer, and what to cancel to give it up.

        A synchronous method that runs cannot be given up: its future refuses, and keeps its thread until it returns.
        """
        if self.async_caller.methods[entry[2]].is_async:
            task = self._loop.create_task(self._run_async(entry))
            return task, task
        future = self._pool.submit(self._run_here, entry)
        return asyncio.wrap_future(future), future

    async def _run_async(self, entry: Entry) -> bytes:
        async with self._slots:
            return await self.async_caller.run_async(entry)

    def _run_here(self, entry: Entry) -> bytes:
        if not hasattr(self._local, "caller"):
            self._local.caller = self._caller()
        answer: bytes = self._local.caller.run(entry)
        return answer


class _Connection(asyncio.Protocol):
    """A gateway and its calls."""

    def __init__(self, server: TaskServer) -> None:
        self._server = server
        self._splitter = Splitter()
        self._running: dict[int, asyncio.Future[bytes] | Future[bytes]] = {}
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are none by inheritance
        if self._server.draining or not same_user(transport.get_extra_info("socket"), os.getuid()):
            self._transport.abort()
        self._server.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.connections.discard(self)
        for running in list(self._running.values()):
            running.cancel()
        self._server.check()

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        try:
            for payload in self._splitter.feed(data):
                for entry in unpack(payload):
                    self._take(entry)
        except WireError:
            self._transport.abort()

    def _take(self, entry: Entry) -> None:
        call = entry[1]
        if entry[0] == CANCEL:
            if call in self._running:
                self._running[call].cancel()
            return
        answer, self._running[call] = self._server.start(entry)
        answer.add_done_callback(partial(self._answered, call))

    def _answered(self, call: int, answer: asyncio.Future[bytes]) -> None:
        del self._running[call]
        if self._transport is None or self._transport.is_closing():
            return
        self._transport.write(self._server.async_caller.given_up(call) if answer.cancelled() else answer.result())
