"""Serves synchronous methods to several gateways: a thread of its own reads, so that it can refuse at once.

The methods run in the same threads as for one gateway: with `threads: 1` all in the main thread.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from bentod.wire.entries import FREE, PASS, REFUSED, Entry
from bentod.worker.batches import CALLS, Batch
from bentod.worker.calls import Caller, cancelled
from bentod.worker.gateway import Gateway, SharingGateway
from bentod.worker.threads import ThreadServer, Waiting
from bentod.worker.together import Together
from bentod.worker.turns import TICK_S, Turns, arriving

_SMALL = 64 * 1024


class SharedThreadServer(ThreadServer):
    """Runs calls of several gateways in `threads` threads until it is drained."""

    gateway = SharingGateway

    def __init__(self, listener: socket.socket, threads: int, caller: Callable[[], Caller]) -> None:
        super().__init__(listener, threads, caller)
        self._led = True  # by the reader, always: it is set back only while the reader holds the lock
        self._turns: Turns[Gateway] = Turns(threads)
        self._tickets: dict[int, int] = {}  # of what waits, by its identity
        self._running: dict[int, tuple[int, float]] = {}  # of what runs, by its thread, and since when

    def serve(self) -> None:
        reader = threading.Thread(target=self._read_all, name="reader", daemon=True)
        reader.start()
        super().serve()
        reader.join()

    def _read_all(self) -> None:
        with self.lock:
            while not self._draining or self._gateways:
                noted = [gateway for gateway in self._gateways.values() if _sharing(gateway).noted]
                self._lead(TICK_S if noted or self._turns.contended else None)
                if self._turns.contended:
                    self._offer()
                for gateway in self._gateways.values():
                    _sharing(gateway).flush()
                if self._waiting:
                    self._work.notify(len(self._waiting))
            self._led = True
            self._work.notify_all()

    def _run_next(self, together: Together) -> bool:
        waiting = self._next()
        if waiting is None:
            return False
        gateway, entry, attachments = waiting
        if isinstance(entry, Batch):
            answer = self._run_batch(together, gateway, entry)
        else:
            outlet = None if entry[6] is None else self._streams.get((gateway, entry[1]))
            answer = together.caller.run(entry, attachments, outlet)
        small = isinstance(answer, bytes) and len(answer) < _SMALL
        if small:
            self._ended()  # first, so that who has this answer finds the slot free
        gateway.send(answer)
        if not small:  # this thread may have been stuck with it
            self._ended()
        if not isinstance(entry, Batch) and entry[6] is not None:
            with self.lock:
                self._streams.pop((gateway, entry[1]), None)
        return True

    def _ended(self) -> None:
        """What ran in this thread has left its slot."""
        with self.lock:
            ticket, since = self._running.pop(threading.get_ident())
            now = time.monotonic()
            self._turns.end(ticket, now, now - since)
            if self._turns.contended:
                self._offer()

    def _next(self) -> Waiting | None:
        with self.lock:
            while not self._waiting:
                if self._draining and not self._gateways:
                    return None
                self._idle += 1
                self._work.wait()
                self._idle -= 1
            waiting = self._waiting.popleft()
            self._running[threading.get_ident()] = self._tickets.pop(id(waiting)), time.monotonic()
            return waiting

    def _offer(self) -> None:
        """Tell who was refused of a slot that is kept for them."""
        for gateway, slots in self._turns.offers(time.monotonic()):
            self._say(gateway, (FREE, 0, slots))
            _sharing(gateway).flush()

    def _say(self, gateway: Gateway, entry: Entry) -> None:
        _sharing(gateway).note(self._packer.frames([self._packer.entry(entry)]))

    def _accept(self) -> None:
        super()._accept()
        self._turns.gateways = len(self._gateways)

    def _take(self, gateway: Gateway, entry: Entry, attachments: Sequence[Any]) -> None:
        if gateway.assembly is not None:
            self._assemble(gateway, entry, attachments)
        elif entry[0] in CALLS:
            ticket = self._turns.take(gateway, time.monotonic())
            if ticket is None:
                self._refuse(gateway, entry[1])
                return
            super()._take(gateway, entry, attachments)
            self._tickets[id(self._waiting[-1])] = ticket
        elif entry[0] == PASS:
            self._turns.give_back(gateway, entry[2])
            self._offer()
        else:
            super()._take(gateway, entry, attachments)

    def _assemble(self, gateway: Gateway, entry: Entry, attachments: Sequence[Any]) -> None:
        """One more call of a batch."""
        assembly = gateway.assembly
        assert assembly is not None
        batch = assembly.add(entry, attachments)
        if assembly.complete:
            gateway.assembly = None
        ticket = arriving(assembly, batch, self._turns, gateway, partial(self._refuse, gateway))
        if batch is None or ticket is None:
            return
        waiting: Waiting = (gateway, batch, ())
        self._waiting.append(waiting)
        self._tickets[id(waiting)] = ticket

    def _refuse(self, gateway: Gateway, number: int) -> None:
        """No slot is free for a call or batch."""
        self._say(gateway, (REFUSED, number))

    def _cancel(self, gateway: Gateway, call: int) -> None:
        super()._cancel(gateway, call)
        self._let_go()

    def _give_back(self, gateway: Gateway, call: int) -> None:
        self._say(gateway, cancelled(call))

    def _forget(self, gateway: Gateway) -> None:
        super()._forget(gateway)
        self._turns.gateways = len(self._gateways)
        self._turns.leave(gateway)
        self._let_go()
        self._offer()

    def _let_go(self) -> None:
        """What has left the queue needs no slot."""
        if len(self._tickets) > len(self._waiting):
            waiting = {id(item) for item in self._waiting}
            for item in self._tickets.keys() - waiting:
                self._turns.end(self._tickets.pop(item), time.monotonic())


def _sharing(gateway: Gateway) -> SharingGateway:
    """A gateway, as what this server makes of them all."""
    assert isinstance(gateway, SharingGateway)
    return gateway
