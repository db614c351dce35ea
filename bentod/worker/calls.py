"""One call, from its entry to its answer: the only place where the user's methods are called."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bentod.wire.entries import DONE, DONE_WITH, NAMED, RAISED, Entry, EntryPacker
from bentod.wire.orders import Method

TARGET_RAISED, UNSERIALIZABLE, EXPIRED = "target-raised", "output-unserializable", "deadline-exceeded"
CANCELLED = "cancelled"


def cancelled(call: int) -> Entry:
    """The answer to a call that was given up before it finished."""
    return (RAISED, call, 0.0, CANCELLED, "", "", [])


class Response:
    """What the callable may set on the HTTP answer: `status` (200 to 599) and `headers`."""

    __slots__ = ("headers", "status")

    def __init__(self) -> None:
        self.status: int | None = None
        self.headers: dict[str, str] = {}


class Context:
    """A request's context, for callables with a parameter named `context`.

    `headers`: the request's, names in lower case. `request_id`: as in the answer's `X-Request-Id`. `deadline`: when
    nobody waits any more, on `time.monotonic()`'s scale. `response`: status and headers of the answer.
    """

    __slots__ = ("deadline", "headers", "request_id", "response")

    def __init__(self, request_id: str, headers: dict[str, str], deadline: float) -> None:
        self.request_id = request_id
        self.headers = headers
        self.deadline = deadline
        self.response = Response()

    def remaining(self) -> float:
        """Seconds until the deadline, 0 when it has passed."""
        return max(0.0, self.deadline - time.monotonic())


def context_of(extra: Any, deadline: float) -> Context:
    """The context that came with a call, if any."""
    request_id, headers = extra or ("", {})
    return Context(request_id, headers, deadline)


@dataclass(frozen=True, slots=True)
class Bound:
    """A method ready to be called."""

    call: Callable[..., Any]
    is_async: bool
    takes_context: bool


def bound(call: Callable[..., Any], method: Method) -> Bound:
    """A method with what matters for each call worked out once."""
    takes_context = any(parameter.name == "context" for parameter in method.parameters or ())
    return Bound(call, method.style == "async", takes_context)


def plain(value: object) -> object:
    """What MessagePack cannot hold, as what it can: NumPy scalars and arrays become numbers and lists.

    Raises TypeError for everything else, with a text for the log.
    """
    to_list = getattr(value, "tolist", None)
    if to_list is not None and type(value).__module__.partition(".")[0] == "numpy":
        return to_list()
    raise TypeError(f"a value of type {type(value).__name__} cannot be sent")


class Caller:
    """Runs calls and packs their answers. One per thread that runs calls: a packer is not shared."""

    def __init__(
        self, methods: tuple[Bound, ...], report: Callable[[str], None], expected: frozenset[str] = frozenset()
    ) -> None:
        self.methods = methods
        self._report = report
        self._expected = expected
        self._packer = EntryPacker(default=plain)

    def run(self, entry: Entry) -> bytes:
        """The answer, framed, of a call of a synchronous method. Never raises what the method raised."""
        kind, call, index, deadline, argument, extra = entry
        method = self.methods[index]
        started = time.monotonic()
        if started >= deadline:
            return self.expired(call)
        context = None
        try:
            if method.takes_context and extra is not None:  # else `context` is a property of the input
                context = context_of(extra, deadline)
                named = {**argument, "context": context} if kind == NAMED else {}
                value = method.call(**named) if kind == NAMED else method.call(argument, context=context)
            else:
                value = method.call(**argument) if kind == NAMED else method.call(argument)
        except BaseException as error:  # noqa: BLE001 - user code may raise anything, SystemExit included
            return self.raised(call, started, error)
        return self.done(call, started, value, context)

    def given_up(self, call: int) -> bytes:
        """The answer, framed, to a call that was given up before it finished."""
        return self._frame(cancelled(call))

    def done(self, call: int, started: float, value: Any, context: Context | None) -> bytes:
        """The answer of a method that returned `value`."""
        seconds = time.monotonic() - started
        try:
            if context is None or (context.response.status is None and not context.response.headers):
                return self._frame((DONE, call, seconds, value))
            answer = context.response
            return self._frame((DONE_WITH, call, seconds, value, answer.status, answer.headers))
        except BaseException as error:  # noqa: BLE001 - a value's own conversion may raise anything too
            log = f"the answer cannot be sent: {_text(error)}"
            self._report(log + "\n")
            return self._frame((RAISED, call, seconds, UNSERIALIZABLE, "", log, []))

    def raised(self, call: int, started: float, error: BaseException) -> bytes:
        """The answer of a method that raised; what the spec does not expect goes to the worker's log in full."""
        classes = [f"{cls.__module__}:{cls.__qualname__}" for cls in type(error).__mro__]
        text = _text(error)
        log = f"{type(error).__name__}: {text}"[:2000]
        if self._expected.isdisjoint(classes):
            trace = error.__traceback__.tb_next if error.__traceback__ else None  # without our own frame
            self._report("".join(traceback.format_exception(type(error), error, trace)))
        return self._frame((RAISED, call, time.monotonic() - started, TARGET_RAISED, text, log, classes))

    def expired(self, call: int) -> bytes:
        """The answer to a call whose deadline passed before it began."""
        return self._frame((RAISED, call, 0.0, EXPIRED, "", "", []))

    def _frame(self, entry: Entry) -> bytes:
        return self._packer.frames([self._packer.entry(entry)])


def _text(error: BaseException) -> str:
    """The exception's own text, bounded, and clean enough for MessagePack."""
    try:
        text = str(error.args[0] if isinstance(error, KeyError) and error.args else error)
    except BaseException:  # noqa: BLE001 - even __str__ is user code
        text = ""
    return text[:2000].encode("utf-8", "replace").decode()
