"""Call: one admitted request, from its admission to its one answer."""

from __future__ import annotations

import asyncio
import sys
import time
import traceback
from collections import deque
from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from bentod.errors import CallError
from bentod.wire.intake import Memory

if TYPE_CHECKING:
    from bentod.dispatch.queue import Queue


class Answer(NamedTuple):
    """What a worker answered: the value, how long the call waited and ran, and what it set on the HTTP answer.

    `batch` is how many calls, or rows, ran together."""

    value: Any
    queue_s: float
    run_s: float
    status: int | None = None
    headers: Mapping[str, str] = {}
    batch: int = 1


class TargetFailure(CallError):
    """The callable raised, or returned what cannot be sent: `code` as the worker said it, `about` for the API's
    `errors` map or as a pointer, `log` for the operator. The gateway decides what the client may know."""

    def __init__(self, code: str, detail: str, log: str, about: list[str], run_s: float) -> None:
        super().__init__(detail, log=log)
        self.code, self.about, self.run_s = code, about, run_s


class Call:
    """One call. `entry` is what the worker gets, packed, with `memory` beside it. It is finished once, with an answer
    or a CallError: `outcome`, when `done`. `on_finished` is told then, at once and without a turn of the loop;
    `on_released` when no worker holds the call any more, and none will. `streams`: it may hold its slot for long,
    whatever others take.

    `level` is its priority, 1 first. Only calls of one `group` can share a batch; `weight` is what it counts there.
    `losses` are the workers that died while they may have run it. Its `queue` is another one if it has moved to another
    pool.
    """

    streams = False

    __slots__ = (
        "admitted", "alone", "batch", "charged_s", "counted", "deadline", "done", "entry", "given_up", "group", "id",
        "idle_s", "is_async", "level", "losses", "memory", "on_finished", "on_released", "outcome", "place", "queue",
        "released", "request_id", "retry", "sent", "timeless", "weight",
    )  # fmt: skip

    def __init__(
        self, id_: int, entry: bytes, deadline: float, admitted: float, queue: Queue, *, is_async: bool, retry: bool
    ) -> None:
        self.id = id_
        self.entry = entry
        self.memory: Sequence[Memory] = ()
        self.deadline = deadline
        self.admitted = admitted
        self.sent: float  # once it was
        self.request_id = ""
        self.queue = queue
        self.level = queue.limits.priority
        self.group: Hashable = None
        self.weight = 1
        self.is_async = is_async
        self.retry = retry
        self.losses = 0
        self.alone = False  # it shares no batch: it may be the one that kills workers
        self.batch: Batch | None = None
        self.timeless = False  # its deadline was met: a stream that has begun
        self.idle_s = 0.0  # how long it may be silent once it has begun
        self.place: Place | None = None  # while it waits in its queue
        self.charged_s = 0.0  # time of a slot that its queue was charged for its batch
        self.counted = False  # among those that its queue expects to leave
        self.given_up = False
        self.released = False
        self.done = False
        self.outcome: Answer | CallError | None = None
        self.on_finished: Callable[[], None] | None = None
        self.on_released: Callable[[], None] | None = None

    def finish(self, outcome: Answer | CallError) -> bool:
        """Finish with an answer or an error; false if it was finished already."""
        if self.done:
            return False
        self.done = True
        self.outcome = outcome
        self.depart()
        if self.on_finished is not None:
            try:
                self.on_finished()
            except Exception:  # noqa: BLE001 - a bug of ours must not cost other calls their answers
                sys.stderr.write(traceback.format_exc())
        return True

    def depart(self) -> None:
        """Its place is free for another call of the same client."""
        if self.counted:
            self.counted = False
            self.queue.traffic_of(self.group).left(time.monotonic())

    async def wait(self) -> Answer:
        """The answer. Raises the CallError that the call was finished with."""
        if not self.done:
            waiter = asyncio.get_running_loop().create_future()
            self.on_finished = partial(_wake, waiter)
            try:
                await waiter
            finally:
                self.on_finished = None
        if isinstance(self.outcome, CallError):
            raise self.outcome
        assert self.outcome is not None
        return self.outcome

    def chunk(self, chunk: Answer) -> None:
        """One chunk of a stream. Raises ValueError: this call is none."""
        raise ValueError("a chunk for a call that is no stream")

    def release(self) -> None:
        """No worker holds this call any more, and none will."""
        self.released = True
        self.entry, self.memory = b"", ()
        if self.on_released is not None:
            self.on_released()


Place = tuple[int, int, Call]
"""A call's place among those that wait: its level, its number, itself. It is another one each time that it waits."""


class Batch:
    """Calls of one API that were sent together and hold one slot. `left` have no answer yet; `size` is what they weigh
    together. `clean`: what it costs can be learned from it; `whole`: all its calls went well, in one run."""

    __slots__ = ("calls", "clean", "left", "size", "whole")

    def __init__(self, calls: Sequence[Call], size: int, *, clean: bool) -> None:
        self.calls = calls
        self.left = len(calls)
        self.size = size
        self.clean = clean
        self.whole = True

    def spoil(self) -> None:
        """Something went wrong with it."""
        self.clean = self.whole = False


class StreamCall(Call):
    """A call that is answered chunk by chunk; its outcome is its end."""

    streams = True

    __slots__ = ("_chunks", "_waiter")

    def __init__(
        self, id_: int, entry: bytes, deadline: float, admitted: float, queue: Queue, *, is_async: bool, retry: bool
    ) -> None:
        super().__init__(id_, entry, deadline, admitted, queue, is_async=is_async, retry=retry)
        self._chunks: deque[Answer] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self.on_finished = self._wake

    def chunk(self, chunk: Answer) -> None:
        """One more chunk, unless nobody wants it. With the first one the deadline is met."""
        if not self.done:
            self.timeless = True
            self._chunks.append(chunk)
            self._wake()

    def _wake(self) -> None:
        if self._waiter is not None:
            _wake(self._waiter)

    async def next(self, timeout_s: float) -> list[Answer] | None:
        """The chunks that have come, at least one; none after `timeout_s`; None after the last.

        Raises the CallError that ended the stream, after its last chunk; ClientGone if it was abandoned.
        """
        if not self._chunks and not self.done:
            loop = asyncio.get_running_loop()
            self._waiter = loop.create_future()
            timer = loop.call_later(timeout_s, self._wake)
            try:
                await self._waiter
            finally:
                timer.cancel()
        if self._chunks:
            chunks = list(self._chunks)
            self._chunks.clear()
            return chunks
        if not self.done:
            return []
        if isinstance(self.outcome, CallError):
            raise self.outcome
        return None


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
