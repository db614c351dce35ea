"""Runs `async def` methods and asynchronous generators: single calls, and calls that run together."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Sequence
from typing import Any

from bentod.wire.entries import Entry
from bentod.worker import parts
from bentod.worker.again import NOT_AGAIN, Again
from bentod.worker.batches import Batch, Taken
from bentod.worker.calls import Caller, Unsendable, Work
from bentod.worker.flow import AsyncOutlet, Sendable
from bentod.worker.together import Run, Send, Together, joined


class AsyncCaller(Caller):
    """Runs calls of `async def` methods and asynchronous generators."""

    def _frame(self, entry: Entry) -> Sendable:
        return _copied(super()._frame(entry))

    def together(self, packed: Sequence[bytes]) -> Sendable:
        return _copied(super().together(packed))

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
            return self.given_up(call) if _is_cancelled() else self.raised(call, started, error)
        except parts.Unreadable as error:
            return self.unreadable(call, started, error)
        except BaseException as error:  # noqa: BLE001 - user code may raise anything, SystemExit included
            failed = self.raised(call, started, error)
        else:
            return self.done(work, value)
        self.memory.relieve()
        return failed

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


class AsyncTogether(Together):
    """Runs batches of `async def` methods."""

    def __init__(self, caller: AsyncCaller) -> None:
        super().__init__(caller)

    async def run_async(self, batch: Batch, send: Send) -> None:
        """Like `run`. Cancelling this cancels the method: it is for who has given up all of `batch.running`."""
        taken = batch.take_all()
        batch.running = {entry[1] for entry, _ in taken}
        if taken:
            await self._run_async(batch, taken, send, apart=batch.apart)

    async def _run_async(
        self, batch: Batch, taken: Sequence[Taken], send: Send, *, apart: bool, whole: Again = NOT_AGAIN
    ) -> None:
        run, again = self.prepared(taken, batch.takes), NOT_AGAIN
        if run.calls:
            try:
                value = await _value_of(run)
            except BaseException as error:  # noqa: BLE001 - user code may raise anything, SystemExit included
                if isinstance(error, asyncio.CancelledError) and _is_cancelled():
                    run.answers += [self.caller.given_up(call) for call in run.calls]
                else:
                    again = self.raised(run, error, apart=apart, whole=whole)
            else:
                self.finished(run, value, whole)
        if again is not NOT_AGAIN:
            self.caller.memory.relieve()
        if run.answers:
            send(joined(run.answers))
        for part in again.parts:
            await self._run_part(batch, part, send, again)

    async def _run_part(self, batch: Batch, part: Sequence[Taken], send: Send, whole: Again) -> None:
        """Those of a part that are still wanted."""
        calls = [entry[1] for entry, _ in part]
        gone = [call for call in calls if call not in batch.running]
        for call in gone:
            send(self.caller.given_up(call))
        if len(gone) < len(calls):
            wanted = [one for one in part if one[0][1] in batch.running]
            await self._run_async(batch, wanted, send, apart=whole.halved, whole=whole)
        batch.running.difference_update(calls)


async def _value_of(run: Run) -> Any:
    value = run.call()
    if hasattr(value, "__await__"):
        value = await value
    if inspect.isasyncgen(value):
        await value.aclose()
    return value


def _is_cancelled() -> bool:
    """Whether somebody has cancelled this task; else a CancelledError is the method's own affair."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _copied(framed: Sendable) -> Sendable:
    """What goes out later must be its own memory: that of an answer may be the callable's."""
    return framed if isinstance(framed, bytes) else [bytes(piece) for piece in framed]
