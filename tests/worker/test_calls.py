"""One call, whatever the user's method does."""

from __future__ import annotations

import asyncio
import sys
import time
from decimal import Decimal

import numpy
import pytest

from bentod.wire.entries import DONE, DONE_WITH, NAMED, POSITIONAL, RAISED
from bentod.worker.calls import CANCELLED, EXPIRED, TARGET_RAISED, UNSERIALIZABLE, Caller, bound
from bentod.worker.context import Context
from bentod.worker.coroutines import AsyncCaller
from bentod.worker.target import describe
from tests.support.gateways import bounds, entries
from tests.support.loops import run

FAR = sys.float_info.max


class Unspeakable:
    """Its text raises."""

    def __str__(self):
        raise ValueError("no text")

    __repr__ = __str__


class UnspeakableError(Exception):
    """An exception whose text raises."""

    def __str__(self):
        raise ValueError("no text")


class Worker:
    """A caller and its log; `is_async` runs the method as a coroutine."""

    def __init__(self, function, *, is_async=False, expected=()):
        self.log: list[str] = []
        if is_async:

            async def method(*args, **kwargs):
                return function(*args, **kwargs)

            method.__signature__ = __import__("inspect").signature(function)
            self.caller = AsyncCaller(bounds(method), self.log.append, frozenset(expected))
        else:
            self.caller = Caller(bounds(function), self.log.append, frozenset(expected))
        self.is_async = is_async

    def call(self, argument=None, *, kind=POSITIONAL, deadline=FAR, extra=None, terms=None):
        """The answer's entry."""
        entry = (kind, 7, 0, deadline, argument, extra, terms)
        framed = run(self.caller.run_async(entry, (), None)) if self.is_async else self.caller.run(entry)
        (answer,) = entries(framed)
        assert answer[1] == 7
        assert isinstance(answer[2], float)
        return answer


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def is_async(request):
    return request.param


def raising(error):
    def method(_):
        raise error

    return method


def test_named_and_positional_arguments(is_async):
    def f(a, b=2):
        return [a, b]

    worker = Worker(f, is_async=is_async)
    assert worker.call({"a": 1, "b": 3}, kind=NAMED)[::3] == [DONE, [1, 3]]
    assert worker.call({"a": 1}, kind=NAMED)[3] == [1, 2]
    assert worker.call({"a": 1})[3] == [{"a": 1}, 2]
    assert worker.call(None)[3] == [None, 2]


def test_the_time_that_a_call_ran_is_told(is_async):
    def f(_):
        until = time.perf_counter() + 0.02
        while time.perf_counter() < until:
            pass

    assert 0.02 <= Worker(f, is_async=is_async).call()[2] < 20


@pytest.mark.parametrize(
    "error",
    [
        ValueError("text"),
        KeyError("text"),
        SystemExit("text"),
        KeyboardInterrupt("text"),
        GeneratorExit("text"),
        asyncio.CancelledError("text"),
        ExceptionGroup("text", [ValueError(1)]),
        BaseExceptionGroup("text", [KeyboardInterrupt()]),
    ],
    ids=lambda error: type(error).__name__,
)
def test_whatever_a_method_raises_is_an_answer(error, is_async):
    worker = Worker(raising(error), is_async=is_async)
    kind, _, _, code, detail, log, classes = worker.call()
    assert (kind, code) == (RAISED, TARGET_RAISED)
    assert "text" in detail
    assert log.startswith(f"{type(error).__name__}: ")
    assert classes[0] == f"{type(error).__module__}:{type(error).__qualname__}"
    assert classes[-1] == "builtins:object"
    assert "test_calls.py" in worker.log[0]
    assert 'calls.py", line' in worker.log[0]


def test_stop_iteration_is_an_answer(is_async):
    """In a coroutine Python itself makes it a RuntimeError."""
    _, _, _, code, _, _, classes = Worker(raising(StopIteration(5)), is_async=is_async).call()
    assert code == TARGET_RAISED
    assert classes[0] in {"builtins:StopIteration", "builtins:RuntimeError"}


