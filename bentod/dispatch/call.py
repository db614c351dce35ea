"""Call: one admitted request, from its admission to its one answer."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from bentod.errors import CallError, ClientGone
from bentod.wire.intake import Memory


class Answer(NamedTuple):
    """What a worker answered: the value, how long the call waited and ran, and what it set on the HTTP answer."""

    value: Any
    queue_s: float
    run_s: float
    status: int | None = None
    headers: Mapping[str, str] = {}


@dataclass(slots=True)
class Quota:
    """How many calls of one API wait and run, and how many may wait."""

    limit: int
    waiting: int = 0
    running: int = 0


class TargetFailure(CallError):
    """The callable raised, or returned what cannot be sent: `code` as the worker said it, `about` for the API's
    `errors` map or as a pointer, `log` for the operator. The gateway decides what the client may know."""

    def __init__(self, code: str, detail: str, log: str, about: list[str], run_s: float) -> None:
        super().__init__(detail, log=log)
        self.code, self.about, self.run_s = code, about, run_s


class Call:
    """One call. `entry` is what the worker gets, packed, with `memory` beside it; `finished` gets the answer or a
    CallError, once. `on_released` is called when no worker holds the call any more, and none will. `streams`: it may
    hold its slot for long, whatever others take."""

    streams = False

    __slots__ = (
        "admitted", "deadline", "entry", "finished", "given_up", "id", "idle_s", "is_async", "losses", "memory",
        "on_released", "quota", "released", "retry", "sent", "timeless",
    )  # fmt: skip

    def __init__(
        self, id_: int, entry: bytes, deadline: float, admitted: float, quota: Quota, *, is_async: bool, retry: bool
    ) -> None:
        self.id = id_
        self.entry = entry
        self.memory: Sequence[Memory] = ()
        self.deadline = deadline
        self.admitted = admitted
        self.sent = 0.0
        self.quota = quota
        self.is_async = is_async
        self.retry = retry
        self.losses = 0
        self.timeless = False  # its deadline was met: a stream that has begun
        self.idle_s = 0.0  # how long it may be silent once it has begun
        self.given_up = False
        self.released = False
        self.on_released: Callable[[], None] | None = None
        self.finished: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

    def answer(self, answer: Answer) -> None:
        """Finish with an answer, unless it is finished already."""
        if not self.finished.done():
            self.finished.set_result(answer)

    def chunk(self, chunk: Answer) -> None:
        """One chunk of a stream. Raises ValueError: this call is none."""
        raise ValueError("a chunk for a call that is no stream")

    def fail(self, error: CallError) -> None:
        """Finish with an error, unless it is finished already."""
        if not self.finished.done():
            self.finished.set_exception(error)

    def release(self) -> None:
        """No worker holds this call any more, and none will."""
        self.released = True
        self.entry, self.memory = b"", ()
        if self.on_released is not None:
            self.on_released()


class StreamCall(Call):
    """A call that is answered chunk by chunk; `finished` is its end."""

    streams = True

    __slots__ = ("_chunks", "_waiter")

    def __init__(
        self, id_: int, entry: bytes, deadline: float, admitted: float, quota: Quota, *, is_async: bool, retry: bool
    ) -> None:
        super().__init__(id_, entry, deadline, admitted, quota, is_async=is_async, retry=retry)
        self._chunks: deque[Answer] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self.finished.add_done_callback(self._ended)

    def chunk(self, chunk: Answer) -> None:
        """One more chunk, unless nobody wants it. With the first one the deadline is met."""
        if not self.finished.done():
            self.timeless = True
            self._chunks.append(chunk)
            self._wake()

    def _ended(self, finished: asyncio.Future[Answer]) -> None:
        if not finished.cancelled():
            finished.exception()  # seen, even if nobody asks for the rest
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def next(self, timeout_s: float) -> list[Answer] | None:
        """The chunks that have come, at least one; none after `timeout_s`; None after the last.

        Raises the CallError that ended the stream, after its last chunk; ClientGone if it was abandoned.
        """
        if not self._chunks and not self.finished.done():
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
        if not self.finished.done():
            return []
        if self.finished.cancelled():
            raise ClientGone
        self.finished.result()
        return None
