"""Deadlines: each unfinished call expires once, never early."""

from __future__ import annotations

import asyncio
import gc
import time

import pytest

from bentod.dispatch.call import Answer, Call
from bentod.dispatch.deadlines import Deadlines
from bentod.errors import ClientGone, DeadlineExceeded
from tests.support.links import call
from tests.support.loops import LOOPS, run, until


class Expired:
    """What expired, and when."""

    def __init__(self):
        self.calls: list[tuple[Call, float]] = []

    def __call__(self, one: Call) -> None:
        self.calls.append((one, time.monotonic()))
        one.finish(DeadlineExceeded())


@pytest.fixture(params=list(LOOPS))
def loop(request):
    """uvloop's clock counts milliseconds, and ours does not."""
    return request.param


def test_calls_expire_in_order_and_never_early(loop):
    async def main():
        expired = Expired()
        deadlines = Deadlines(expired)
        calls = []
        for number in range(20):
            calls.append(call(timeout_s=0.01 + 0.0003 * number))
            deadlines.watch(calls[-1])
        await until(lambda: len(expired.calls) == 20)
        assert [one for one, _ in expired.calls] == calls
        assert all(at >= one.deadline for one, at in expired.calls)

    run(main(), loop)


def test_a_call_that_finished_does_not_expire(loop):
    async def main():
        expired = Expired()
        deadlines = Deadlines(expired)
        answered, gone, late = call(timeout_s=0.01), call(timeout_s=0.01), call(timeout_s=0.02)
        for one in (answered, gone, late):
            deadlines.watch(one)
        answered.finish(Answer(1, 0.0, 0.0))
        gone.finish(ClientGone())
        await until(lambda: expired.calls)
        assert [one for one, _ in expired.calls] == [late]

    run(main(), loop)


def test_a_deadline_that_has_passed_already_expires_soon(loop):
    async def main():
        expired = Expired()
        deadlines = Deadlines(expired)
        deadlines.watch(call(timeout_s=-5.0))
        await until(lambda: expired.calls)
        deadlines.watch(call(timeout_s=-5.0))  # the timer starts again after it had nothing to do
        await until(lambda: len(expired.calls) == 2)

    run(main(), loop)


def test_a_deadline_before_the_one_ahead_is_late_but_not_forgotten(loop):
    async def main():
        expired = Expired()
        deadlines = Deadlines(expired)
        first, second = call(timeout_s=0.05), call(timeout_s=0.0)
        deadlines.watch(first)
        deadlines.watch(second)
        await until(lambda: len(expired.calls) == 2)

    run(main(), loop)


def test_calls_that_finished_are_not_kept_until_their_deadline():
    async def main():
        deadlines = Deadlines(Expired())
        running = call(timeout_s=3600)
        deadlines.watch(running)
        for _ in range(5000):
            one = call(timeout_s=3600)
            deadlines.watch(one)
            one.finish(Answer(None, 0.0, 0.0))
        gc.collect()
        assert sum(type(thing) is Call for thing in gc.get_objects()) < 300
        assert not running.done

    run(main())


def test_one_timer_is_enough_for_many_calls():
    async def main():
        deadlines = Deadlines(Expired())
        timers: list[object] = []
        running = asyncio.get_running_loop()
        call_later = running.call_later
        running.call_later = lambda *args, **kwargs: (timers.append(args), call_later(*args, **kwargs))[1]  # type: ignore[method-assign]
        for _ in range(1000):
            deadlines.watch(call(timeout_s=60))
        assert len(timers) == 1

    run(main())


def test_a_call_that_was_admitted_late_expires_in_its_turn(loop):
    async def main():
        expired = Expired()
        deadlines = Deadlines(expired)
        early, late, between, first = (call(timeout_s=seconds) for seconds in (0.03, 0.06, 0.04, 0.01))
        for one in (early, late, between, first):
            deadlines.watch(one)
        await until(lambda: len(expired.calls) == 4)
        assert [one for one, _ in expired.calls] == [first, early, between, late]
        assert all(at >= one.deadline for one, at in expired.calls)

    run(main(), loop)
