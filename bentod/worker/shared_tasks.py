"""Serves a target that has `async def` methods to several gateways: what finds no free slot is refused at once."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from bentod.wire.entries import FREE, PASS, REFUSED, Entry, EntryPacker
from bentod.wire.orders import Setup
from bentod.worker.batches import CALLS
from bentod.worker.coroutines import AsyncCaller
from bentod.worker.tasks import Connection, TaskServer
from bentod.worker.turns import TICK_S, Turns, arriving


class SharedTaskServer(TaskServer):
    """Runs calls of several gateways as tasks of `loop` until it is drained. Each kind of slot has turns of its own."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, listener: socket.socket, caller: Callable[[], AsyncCaller], setup: Setup
    ) -> None:
        super().__init__(loop, listener, caller, setup)
        self._turns: dict[bool, Turns[Connection]] = {False: Turns(setup.threads), True: Turns(setup.concurrency)}
        self._packer = EntryPacker()
        self._timer: asyncio.TimerHandle | None = None

    def connection(self) -> Connection:
        return _SharingConnection(self)

    def turns(self, method: int) -> Turns[Connection]:
        """Those of the slots that a method needs."""
        return self._turns[self.methods[method].is_async]

    def say(self, gateway: Connection, entry: Entry) -> None:
        """Send something short."""
        gateway.send(self._packer.frames([self._packer.entry(entry)]))

    def refuse(self, gateway: Connection, number: int) -> None:
        """No slot is free for a call or batch."""
        self.say(gateway, (REFUSED, number))
        if self._timer is None:
            self._timer = self._loop.call_later(TICK_S, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self.offer()
        if any(turns.contended for turns in self._turns.values()):
            self._timer = self._loop.call_later(TICK_S, self._tick)

    def ended(self, turns: Turns[Connection], ticket: int, _: asyncio.Future[Any]) -> None:
        """A slot is free again."""
        turns.end(ticket, time.monotonic())
        self.offer()

    def offer(self) -> None:
        """Tell who was refused of a slot that is kept for them."""
        for is_async, turns in self._turns.items():
            if turns.contended:
                for gateway, slots in turns.offers(time.monotonic()):
                    self.say(gateway, (FREE, int(is_async), slots))

    def passed(self, gateway: Connection, refusals: int, *, is_async: bool) -> None:
        """A gateway does not want what was offered, or no more of it."""
        self._turns[is_async].give_back(gateway, refusals)
        self.offer()

    def joined(self) -> None:
        """A gateway has connected."""
        for turns in self._turns.values():
            turns.gateways = len(self.connections)

    def left(self, gateway: Connection) -> None:
        """A gateway is gone."""
        for turns in self._turns.values():
            turns.leave(gateway)
        self.joined()
        self.offer()


class _SharingConnection(Connection):
    """One of several gateways, and its calls."""

    def __init__(self, server: SharedTaskServer) -> None:
        super().__init__(server)
        self._shared = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._shared.joined()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._shared.left(self)

    def _take(self, entry: Entry, attachments: Sequence[Any]) -> None:
        if self._assembly is not None:
            self._assemble(entry, attachments)
        elif entry[0] in CALLS:
            turns = self._shared.turns(entry[2])
            ticket = turns.take(self, time.monotonic())
            if ticket is None:
                self._shared.refuse(self, entry[1])
            else:
                self._start(entry, attachments).add_done_callback(partial(self._shared.ended, turns, ticket))
                self._shared.offer()  # there may be more
        elif entry[0] == PASS:
            self._shared.passed(self, entry[2], is_async=bool(entry[1]))
        else:
            super()._take(entry, attachments)

    def _assemble(self, entry: Entry, attachments: Sequence[Any]) -> None:
        """One more call of a batch."""
        assembly = self._assembly
        assert assembly is not None
        batch = assembly.add(entry, attachments)
        if assembly.complete:
            self._assembly = None
        turns = self._shared.turns(assembly.method)
        ticket = arriving(assembly, batch, turns, self, partial(self._shared.refuse, self))
        if batch is not None and ticket is not None:
            self._start_batch(batch).add_done_callback(partial(self._shared.ended, turns, ticket))
            self._shared.offer()
