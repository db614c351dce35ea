"""Waiting calls: in order, within their quota, and nothing kept of those that left."""

from __future__ import annotations

import gc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentod.dispatch.call import Call, Quota
from bentod.dispatch.lane import Lane
from bentod.errors import DeadlineExceeded, QueueFull
from tests.support.links import call
from tests.support.loops import run


def leave(lane: Lane, one: Call) -> None:
    """A waiting call is given up."""
    one.fail(DeadlineExceeded())
    one.finished.exception()
    lane.leave(one)


def test_exactly_as_many_wait_as_may():
    async def main():
        lane, quota = Lane(), Quota(3)
        for _ in range(3):
            lane.put(call(quota))
        with pytest.raises(QueueFull) as raised:
            lane.put(call(quota))
        assert "retry-after" in raised.value.headers
        assert quota.waiting == 3
        lane.put(call(Quota(1)))  # another API in the same lane
        assert lane.take() is not None
        lane.put(call(quota))
        with pytest.raises(QueueFull):
            lane.put(call(quota))

    run(main())


def test_a_call_that_left_makes_room_at_once():
    async def main():
        lane, quota = Lane(), Quota(2)
        first, second, third = (call(quota) for _ in range(3))
        lane.put(first)
        lane.put(second)
        leave(lane, first)
        lane.put(third)
        assert [lane.take(), lane.take(), lane.take()] == [second, third, None]
        assert quota.waiting == 0
        assert not lane

    run(main())


def test_calls_put_back_come_first_and_may_exceed_the_limit():
    async def main():
        lane, quota = Lane(), Quota(1)
        waiting, one, two = (call(quota) for _ in range(3))
        lane.put(waiting)
        lane.put_back([one, two])
        assert quota.waiting == 3
        with pytest.raises(QueueFull):
            lane.put(call(quota))
        assert lane.take_all() == [one, two, waiting]
        assert (quota.waiting, lane.take()) == (0, None)

    run(main())


def test_calls_that_left_do_not_pile_up():
    async def main():
        lane, quota = Lane(), Quota(10)
        lane.put(call(quota))  # one that stays, so that the lane is never empty
        for _ in range(5000):
            one = call(quota)
            lane.put(one)
            leave(lane, one)
        del one
        assert quota.waiting == 1
        gc.collect()
        assert sum(type(thing) is Call for thing in gc.get_objects()) < 300

    run(main())


@given(st.lists(st.sampled_from(["put", "take", "leave", "back"]), max_size=200), st.data())
def test_the_quota_is_the_number_of_those_that_wait(steps, data):
    async def main():
        lane, quota = Lane(), Quota(5)
        waiting: list[Call] = []
        taken: list[Call] = []
        for step in steps:
            if step == "put":
                one = call(quota)
                if len(waiting) < 5:
                    lane.put(one)
                    waiting.append(one)
                else:
                    with pytest.raises(QueueFull):
                        lane.put(one)
            elif step == "take":
                assert lane.take() is (waiting[0] if waiting else None)
                taken += waiting[:1]
                del waiting[:1]
            elif step == "leave" and waiting:
                leave(lane, waiting.pop(data.draw(st.integers(0, len(waiting) - 1))))
            elif step == "back" and taken:
                lane.put_back(taken)
                waiting[:0], taken = taken, []
            assert quota.waiting == len(waiting)
        assert lane.take_all() == waiting
        assert quota.waiting == 0

    run(main())


def test_the_window_follows_the_run_times():
    lane = Lane()
    assert lane.window(1) == 1
    lane.ran(0.00001)
    assert lane.window(1) > 1
    for _ in range(10):
        lane.ran(1.0)
    assert lane.window(1) == 1
