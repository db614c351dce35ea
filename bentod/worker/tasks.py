"""Serves a target that has `async def` methods: each call is a task; synchronous methods run in a thread pool."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, cast

from bentod.errors import WireError
from bentod.wire.entries import BATCH, CANCEL, PASS, TAKEN, Entry, Terms, same_user, unpack
from bentod.wire.intake import SEND_BUFFER, Intake
from bentod.wire.orders import Setup
from bentod.worker.batches import CALLS, Assembly, Batch
from bentod.worker.coroutines import AsyncCaller, AsyncTogether
from bentod.worker.flow import AsyncOutlet, Flow, Sendable, ThreadFlow
from bentod.worker.takes import ITEM
from bentod.worker.together import Send, Together

_Running = asyncio.Future[Sendable] | Future[Sendable]


class TaskServer:
    """Runs calls as tasks of `loop` until it is drained."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, listener: socket.socket, caller: Callable[[], AsyncCaller], setup: Setup
    ) -> None:
        self._loop = loop
        self._listener = listener
        self._caller = caller
        self.async_caller = caller()
        self._together = AsyncTogether(self.async_caller)
        self.methods = self.async_caller.methods
        self._local = threading.local()
        self._pool = ThreadPoolExecutor(setup.threads, thread_name_prefix="call")
        self._slots = asyncio.Semaphore(setup.concurrency)
        self.connections: set[Connection] = set()
        self._drained = asyncio.Event()
        self.draining = False

    def serve(self) -> None:
        """Serve until `drain` was called and every gateway has gone."""
        self._loop.run_until_complete(self._serve())

    def connection(self) -> Connection:
        """A gateway connects."""
        return Connection(self)

    async def _serve(self) -> None:
        server = await self._loop.create_unix_server(self.connection, sock=self._listener)
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

    def start(self, connection: Connection, entry: Entry, attachments: Sequence[Any]) -> asyncio.Future[Sendable]:
        """Begin one call: the future of its framed answer. What gives the call up is told to `connection`.

        A synchronous method that runs cannot be given up: its future refuses, and keeps its thread until it returns.
        """
        call, ahead = entry[1], Terms(*entry[6]).ahead if entry[6] is not None else 0
        if self.methods[entry[2]].is_async:
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
        return self._callers().caller.run(entry, attachments, outlet)

    def start_batch(self, connection: Connection, batch: Batch) -> asyncio.Future[None]:
        """Begin calls that hold one slot: the future of their end. They are answered by `connection`."""
        if not self.methods[batch.method].is_async:
            return asyncio.wrap_future(self._pool.submit(self._run_batch_here, batch, connection.send_from_thread))
        run = self._run_items(connection, batch) if batch.takes == ITEM else self._run_together(connection, batch)
        return self._loop.create_task(run)

    async def _run_together(self, connection: Connection, batch: Batch) -> None:
        async with self._slots:
            await self._together.run_async(batch, connection.send)

    async def _run_items(self, connection: Connection, batch: Batch) -> None:
        """All at once, each a task of its own, within the one slot."""
        async with self._slots:
            tasks = []
            while (taken := batch.take()) is not None:
                task = self._loop.create_task(self.async_caller.run_async(*taken, None))
                connection.began(taken[0][1], task, None)
                task.add_done_callback(partial(connection.answered, taken[0][1]))
                tasks.append(task)
            if tasks:
                await asyncio.wait(tasks)

    def _run_batch_here(self, batch: Batch, send: Send) -> None:
        if batch.takes != ITEM:
            send(self._callers().run(batch, send))
            return
        while (taken := batch.take()) is not None:
            send(self._callers().caller.run(*taken))

    def _callers(self) -> Together:
        """This thread's own."""
        if not hasattr(self._local, "together"):
            self._local.together = Together(self._caller())
        together: Together = self._local.together
        return together


class Connection(asyncio.BufferedProtocol):
    """A gateway and its calls."""

    def __init__(self, server: TaskServer) -> None:
        self._server = server
        self.loop = asyncio.get_running_loop()
        self._intake = Intake()
        self._running: dict[int, _Running] = {}
        self._streams: dict[int, Flow] = {}
        self._assembly: Assembly | None = None
        self._batches: dict[int, tuple[Batch, asyncio.Future[None]]] = {}
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
        for call in [*self._running, *self._batches]:
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
        kind, call = entry[0], entry[1]
        if self._assembly is not None:
            batch = self._assembly.add(entry, attachments)
            if batch is not None:
                self._assembly = None
                self._start_batch(batch)
        elif kind in CALLS:
            self._start(entry, attachments)
        elif kind == CANCEL:
            self._give_up(call)
        elif kind == TAKEN:
            if call in self._streams:
                self._streams[call].taken(entry[2])
        elif kind == BATCH:
            self._assembly = Assembly(entry)
        elif kind != PASS:
            raise WireError(f"an entry of kind {kind!r:.20}")

    def _start(self, entry: Entry, attachments: Sequence[Any]) -> asyncio.Future[Sendable]:
        answer = self._server.start(self, entry, attachments)
        answer.add_done_callback(partial(self.answered, entry[1]))
        return answer

    def _start_batch(self, batch: Batch) -> asyncio.Future[None]:
        calls = batch.calls
        future = self._server.start_batch(self, batch)
        self._batches.update(dict.fromkeys(calls, (batch, future)))
        future.add_done_callback(partial(self._ended, calls))
        return future

    def _ended(self, calls: Sequence[int], future: asyncio.Future[None]) -> None:
        for call in calls:
            self._batches.pop(call, None)
        if not future.cancelled():
            future.result()

    def began(self, call: int, running: _Running, stream: Flow | None) -> None:
        """A call runs: what gives it up, and its stream if it is one."""
        self._running[call] = running
        if stream is not None:
            self._streams[call] = stream

    def _give_up(self, call: int) -> None:
        if call in self._running:
            self._running[call].cancel()
        elif call in self._batches:
            self._give_up_of_batch(call, *self._batches[call])
        if call in self._streams:
            self._streams[call].leave()

    def _give_up_of_batch(self, call: int, batch: Batch, future: asyncio.Future[None]) -> None:
        """A call that waits leaves. A task ends once all its calls are given up; a thread cannot be stopped."""
        if batch.leave(call):
            del self._batches[call]
            self.send(self._server.async_caller.given_up(call))
        elif call in batch.running:
            batch.running.discard(call)
            if not batch.running:
                future.cancel()

    def answered(self, call: int, answer: asyncio.Future[Sendable]) -> None:
        """A call has ended: send its answer."""
        del self._running[call]
        self._streams.pop(call, None)
        self.send(self._server.async_caller.given_up(call) if answer.cancelled() else answer.result())

    def send_from_thread(self, data: Sendable) -> None:
        """Let the loop's thread send it."""
        self.loop.call_soon_threadsafe(self.send, data)

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

    def __init__(self, connection: Connection, ahead: int) -> None:
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

    def __init__(self, connection: Connection, ahead: int) -> None:
        super().__init__(ahead, threading.Condition())
        self._connection = connection

    def send(self, chunk: Sendable) -> None:
        self.sent(chunk)
        self._connection.send_from_thread(chunk)

    def wait(self) -> bool:
        with self.changed:
            self.changed.wait_for(lambda: self.room or self.gone)
        return not self.gone
