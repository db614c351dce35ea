"""Serves synchronous methods: one thread at a time waits for calls, the others run them.

A thread that takes a call leaves the waiting to the next one, so a call never changes threads between the socket and
the callable; with `threads: 1` everything happens in the main thread. (The "leader/followers" pattern: Schmidt et al.,
Pattern-Oriented Software Architecture 2, 2000.)

A thread that runs a stream looks at the sockets now and then, if no other does: its reader may be gone. When it has to
wait for its reader, it leads like any other.
"""

from __future__ import annotations

import os
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from bentod.errors import WireError
from bentod.wire.entries import BATCH, CANCEL, PASS, TAKEN, Entry, EntryPacker, Terms, same_user, unpack
from bentod.worker.batches import CALLS, Assembly, Batch
from bentod.worker.calls import Caller, cancelled
from bentod.worker.flow import Sendable, ThreadFlow
from bentod.worker.gateway import Gateway
from bentod.worker.takes import ITEM
from bentod.worker.together import Together

_LOOK_S = 0.01
Waiting = tuple[Gateway, Entry | Batch, Sequence[Any]]
"""What waits for a thread, and who sent it."""


class ThreadServer:
    """Runs calls in `threads` threads until it is drained."""

    gateway = Gateway

    def __init__(self, listener: socket.socket, threads: int, caller: Callable[[], Caller]) -> None:
        self._listener = listener
        self._threads = threads
        self._caller = caller
        self._poll = select.epoll()
        self._poll.register(listener, select.EPOLLIN)
        self._wake_read, self._wake_write = os.pipe()
        self._poll.register(self._wake_read, select.EPOLLIN)
        self._gateways: dict[int, Gateway] = {}
        self._waiting: deque[Waiting] = deque()
        self._streams: dict[tuple[Gateway, int], _Outlet] = {}
        self._begun: list[tuple[Gateway, Batch]] = []  # whose calls run one after the other
        self._packer = EntryPacker()
        self.lock = threading.RLock()
        self._work = threading.Condition(self.lock)  # there may be a call to run, or nobody leads
        self._idle = 0
        self._stalled: set[_Outlet] = set()
        self._led = False
        self._draining = False

    def serve(self) -> None:
        """Serve until `drain` was called and every gateway has gone."""
        others = [threading.Thread(target=self._run, name=f"call-{n}", daemon=True) for n in range(1, self._threads)]
        for thread in others:
            thread.start()
        self._run()
        for thread in others:
            thread.join()

    def drain(self) -> None:
        """Take no new gateway, and end once those that are connected have gone. From any thread."""
        self._draining = True
        os.write(self._wake_write, b"x")

    def _run(self) -> None:
        together = Together(self._caller())
        while self._run_next(together):
            pass

    def _run_next(self, together: Together) -> bool:
        """Run one call or batch, and forget it before the next one is waited for; false when all is done."""
        waiting = self._next()
        if waiting is None:
            return False
        gateway, entry, attachments = waiting
        if isinstance(entry, Batch):
            gateway.send(self._run_batch(together, gateway, entry))
        elif entry[6] is None:
            gateway.send(together.caller.run(entry, attachments))
        else:
            gateway.send(together.caller.run(entry, attachments, self._streams.get((gateway, entry[1]))))
            with self.lock:
                self._streams.pop((gateway, entry[1]), None)
        return True

    def _run_batch(self, together: Together, gateway: Gateway, batch: Batch) -> Sendable:
        """Run a batch. Returns what is to be sent last."""
        if batch.takes != ITEM:
            return together.run(batch, gateway.send)
        begun, looked = (gateway, batch), time.monotonic()
        answer: Sendable = b""
        with self.lock:
            self._begun.append(begun)
        while (taken := batch.take()) is not None:
            if answer:
                gateway.send(answer)
            answer = together.caller.run(*taken)
            if time.monotonic() - looked > _LOOK_S:
                with self.lock:
                    self.look()
                looked = time.monotonic()
        with self.lock:
            self._begun.remove(begun)
        return answer

    def _next(self) -> Waiting | None:
        """The next call, waiting for it as the leader or behind one; None when all is done."""
        with self.lock:
            while not self._waiting:
                if self._draining and not self._gateways:
                    self._work.notify_all()
                    return None
                if not self._led:
                    self._lead(None)
                    continue
                self._idle += 1
                self._work.wait()
                self._idle -= 1
            waiting = self._waiting.popleft()
            self.hand_over()
            return waiting

    def look(self) -> None:
        """Take in what is there, if nobody else does. With the lock."""
        if not self._led:
            self._lead(0)
            if self._waiting:  # the looking one may have to wait next, and nobody else heard of these calls
                self.hand_over()

    def stall(self, outlet: _Outlet) -> None:
        """Wait for something that may let `outlet` go on. With the lock, which is free meanwhile."""
        if not self._led:
            self._lead(None)
            self.hand_over()
            return
        self._stalled.add(outlet)
        outlet.changed.wait()
        self._stalled.discard(outlet)

    def _lead(self, timeout_s: float | None) -> None:
        """Wait for what comes next, and take it in. With the lock, which is free meanwhile."""
        self._led = True
        self.lock.release()
        try:
            found = self._poll.poll(timeout_s)
        finally:
            self.lock.acquire()
            self._led = False
        for descriptor, _ in found:
            if descriptor == self._listener.fileno():
                self._accept()
            elif descriptor == self._wake_read:
                self._poll.unregister(self._wake_read)
            else:
                self._read(self._gateways[descriptor])

    def hand_over(self) -> None:
        """Who holds the lock goes to work: others take the calls that still wait, and one of them the lead."""
        if self._idle:
            self._work.notify(len(self._waiting) + 1)
        elif self._stalled and not self._led:
            next(iter(self._stalled)).changed.notify()

    def _accept(self) -> None:
        try:
            peer, _ = self._listener.accept()
        except OSError:
            return  # the gateway gave up while it waited
        if self._draining or not same_user(peer, os.getuid()):
            peer.close()
            return
        self._gateways[peer.fileno()] = self.gateway(peer)
        self._poll.register(peer, select.EPOLLIN)

    def _read(self, gateway: Gateway) -> None:
        try:
            for payload, attachments in gateway.receive():
                for entry in unpack(payload):
                    self._take(gateway, entry, attachments)
        except BlockingIOError:
            return
        except (OSError, WireError, LookupError, TypeError, ValueError):  # what is no entry is one of the last three
            self._forget(gateway)

    def _take(self, gateway: Gateway, entry: Entry, attachments: Sequence[Any]) -> None:
        kind = entry[0]
        if gateway.assembly is not None:
            batch = gateway.assembly.add(entry, attachments)
            if batch is not None:
                gateway.assembly = None
                self._waiting.append((gateway, batch, ()))
        elif kind in CALLS:
            if entry[6] is not None and (ahead := Terms(*entry[6]).ahead):
                self._streams[gateway, entry[1]] = _Outlet(self, gateway, ahead)
            self._waiting.append((gateway, entry, attachments))
        elif kind == CANCEL:
            self._cancel(gateway, entry[1])
        elif kind == TAKEN:
            if (stream := self._streams.get((gateway, entry[1]))) is not None:
                stream.taken(entry[2])
        elif kind == BATCH:
            gateway.assembly = Assembly(entry)
        elif kind != PASS:
            raise WireError(f"an entry of kind {kind!r:.20}")

    def _cancel(self, gateway: Gateway, call: int) -> None:
        """Give a call back that has not begun; one that has begun cannot be stopped, unless it is a stream."""
        if (stream := self._streams.get((gateway, call))) is not None:
            stream.leave()
        for item in self._waiting:
            if item[0] is gateway and not isinstance(item[1], Batch) and item[1][1] == call:
                self._waiting.remove(item)
                self._streams.pop((gateway, call), None)
                self._give_back(gateway, call)
                return
        waiting = [item[1] for item in self._waiting if item[0] is gateway and isinstance(item[1], Batch)]
        begun = [batch for owner, batch in self._begun if owner is gateway]
        if any(batch.leave(call) for batch in (*waiting, *begun)):
            self._give_back(gateway, call)

    def _give_back(self, gateway: Gateway, call: int) -> None:
        gateway.send(self._packer.frames([self._packer.entry(cancelled(call))]))

    def _forget(self, gateway: Gateway) -> None:
        """The gateway is gone, and so are its waiting calls and the readers of its streams."""
        self._poll.unregister(gateway.socket)
        del self._gateways[gateway.socket.fileno()]
        for item in [item for item in self._waiting if item[0] is gateway]:
            self._waiting.remove(item)
            if not isinstance(item[1], Batch):
                self._streams.pop((gateway, item[1][1]), None)
        for owner, batch in self._begun:
            if owner is gateway:
                batch.take_all()
        for (reader, _), stream in self._streams.items():
            if reader is gateway:
                stream.leave()
        gateway.close()


class _Outlet(ThreadFlow):
    """The way out for the chunks of one stream that runs in a thread."""

    def __init__(self, server: ThreadServer, gateway: Gateway, ahead: int) -> None:
        super().__init__(ahead, threading.Condition(server.lock))
        self._server = server
        self._gateway = gateway
        self._looked = 0.0

    def send(self, chunk: Sendable) -> None:
        self.sent(chunk)
        self._gateway.send(chunk)

    def wait(self) -> bool:
        if self.room and time.monotonic() - self._looked < _LOOK_S:
            return not self.gone
        with self._server.lock:
            self._server.look()
            self._looked = time.monotonic()
            while not self.room and not self.gone:
                self._server.stall(self)
            self._server.hand_over()
        return not self.gone
