"""Calls that run together: one call of the user's method, and an answer for each of them."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Sequence
from typing import Any

from bentod.errors import WireError
from bentod.wire.entries import NAMED
from bentod.wire.intake import Memory
from bentod.worker import takes
from bentod.worker.again import NOT_AGAIN, Again, Alone, Halves, Part, undivided
from bentod.worker.batches import Batch, Taken
from bentod.worker.calls import MISCOUNTED, PLAIN, Bound, Caller, Work
from bentod.worker.context import Context
from bentod.worker.flow import Sendable
from bentod.worker.parts import Unreadable

Send = Callable[[Sendable], None]
_MOST_IN_FRAME, _MOST_BYTES = 64, 1024 * 1024


class Run:
    """Calls about to run together. `works` is empty if there is nothing but JSON; `answers` are those of calls that do
    not run; `rows` is what each call brings, where the callable takes rows."""

    __slots__ = (
        "answers", "arguments", "calls", "contexts", "method", "named", "rows", "started", "taken", "takes", "works",
    )  # fmt: skip

    def __init__(self, method: Bound, how: str, *, named: bool) -> None:
        self.method = method
        self.takes = how
        self.named = named
        self.started = time.monotonic()
        self.calls: list[int] = []
        self.taken: list[Taken] = []
        self.arguments: list[Any] = []
        self.rows: list[int] = []
        self.works: list[Work] = []
        self.contexts: list[Context] = []
        self.answers: list[Sendable] = []

    @property
    def weights(self) -> list[int]:
        """What each call counts: its rows, if the callable takes rows, or 1."""
        return [max(1, rows) for rows in self.rows] if self.takes == takes.ROWS else [1] * len(self.calls)

    def call(self) -> Any:
        """What the method returns. Raises what it raises, and ValueError for calls that cannot share a batch."""
        positional, named = takes.arguments(self.takes, self.arguments, named=self.named)
        if self.contexts:
            named = {**named, "context": self.contexts}
        return self.method.call(*positional, **named)


class Together:
    """Runs batches with a caller, in its thread."""

    def __init__(self, caller: Caller) -> None:
        self.caller = caller

    def run(self, batch: Batch, send: Send) -> Sendable:
        """Run what waits of a batch that does not take its calls one by one. Returns the answers that are to be sent
        last, mostly all of them; the others are sent before."""
        taken = batch.take_all()
        return self._run(taken, batch.takes, send, apart=batch.apart) if taken else b""

    def _run(self, taken: Sequence[Taken], how: str, send: Send, *, apart: bool, whole: Again = NOT_AGAIN) -> Sendable:
        """The same for calls, which may be a part of a `whole` that runs again."""
        run, again = self.prepared(taken, how), NOT_AGAIN
        if run.calls:
            try:
                value = run.call()
            except BaseException as error:  # noqa: BLE001 - user code may raise anything, SystemExit included
                again = self.raised(run, error, apart=apart, whole=whole)
            else:
                self.finished(run, value, whole)
        answer = joined(run.answers)
        if again is not NOT_AGAIN:  # no longer while the first exception is handled
            self.caller.memory.relieve()
            for part in again.parts:
                if answer:
                    send(answer)
                answer = self._run(part, how, send, apart=again.halved, whole=again)
        return answer

    def prepared(self, taken: Sequence[Taken], how: str) -> Run:
        """What may run of these calls: not those that are too late, nor those that cannot be read."""
        entry = taken[0][0]
        method = self.caller.methods[entry[2]]
        run = Run(method, how, named=entry[0] == NAMED)
        plain = not method.takes_context and all(entry[6] is None for entry, _ in taken)
        for one in taken:
            entry, attachments = one
            if run.started >= entry[3]:
                run.answers.append(self.caller.expired(entry[1]))
                continue
            argument, context, terms = entry[4], None, PLAIN
            try:
                if not plain:
                    argument, context, terms = self.caller.opened(entry, attachments)
                if how == takes.ROWS:
                    run.rows.append(takes.rows_in(argument, named=run.named))
            except Unreadable as error:
                run.answers.append(self.caller.unreadable(entry[1], run.started, error))
                continue
            run.taken.append(one)
            run.calls.append(entry[1])
            run.arguments.append(argument)
            if not plain:
                run.works.append(Work(entry[1], run.started, (), {}, context, terms))
                if context is not None:
                    run.contexts.append(context)
        return run

    def raised(self, run: Run, error: BaseException, *, apart: bool, whole: Again) -> Again:
        """The method raised: answer all calls; or tell the log, and return what shall run again: the calls one by one,
        or if memory ran out the halves. The calls of a half that runs out of memory again run one by one, too."""
        short, count = self.caller.memory.ran_out(error), len(run.calls)
        if apart and count > 1:
            if not isinstance(error, Unreadable):
                halves = short and whole is NOT_AGAIN
                what = "ran out of memory" if short else "failed"
                how = "it runs again in two halves" if halves else "they run again one by one"
                self.caller.report(error, f"a batch of {count} calls {what}, {how}\n")
            return _again(run, whole) if short else Again(run.taken)
        if short and count > 1:
            run.answers.append(self.caller.squeezed(run.calls[0], undivided(run.weights)))
        elif short:
            self._learn(run, whole, Part(0, 1))
        if isinstance(error, Unreadable) and count == 1:
            run.answers.append(self.caller.unreadable(run.calls[0], run.started, error))
        else:
            run.answers.append(self.caller.raised_together(run.calls, run.started, error))
        return Again()

    def _learn(self, run: Run, whole: Again, part: Part) -> None:
        """A part did or did not have enough memory. What is known after the last one goes out with its answers."""
        if (lesson := whole.ran(part)) is not None:
            run.answers.insert(0, self.caller.squeezed(run.calls[0], lesson))

    def finished(self, run: Run, value: Any, whole: Again = NOT_AGAIN) -> None:
        """Answer all calls of a method that returned `value`."""
        if whole is not NOT_AGAIN:
            self._learn(run, whole, Part(sum(run.weights), 0))
        if inspect.isgenerator(value) or inspect.iscoroutine(value):
            value.close()
        try:
            values = takes.split(run.takes, value, len(run.calls), run.rows, _form(run.works))
        except takes.Miscounted as error:
            run.answers.append(self.caller.failed(run.calls, run.started, MISCOUNTED, str(error)))
        except BaseException as error:  # noqa: BLE001 - a value's own conversion may raise anything
            run.answers.append(self.caller.unsendable(run.calls, run.started, error))
        else:
            self._answer(run, values)

    def _answer(self, run: Run, values: Sequence[Any]) -> None:
        seconds = time.monotonic() - run.started
        if run.works:
            self._answer_each(run, values, seconds)
            return
        try:
            run.answers.append(self.caller.done_plainly_together(run.calls, seconds, values))
        except BaseException:  # noqa: BLE001 - one is an exception, or cannot be sent
            run.works = [Work(call, run.started, (), {}, None, PLAIN) for call in run.calls]
            self._answer_each(run, values, seconds)

    def _answer_each(self, run: Run, values: Sequence[Any], seconds: float) -> None:
        """Pack the answers one by one: each may be its own failure, and has its own terms."""
        raised: list[tuple[int, BaseException]] = []
        unsendable: list[tuple[int, BaseException]] = []
        frame = _Frame(self.caller)
        for work, value in zip(run.works, values, strict=True):
            if (failure := takes.failure_in(run.takes, value)) is not None:
                raised.append((work.call, failure))
                continue
            try:
                frame.add(work, seconds, value)
            except BaseException as error:  # noqa: BLE001 - as above
                unsendable.append((work.call, error))
            if frame.full:
                run.answers += frame.sealed()
        run.answers += frame.sealed()
        run.answers += [self.caller.raised(call, run.started, error) for call, error in raised]
        run.answers += [self.caller.unsendable((call,), run.started, error) for call, error in unsendable]


def _again(run: Run, whole: Again) -> Again:
    """What runs again of calls that ran out of memory together."""
    return Halves(run.taken, run.weights) if whole is NOT_AGAIN else Alone(run.taken, sum(run.weights), whole)


def _form(works: Sequence[Work]) -> str:
    special = sum(work.terms.special for work in works)
    if not special:
        return takes.PLAIN
    return takes.PARTS if special == len(works) else takes.VIEWS


class _Frame:
    """Packed answers that go out in one frame."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._given: list[tuple[Work, Any]] = []
        self._packed: list[bytes] = []
        self._size = 0

    def add(self, work: Work, seconds: float, value: Any) -> None:
        """One more. Raises anything if it cannot be sent."""
        packed, size = self._caller.packed(work, seconds, value)
        self._given.append((work, value))
        self._packed.append(packed)
        self._size += size

    @property
    def full(self) -> bool:
        """Whether it should be sealed before more is added."""
        return len(self._packed) == _MOST_IN_FRAME or self._size >= _MOST_BYTES

    def sealed(self) -> list[Sendable]:
        """What was added since the last time, framed; one by one if that is too much for a frame."""
        given, packed = self._given, self._packed
        self._given, self._packed, self._size = [], [], 0
        if not packed:
            return []
        try:
            return [self._caller.together(packed)]
        except WireError:
            return [self._caller.done(work, value) for work, value in given]


def joined(answers: Sequence[Sendable]) -> Sendable:
    """Framed answers, to be written together."""
    if len(answers) == 1:
        return answers[0]
    pieces: list[Memory] = []
    for answer in answers:
        pieces += [answer] if isinstance(answer, bytes) else answer
    return b"".join(pieces) if all(isinstance(answer, bytes) for answer in answers) else pieces