@pytest.mark.parametrize(
    ("error", "detail"),
    [
        pytest.param(ValueError(), "", id="no text"),
        pytest.param(UnspeakableError(), "", id="text raises"),
        pytest.param(ValueError(Unspeakable()), "", id="argument's text raises"),
        pytest.param(KeyError(Unspeakable()), "", id="key's text raises"),
        pytest.param(KeyError("name"), "name", id="key without quotes"),
        pytest.param(KeyError(), "", id="key without anything"),
        pytest.param(ValueError("\ud800x"), "?x", id="half a surrogate pair"),
        pytest.param(ValueError("x" * 10_000), "x" * 2000, id="long"),
        pytest.param(ValueError(1, 2), "(1, 2)", id="several arguments"),
    ],
)
def test_the_text_of_an_exception_is_always_sendable(error, detail, is_async):
    answer = Worker(raising(error), is_async=is_async).call()
    assert answer[3:5] == [TARGET_RAISED, detail]
    assert len(answer[5]) <= 2000


def test_exceptions_that_the_spec_expects_leave_no_traceback(is_async):
    class OwnError(ValueError): ...

    for expected in ("builtins:ValueError", f"{__name__}:{OwnError.__qualname__}"):
        worker = Worker(raising(OwnError("x")), is_async=is_async, expected=[expected])
        assert worker.call()[3] == TARGET_RAISED
        assert worker.log == []
    worker = Worker(raising(TypeError("x")), is_async=is_async, expected=["builtins:ValueError"])
    worker.call()
    assert "TypeError: x" in worker.log[0]


def test_wrong_arguments_are_the_targets_failure(is_async):
    worker = Worker(lambda a: a, is_async=is_async)
    assert worker.call({"b": 1}, kind=NAMED)[3] == TARGET_RAISED


def test_a_call_that_is_too_late_does_not_begin(is_async):
    begun = []
    worker = Worker(begun.append, is_async=is_async)
    assert worker.call(1, deadline=time.monotonic() - 0.001)[:4] == [RAISED, 7, 0.0, EXPIRED]
    assert begun == []
    assert worker.call(1, deadline=time.monotonic() + 60)[0] == DONE


# ── values ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        (numpy.float32(1.5), 1.5),
        (numpy.float64(1.5), 1.5),
        (numpy.int64(-3), -3),
        (numpy.uint8(3), 3),
        (numpy.bool_(True), True),
        (numpy.str_("x"), "x"),
        (numpy.arange(6).reshape(2, 3), [[0, 1, 2], [3, 4, 5]]),
        (numpy.array(5), 5),
        (numpy.zeros((0, 3)), []),
        ({"a": [numpy.float32(0.5), {"b": numpy.ones(2)}]}, {"a": [0.5, {"b": [1.0, 1.0]}]}),
        ((1, (2,)), [1, [2]]),
        (2**64 - 1, 2**64 - 1),
        (None, None),
        ("\x00\u2028", "\x00\u2028"),
    ],
    ids=repr,
)
def test_values_that_can_be_sent(value, sent, is_async):
    assert Worker(lambda _: value, is_async=is_async).call()[::3] == [DONE, sent]


def deep():
    value: list = []
    for _ in range(5000):
        value = [value]
    return value


def endless():
    value: list = []
    value.append(value)
    return value


class Raising:
    """Its conversion raises."""

    tolist = property(lambda self: 1 / 0)


class Leaving(dict):
    """Its conversion leaves the program."""

    def items(self):
        raise SystemExit


