"""Serves a target that has `async def` methods: each call is a task; synchronous methods run in a thread pool."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, cast

from bentod.errors import WireError
from bentod.wire.entries import CANCEL, TAKEN, Entry, Terms, same_user, unpack
from bentod.wire.intake import SEND_BUFFER, Intake
from bentod.wire.orders import Setup
from bentod.worker import parts
from bentod.worker.calls import Caller, Unsendable, Work
from bentod.worker.flow import AsyncOutlet, Flow, Sendable, ThreadFlow

_Running = asyncio.Future[Sendable] | Future[Sendable]


class AsyncCaller(Caller):
    """Runs calls of `async def` methods and asynchronous generators."""

    def _frame(self, entry: Entry) -> Sendable:
        framed = super()._frame(entry)
        if isinstance(framed, bytes):
            return framed
        return [bytes(piece) for piece in framed]  # it goes out later, and the memory may be the callable's own

    async def run_async(self, entry: Entry, attachments: Sequence[Any], outlet: AsyncOutlet | None) -> Sendable:
        """The answer, framed; cancelling this cancels the method."""
        call, method, started = entry[1], self.methods[entry[2]], time.monotonic()
        if started >= entry[3]:
            return self.expired(call)
        try:
            work = self.work(entry, attachments, started)
            value = method.call(*work.positional, **work.named)
            if hasattr(value, "__await__"):
                value = await value
            if outlet is not None:
                return await self._stream_async(work, value, outlet)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            given_up = task is not None and task.cancelling()  # else it is the method's own affair
            return self.given_up(call) if given_up else self.raised(call, started, error)
        except parts.Unreadable as error:
            return self.unreadable(call, started, error)
        except BaseException as error:  # noqa: BLE001 - user code may raise anything, SystemExit included
            return self.raised(call, started, error)
        return self.done(work, value)

    async def _stream_async(self, work: Work, value: Any, outlet: AsyncOutlet) -> Sendable:
        """Send the chunks of an asynchronous iterator. Raises what it raises."""
        if not hasattr(value, "__anext__"):
            return self.no_stream(work, value)
        try:
            async for chunk in value:
                outlet.send(self.chunk(work, chunk))
                if not await outlet.wait():
                    return self.given_up(work.call)
        except Unsendable as error:
            return error.answer
        finally:
            if hasattr(value, "aclose"):
                await value.aclose()
        return self.done(work, None)


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

    def start(self, connection: _Connection, entry: Entry, attachments: Sequence[Any]) -> asyncio.Future[Sendable]:
        """Begin one call: the future of its framed answer. What gives the call up is told to `connection`.

        A synchronous method that runs cannot be given up: its future refuses, and keeps its thread until it returns.
        """
        call, ahead = entry[1], Terms(*entry[6]).ahead if entry[6] is not None else 0
        if self.async_caller.methods[entry[2]].is_async:
            turn = _TaskOutlet(connection, ahead) if ahead else None
            task = self._loop.create_task(self._run_async(entry, attachments, turn))
            connection.began(call, task, turn)
            return task
        outlet = _ThreadOutlet(connection, ahead) if ahead else None
        future = self._pool.submit(self._run_here, entry, attachments, outlet)
        connection.began(call, future, outlet)
        return asyncio.wrap_future(future)

    async def _run_async(self, entry: Entry, attachments: Sequence[Any], outlet: AsyncOutlet | None) -> Sendable:
        async with self._slots:
            return await self.async_caller.run_async(entry, attachments, outlet)

    def _run_here(self, entry: Entry, attachments: Sequence[Any], outlet: _ThreadOutlet | None) -> Sendable:
        if not hasattr(self._local, "caller"):
            self._local.caller = self._caller()
        answer: Sendable = self._local.caller.run(entry, attachments, outlet)
        return answer


class _Connection(asyncio.BufferedProtocol):
    """A gateway and its calls."""

    def __init__(self, server: TaskServer) -> None:
        self._server = server
        self.loop = asyncio.get_running_loop()
        self._intake = Intake()
        self._running: dict[int, _Running] = {}
        self._streams: dict[int, Flow] = {}
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are none by inheritance
        peer = transport.get_extra_info("socket")
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        if self._server.draining or not same_user(peer, os.getuid()):
            self._transport.abort()
        self._server.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.connections.discard(self)
        for call in list(self._running):
            self._give_up(call)
        self._server.check()

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._intake.buffer()

    def buffer_updated(self, nbytes: int) -> None:
        assert self._transport is not None
        try:
            for payload, attachments in self._intake.received(nbytes):
                for entry in unpack(payload):
                    self._take(entry, attachments)
        except WireError:
            self._transport.abort()

    def _take(self, entry: Entry, attachments: Sequence[Any]) -> None:
        call = entry[1]
        if entry[0] == CANCEL:
            self._give_up(call)
        elif entry[0] == TAKEN:
            if call in self._streams:
                self._streams[call].taken(entry[2])
        else:
            self._server.start(self, entry, attachments).add_done_callback(partial(self._answered, call))

    def began(self, call: int, running: _Running, stream: Flow | None) -> None:
        """A call runs: what gives it up, and its stream if it is one."""
        self._running[call] = running
        if stream is not None:
            self._streams[call] = stream

    def _give_up(self, call: int) -> None:
        if call in self._running:
            self._running[call].cancel()
        if call in self._streams:
            self._streams[call].leave()

    def _answered(self, call: int, answer: asyncio.Future[Sendable]) -> None:
        del self._running[call]
        self._streams.pop(call, None)
        self.send(self._server.async_caller.given_up(call) if answer.cancelled() else answer.result())

    def send(self, data: Sendable) -> None:
        """Send a frame, unless the gateway is gone."""
        if self._transport is None or self._transport.is_closing():
            return
        if isinstance(data, bytes):
            self._transport.write(data)
        else:
            self._transport.writelines(data)


class _TaskOutlet(Flow):
    """The way out for the chunks of a stream that runs as a task."""

    def __init__(self, connection: _Connection, ahead: int) -> None:
        super().__init__(ahead)
        self._connection = connection
        self._changed = asyncio.Event()

    def send(self, chunk: Sendable) -> None:
        self.sent(chunk)
        self._connection.send(chunk)

    async def wait(self) -> bool:
        await asyncio.sleep(0)  # others have their turn, and what was sent goes out
        while not self.room and not self.gone:
            self._changed.clear()
            await self._changed.wait()
        return not self.gone

    def taken(self, chunks: int) -> None:
        super().taken(chunks)
        self._changed.set()

    def leave(self) -> None:
        super().leave()
        self._changed.set()


class _ThreadOutlet(ThreadFlow):
    """The same for a stream that runs in the thread pool. What it sends goes out by the loop's thread."""

    def __init__(self, connection: _Connection, ahead: int) -> None:
        super().__init__(ahead, threading.Condition())
        self._connection = connection

    def send(self, chunk: Sendable) -> None:
        self.sent(chunk)
        self._connection.loop.call_soon_threadsafe(self._connection.send, chunk)

    def wait(self) -> bool:
        with self.changed:
            self.changed.wait_for(lambda: self.room or self.gone)
        return not self.gone
