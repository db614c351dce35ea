"""One call, from its entry to its answer: the only place where the user's methods are called."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from bentod.codec.parcels import Parcel
from bentod.wire.entries import CHUNK, CHUNK_WITH, DONE, DONE_WITH, NAMED, RAISED, SQUEEZED, Entry, EntryPacker, Terms
from bentod.wire.frames import frame
from bentod.wire.orders import Method
from bentod.worker import exhaustion, failures, parts
from bentod.worker.context import Context
from bentod.worker.flow import Outlet, Sendable

TARGET_RAISED, UNSERIALIZABLE, EXPIRED = "target-raised", "output-unserializable", "deadline-exceeded"
UNREADABLE, INVALID, CANCELLED = "invalid-input", "output-invalid", "cancelled"
MISCOUNTED, OUT_OF_MEMORY = "output-count", "out-of-memory"
PLAIN = Terms()


def cancelled(call: int) -> Entry:
    """The answer to a call that was given up before it finished."""
    return (RAISED, call, 0.0, CANCELLED, "", "", [])


@dataclass(frozen=True, slots=True)
class Bound:
    """A method ready to be called."""

    call: Callable[..., Any]
    is_async: bool
    takes_context: bool


def bound(call: Callable[..., Any], method: Method) -> Bound:
    """A method with what matters for each call worked out once."""
    takes_context = any(parameter.name == "context" for parameter in method.parameters or ())
    return Bound(call, method.style.startswith("async"), takes_context)


class Work(NamedTuple):
    """A call ready to be made: its arguments, and what its answer needs to know."""

    call: int
    started: float
    positional: tuple[Any, ...]
    named: dict[str, Any]
    context: Context | None
    terms: Terms


def plain(value: object) -> object:
    """What MessagePack cannot hold, as what it can: NumPy scalars and arrays become numbers and lists.

    Raises TypeError for everything else, with a text for the log.
    """
    to_list = getattr(value, "tolist", None)
    if to_list is not None and type(value).__module__.partition(".")[0] == "numpy":
        return to_list()
    raise TypeError(f"a value of type {type(value).__name__} cannot be sent")


class Unsendable(Exception):
    """The callable gave what cannot be sent. `answer`, framed, says so and ends the call."""

    def __init__(self, answer: Sendable) -> None:
        super().__init__()
        self.answer = answer


class Caller:
    """Runs calls and packs their answers. One per thread that runs calls: a packer is not shared.

    `report` takes what the log should know; `expected` are exceptions that need no traceback there; `project` is what
    relative paths in answers are relative to; `seen` is told of each exception, once it is logged, and may end
    the process instead of an answer.
    """

    def __init__(
        self,
        methods: tuple[Bound, ...],
        report: Callable[[str], None],
        expected: frozenset[str] = frozenset(),
        project: str = "",
        seen: Callable[[BaseException], None] = lambda _: None,
    ) -> None:
        self.methods = methods
        self._seen = seen
        self._report = report
        self._expected = expected
        self._project = project
        self.memory = exhaustion.Memory()
        self._terms = PLAIN
        self._parcel = Parcel(lambda value: parts.part_of(value, self._terms, self._project))
        self._packer = EntryPacker(default=self._packable)

    def run(self, entry: Entry, attachments: Sequence[Any] = (), outlet: Outlet | None = None) -> Sendable:
        """The answer, framed, of a call of a synchronous method; a stream's chunks go to `outlet` before.

        Never raises what the method raised.
        """
        kind, call, index, deadline, argument, _, terms = entry
        method, started = self.methods[index], time.monotonic()
        if started >= deadline:
            return self.expired(call)
        work: Work | None = None
        try:
            if terms is None and not method.takes_context:  # most calls are so, and many are short
                value = method.call(**argument) if kind == NAMED else method.call(argument)
            else:
                work = self.work(entry, attachments, started)
                value = method.call(*work.positional, **work.named)
                if outlet is not None:
                    return self._stream(work, value, outlet)
        except parts.Unreadable as error:
            return self.unreadable(call, started, error)
        except BaseException as error:  # noqa: BLE001 - user code may raise anything, SystemExit included
            failed = self.raised(call, started, error)
        else:
            return self._done_plainly(call, started, value) if work is None else self.done(work, value)
        self.memory.relieve()
        return failed

    def _stream(self, work: Work, value: Any, outlet: Outlet) -> Sendable:
        """Send the chunks of an iterator. Raises what it raises."""
        if not hasattr(value, "__next__"):
            return self.no_stream(work, value)
        try:
            for chunk in value:
                outlet.send(self.chunk(work, chunk))
                if not outlet.wait():
                    return self.given_up(work.call)
        except Unsendable as error:
            return error.answer
        finally:
            if hasattr(value, "close"):
                value.close()
        return self.done(work, None)

    def work(self, entry: Entry, attachments: Sequence[Any], started: float) -> Work:
        """What an entry asks for. Raises Unreadable."""
        argument, context, terms = self.opened(entry, attachments)
        named = argument if entry[0] == NAMED else {}
        if context is not None:
            named = {**named, "context": context}
        return Work(entry[1], started, () if entry[0] == NAMED else (argument,), named, context, terms)

    def opened(self, entry: Entry, attachments: Sequence[Any]) -> tuple[Any, Context | None, Terms]:
        """An entry's argument, ready for the callable, with its context and terms. Raises Unreadable."""
        _, _, index, deadline, argument, extra, given = entry
        terms = PLAIN if given is None else Terms(*given)
        if terms.packed:
            argument = parts.argument_of(argument, attachments)
        if extra is None or not self.methods[index].takes_context:  # then `context` is a property of the input
            return argument, None, terms
        request_id, headers = extra
        return argument, Context(request_id, headers, deadline, terms.folder), terms

    def given_up(self, call: int) -> Sendable:
        """The answer, framed, to a call that was given up before it finished."""
        return self._frame(cancelled(call))

    def done(self, work: Work, value: Any) -> Sendable:
        """The answer of a method that returned `value`."""
        try:
            return self._answer(work, value, DONE, DONE_WITH)
        except Unsendable as error:
            return error.answer

    def _done_plainly(self, call: int, started: float, value: Any) -> Sendable:
        """The same where there is nothing but JSON."""
        self._terms = PLAIN
        try:
            return self._frame((DONE, call, time.monotonic() - started, value))
        except BaseException as error:  # noqa: BLE001 - a value's own conversion may raise anything too
            return self.unsendable((call,), started, error)

    def chunk(self, work: Work, value: Any) -> Sendable:
        """One chunk of a stream. Raises Unsendable."""
        return self._answer(work, value, CHUNK, CHUNK_WITH)

    def no_stream(self, work: Work, value: Any) -> Sendable:
        """The answer of a method that should have given a stream."""
        log = f"the API is a stream, and the callable returned a value of type {type(value).__name__}"
        return self.failed((work.call,), work.started, INVALID, log)

    def raised(self, call: int, started: float, error: BaseException) -> Sendable:
        """The answer of a method that raised; what the spec does not expect goes to the worker's log in full."""
        return self.raised_together((call,), started, error)

    def raised_together(self, calls: Sequence[int], started: float, error: BaseException) -> Sendable:
        """The same for all the calls of a batch."""
        code, before, text = TARGET_RAISED, "", failures.text(error)
        if self.memory.ran_out(error):
            code, before = OUT_OF_MEMORY, "out of memory: "
        self.report(error, before and f"{before}{len(calls)} call(s) fail\n")
        log = f"{before}{type(error).__name__}: {text}"[:2000]
        return self._same(calls, started, code, text, log, failures.classes(error))

    def squeezed(self, call: int, lesson: tuple[int, int, int]) -> Sendable:
        """What is learned of a batch that ran out of memory, in which this call is."""
        return self._packer.frames([self._packer.entry((SQUEEZED, call, *lesson))])

    def report(self, error: BaseException, before: str = "") -> None:
        """Write to the log what a method raised, unless the spec expects it."""
        if self._expected.isdisjoint(failures.classes(error)):
            self._report(before + failures.traceback_of(error))
        self._seen(error)

    def unreadable(self, call: int, started: float, error: parts.Unreadable) -> Sendable:
        """The answer to a call whose input turned out to be broken."""
        seconds = time.monotonic() - started
        return self._frame((RAISED, call, seconds, UNREADABLE, error.detail[:2000], "", [error.pointer]))

    def expired(self, call: int) -> Sendable:
        """The answer to a call whose deadline passed before it began."""
        return self._frame((RAISED, call, 0.0, EXPIRED, "", "", []))

    def _answer(self, work: Work, value: Any, kind: int, kind_with: int) -> Sendable:
        """An answer or a chunk, with what the callable set on the HTTP answer. Raises Unsendable."""
        seconds = time.monotonic() - work.started
        try:
            return self._frame(self._entry(work, seconds, value, kind, kind_with))
        except BaseException as error:  # noqa: BLE001 - as above
            raise Unsendable(self.unsendable((work.call,), work.started, error)) from None

    def _entry(self, work: Work, seconds: float, value: Any, kind: int, kind_with: int) -> Entry:
        self._terms = work.terms
        if work.terms.special:
            value = parts.outgoing(value)
        if work.context is None:
            return (kind, work.call, seconds, value)
        response = work.context.response
        more = (response.status, response.headers) if response.unsaid else ()
        response.sent = response.sent or kind == CHUNK
        return (kind_with if more else kind, work.call, seconds, value, *more)

    def done_plainly_together(self, calls: Sequence[int], seconds: float, values: Sequence[Any]) -> Sendable:
        """The answers of a batch where there is only JSON, in one frame. Raises anything if one cannot be sent."""
        self._terms = PLAIN
        entries = [(DONE, call, seconds, value) for call, value in zip(calls, values, strict=True)]
        return frame(self._packer.entry(entries))

    def packed(self, work: Work, seconds: float, value: Any) -> tuple[bytes, int]:
        """One answer of a batch, for `together`, and its size. Raises anything if it cannot be sent."""
        before = len(self._parcel.memory)
        try:
            packed = self._packer.entry(self._entry(work, seconds, value, DONE, DONE_WITH))
        except BaseException:
            del self._parcel.memory[before:]
            raise
        return packed, len(packed) + sum(memoryview(memory).nbytes for memory in self._parcel.memory[before:])

    def together(self, packed: Sequence[bytes]) -> Sendable:
        """Packed answers in one frame. Raises WireError if they are too large."""
        return self._packer.together(packed, self._parcel.clear())

    def unsendable(self, calls: Sequence[int], started: float, error: BaseException) -> Sendable:
        """The answer to calls whose values cannot be sent."""
        self._parcel.clear()
        self._seen(error)
        if isinstance(error, parts.Unreadable) and len(calls) == 1:
            return self.unreadable(calls[0], started, error)
        if isinstance(error, parts.Outside):
            return self.failed(calls, started, INVALID, failures.text(error))
        return self.failed(calls, started, UNSERIALIZABLE, f"the answer cannot be sent: {failures.text(error)}")

    def failed(self, calls: Sequence[int], started: float, code: str, log: str) -> Sendable:
        """The answer to calls whose failure only the operator shall know, and the log knows now."""
        self._report(log + "\n")
        return self._same(calls, started, code, "", log, [])

    def _same(
        self, calls: Sequence[int], started: float, code: str, detail: str, log: str, about: list[str]
    ) -> Sendable:
        seconds = time.monotonic() - started
        entry = self._packer.entry
        return self._packer.frames([entry((RAISED, call, seconds, code, detail, log, about)) for call in calls])

    def _packable(self, value: Any) -> Any:
        """What MessagePack cannot hold, as this call wants it."""
        return self._parcel.extension(value) if self._terms.special else plain(value)

    def _frame(self, entry: Entry) -> Sendable:
        packed = self._packer.entry(entry)
        if self._parcel.memory:
            return self._packer.attached(packed, self._parcel.clear())
        return self._packer.frames([packed])
