"""A worker as the dispatcher sees it: its slots, and the calls that it holds."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from bentod.dispatch.call import Batch, Call
from bentod.dispatch.link import Link
from bentod.wire.entries import BATCH, PASS, EntryPacker
from bentod.wire.messages import WorkerRoute

Unit = list[Call]
"""Calls that hold one slot together."""


class Worker:
    """A connected worker. `held` are its calls, oldest first; by kind of slot, `busy` are those that are taken,
    `streams` those of them that streams hold.

    Where other gateways have calls there, a worker may refuse: then this one gets slots by `offers`, until it declines.
    `refusals` is how many there were. `condemned`: the daemon was asked to end it.
    """

    def __init__(self, route: WorkerRoute) -> None:
        self.pid = route.pid
        self.index = route.index
        self.slots = {False: route.threads, True: route.concurrency}
        self.held: dict[int, Call] = {}
        self.busy = {False: 0, True: 0}
        self.streams = {False: 0, True: 0}
        self.refuses = {False: False, True: False}
        self.offers = {False: 0, True: 0}
        self.refusals = {False: 0, True: 0}
        self.link: Link | None = None
        self.leaving = False
        self.condemned = False
        self.answered = 0

    def send(self, calls: Sequence[Call], packer: EntryPacker) -> None:
        """Give the worker calls that hold one slot together."""
        assert self.link is not None
        first, now = calls[0], time.monotonic()
        queue, is_async = first.queue, first.is_async
        if not queue.limits.lone:
            size = sum(call.weight for call in calls)
            queue.batches += 1
            queue.batched += len(calls)
            batch = Batch(calls, size, clean=self.busy[is_async] < self.slots[is_async])
            self.link.send(packer.entry((BATCH, first.id, len(calls), queue.limits.takes, first.retry)))
            for call in calls:
                call.batch = batch
        if self.offers[is_async]:
            self.offers[is_async] -= 1
        self.busy[is_async] += 1
        self.streams[is_async] += first.streams
        queue.slots += 1
        queue.running += len(calls)
        for call in calls:
            self.link.send(call.entry, call.memory)
            self.held[call.id] = call
            call.sent = now

    def free(self, room: int, *, is_async: bool) -> int:
        """How many units more it may get, if it may hold `room`."""
        return self.offers[is_async] if self.refuses[is_async] else room - self.busy[is_async]

    def decline(self, packer: EntryPacker) -> None:
        """Say so if slots that are kept are not wanted."""
        for is_async, offered in self.offers.items():
            if offered and self.link is not None:
                self.offers[is_async], self.refuses[is_async] = 0, False
                self.link.send(packer.entry((PASS, int(is_async), self.refusals[is_async])))

    def over(self, call: Call) -> bool:
        """A call is held no more. True if its slot is free with it."""
        del self.held[call.id]
        call.queue.running -= 1
        batch = call.batch
        if batch is not None:
            batch.left -= 1
            if batch.left:
                return False
        self.busy[call.is_async] -= 1
        self.streams[call.is_async] -= call.streams
        call.queue.slots -= 1
        return True

    def take_back(self, first: int) -> Unit:
        """The worker has not begun these, and will not. Raises LookupError if it does not hold them."""
        call = self.held[first]
        calls = [call] if call.batch is None else [one for one in call.batch.calls if one.id in self.held]
        for one in calls:
            self.over(one)
            one.batch = None
        self.refuses[call.is_async] = True
        self.refusals[call.is_async] += 1
        return calls

    def units(self) -> Iterator[Unit]:
        """What it holds, oldest first."""
        seen: set[int] = set()
        for call in list(self.held.values()):
            if call.batch is None:
                yield [call]
            elif id(call.batch) not in seen:
                seen.add(id(call.batch))
                yield [one for one in call.batch.calls if one.id in self.held]
