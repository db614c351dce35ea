"""A worker of `async def` methods over real sockets."""

from __future__ import annotations

import asyncio
import os
import threading

import pytest

from bentod.wire.entries import DONE, RAISED
from bentod.wire.frames import LIMIT, frame
from bentod.worker.calls import CANCELLED, EXPIRED, TARGET_RAISED
from tests.support.daemon import eventually
from tests.support.gateways import WAIT_S, serving


class Hall:
    """Coroutines that wait inside until they are let out, or cancelled."""

    def __init__(self):
        self.inside: list = []
        self.cancelled: list = []
        self.doors: dict = {}

    async def wait(self, x):
        door = self.doors[x] = asyncio.get_running_loop().create_future()
        self.inside.append(x)
        try:
            await door
        except asyncio.CancelledError:
            self.cancelled.append(x)
            raise
        return x

    async def let_out(self, x):
        for one in x:
            self.doors[one].set_result(None)


def served(hall: Hall, **options):
    return serving(hall.wait, hall.let_out, tasks=True, **options)


def test_calls_run_at_once_and_are_answered_as_they_finish():
    hall = Hall()
    with served(hall) as worker, worker.gate() as gate:
        calls = {x: gate.call(x) for x in "abc"}
        eventually(lambda: len(hall.inside) == 3)
        for x in "bca":
            helper = gate.call([x], method=1)
            answers = gate.answers(2)
            assert answers[calls[x]][::3] == [DONE, x]
            assert answers[helper][0] == DONE


def test_no_more_run_at_once_than_may():
    hall = Hall()
    with serving(hall.wait, tasks=True, concurrency=2) as worker, worker.gate() as gate:
        calls = [gate.call(x) for x in "abcd"]
        eventually(lambda: len(hall.inside) == 2)
        gate.cancel(calls[2])
        assert gate.answer()[1:4:2] == [calls[2], CANCELLED]
        assert hall.inside == ["a", "b"]
        gate.cancel(calls[0])
        assert gate.answer()[1] == calls[0]
        eventually(lambda: hall.inside == ["a", "b", "d"])


def test_a_running_coroutine_is_cancelled_when_its_call_is_given_up():
    hall = Hall()
    with served(hall) as worker, worker.gate() as gate:
        one, two = gate.call("one"), gate.call("two")
        eventually(lambda: len(hall.inside) == 2)
        gate.cancel(one)
        gate.cancel(99999)
        assert gate.answer()[:4] == [RAISED, one, 0.0, CANCELLED]
        assert hall.cancelled == ["one"]
        gate.call(["two"], method=1)
        assert gate.answers(2)[two][3] == "two"


def test_a_coroutine_may_finish_although_it_was_cancelled():
    async def stubborn(x):
        entered.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "done all the same"

    entered = threading.Event()
    with serving(stubborn, tasks=True) as worker, worker.gate() as gate:
        call = gate.call(1)
        assert entered.wait(WAIT_S)
        gate.cancel(call)
        assert gate.answer()[::3] == [DONE, "done all the same"]


def test_a_coroutine_that_cancels_itself_has_failed():
    async def f(_):
        inner = asyncio.ensure_future(asyncio.sleep(60))
        inner.cancel()
        await inner

    with serving(f, tasks=True) as worker, worker.gate() as gate:
        gate.call(1)
        assert gate.answer()[3] == TARGET_RAISED


@pytest.mark.parametrize("error", [SystemExit(1), KeyboardInterrupt(), StopIteration(), GeneratorExit(), ValueError()])
def test_no_exception_of_a_method_ends_the_worker(error):
    async def f(x):
        if x:
            raise error
        return "alive"

    def g(x):
        raise error

    with serving(f, g, tasks=True) as worker, worker.gate() as gate:
        gate.call(1)
        gate.call(1, method=1)
        assert {answer[3] for answer in gate.answers(2).values()} == {TARGET_RAISED}
        gate.call(0)
        assert gate.answer()[3] == "alive"


def test_synchronous_methods_run_in_threads_beside_the_coroutines():
    running, let_go = threading.Event(), threading.Event()

    def block(x):
        running.set()
        assert let_go.wait(WAIT_S)
        return threading.current_thread().name

    async def quick(x):
        return x

    with serving(block, quick, tasks=True, threads=1) as worker, worker.gate() as gate:
        blocked, waiting = gate.call(1), gate.call(2)
        assert running.wait(WAIT_S)
        gate.call(5, method=1)
        assert gate.answer()[3] == 5
        gate.cancel(blocked)  # a thread cannot be stopped
        gate.cancel(waiting)
        assert gate.answer()[1:4:2] == [waiting, CANCELLED]
        let_go.set()
        answer = gate.answer()
        assert answer[1] == blocked
        assert answer[3].startswith("call")


def test_a_call_that_is_too_late_does_not_begin():
    hall = Hall()
    with served(hall) as worker, worker.gate() as gate:
        gate.call("late", timeout_s=-1.0)
        assert gate.answer()[3] == EXPIRED
        assert hall.inside == []


def test_a_gateway_that_goes_away_takes_its_calls_along():
    hall = Hall()
    with served(hall) as worker:
        with worker.gate() as gone:
            for x in "ab":
                gone.call(x)
            eventually(lambda: len(hall.inside) == 2)
        eventually(lambda: sorted(hall.cancelled) == ["a", "b"])
        with worker.gate() as gate:
            gate.call([], method=1)
            assert gate.answer()[0] == DONE


@pytest.mark.parametrize("rubbish", [frame(b"\xc1"), (LIMIT + 1).to_bytes(4, "little"), frame(b"\x05")])
def test_a_gateway_that_talks_rubbish_is_hung_up_on_and_others_are_served(rubbish):
    hall = Hall()
    with served(hall) as worker, worker.gate() as good:
        with worker.gate() as bad:
            bad.socket.sendall(rubbish)
            assert bad.answer() is None
        good.call([], method=1)
        assert good.answer()[0] == DONE


def test_a_gateway_of_another_user_is_hung_up_on(monkeypatch):
    hall = Hall()
    with served(hall) as worker:
        monkeypatch.setattr(os, "getuid", lambda: 12345)
        with worker.gate() as gate:
            assert gate.answer() is None
        monkeypatch.undo()


def test_draining_waits_for_the_gateways_and_their_calls():
    hall = Hall()
    with served(hall) as worker:
        with worker.gate() as gate:
            call = gate.call("a")
            eventually(lambda: hall.inside)
            worker.server.drain()
            gate.call(["a"], method=1)
            assert gate.answers(2)[call][3] == "a"
            assert worker.thread.is_alive()
        assert worker.ended()


def test_draining_without_any_gateway_ends_at_once():
    with serving(Hall().wait, tasks=True) as worker:
        eventually(worker.thread.is_alive)
        worker.server.drain()
        assert worker.ended()