class Unspoken(dict):
    """Its conversion raises what has no text."""

    def items(self):
        raise UnspeakableError


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: {1, 2}, id="set"),
        pytest.param(object, id="object"),
        pytest.param(lambda: Decimal(1), id="decimal"),
        pytest.param(lambda: 1j, id="complex"),
        pytest.param(lambda: 2**64, id="large"),
        pytest.param(lambda: "\ud800", id="half a surrogate pair"),
        pytest.param(lambda: (x for x in "ab"), id="generator"),
        pytest.param(deep, id="deep"),
        pytest.param(endless, id="endless"),
        pytest.param(lambda: numpy.array([object()]), id="array of objects"),
        pytest.param(lambda: numpy.datetime64("2020-01-01"), id="date"),
        pytest.param(Raising, id="conversion raises"),
        pytest.param(Unspeakable, id="text raises"),
        pytest.param(lambda: Unspoken(a=1), id="conversion raises without text"),
        pytest.param(lambda: Leaving(a=1), id="conversion leaves the program"),
    ],
)
def test_values_that_cannot_be_sent_are_an_answer_and_the_next_call_is_fine(make, is_async):
    worker = Worker(lambda x: make() if x else "fine", is_async=is_async)
    kind, _, _, code, detail, log, classes = worker.call(1)
    assert (kind, code, detail, classes) == (RAISED, UNSERIALIZABLE, "", [])
    assert log
    assert worker.log
    assert worker.call(0)[::3] == [DONE, "fine"]


# ── context ──────────────────────────────────────────────────────────────────────────────────────


def test_a_method_with_context_gets_it_and_sets_the_answer(is_async):
    seen: list[Context] = []

    def f(x, context):
        seen.append(context)
        context.response.status = 201
        context.response.headers["x-cache"] = "hit"
        return x

    deadline = time.monotonic() + 60
    worker = Worker(f, is_async=is_async)
    for kind, argument in ((NAMED, {"x": 1}), (POSITIONAL, 1)):
        answer = worker.call(argument, kind=kind, deadline=deadline, extra=["id-1", {"accept": "*/*"}])
        assert answer[:2] + answer[3:] == [DONE_WITH, 7, 1, 201, {"x-cache": "hit"}]
    assert (seen[0].request_id, seen[0].headers, seen[0].deadline) == ("id-1", {"accept": "*/*"}, deadline)
    assert 0 < seen[0].remaining() <= 60
    assert seen[0] is not seen[1]


def test_a_context_that_was_left_alone_costs_nothing(is_async):
    assert Worker(lambda x, context: x, is_async=is_async).call(1, extra=["id", {}])[0] == DONE


def test_a_property_called_context_is_an_argument_like_others(is_async):
    answer = Worker(lambda x, context: [x, context], is_async=is_async).call({"x": 1, "context": 2}, kind=NAMED)
    assert answer[::3] == [DONE, [1, 2]]


def test_a_client_cannot_stand_in_for_the_context(is_async):
    def f(context, **others):
        return type(context).__name__

    answer = Worker(f, is_async=is_async).call({"context": "mine"}, kind=NAMED, extra=["id", {}])
    assert answer[::3] == [DONE, "Context"]


@pytest.mark.parametrize("headers", [{"a": object()}, {1, 2}])
def test_headers_that_cannot_be_sent_are_an_answer(headers, is_async):
    def f(_, context):
        context.response.headers = headers

    assert Worker(f, is_async=is_async).call(extra=["id", {}])[3] == UNSERIALIZABLE


def test_remaining_never_falls_below_zero():
    assert Context("id", {}, time.monotonic() - 5).remaining() == 0.0


@pytest.mark.parametrize(
    ("function", "takes"),
    [
        (lambda x, context: x, True),
        (lambda *, context: 1, True),
        (lambda x: x, False),
        (max, False),
    ],
)
def test_who_takes_a_context(function, takes):
    assert bound(function, describe("f", function)).takes_context is takes


def test_a_coroutine_that_is_cancelled_says_so():
    async def main():
        started = asyncio.Event()

        async def f(_):
            started.set()
            await asyncio.Event().wait()

        caller = AsyncCaller(bounds(f), lambda _: None)
        task = asyncio.create_task(caller.run_async((POSITIONAL, 7, 0, FAR, None, None, None), (), None))
        await started.wait()
        task.cancel()
        assert entries(await task) == [[RAISED, 7, 0.0, CANCELLED, "", "", []]]

    run(main())
