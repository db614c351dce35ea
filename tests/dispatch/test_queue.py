"""One API's queue: its order, its batches, its bound, and that what leaves costs nothing."""

from __future__ import annotations

import math
import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentod.dispatch.call import Answer, Call
from bentod.dispatch.queue import Limits, Queue
from bentod.errors import ClientGone, DeadlineExceeded, QueueFull
from tests.support.links import call

BATCHED = Limits(waiting=100_000, takes="columns", max_size=4)
NOW = 0.0  # before every deadline


def waiting(queue: Queue, count: int = 1, **options) -> list[Call]:
    """Calls that wait."""
    calls = [call(queue, **options) for _ in range(count)]
    for one in calls:
        queue.put(one)
    return calls


def taken(queue: Queue, most: int | None = None) -> list[Call]:
    head = queue.head()
    assert head is not None
    return queue.take(head, queue.limits.max_size if most is None else most, NOW)


def all_taken(queue: Queue) -> list[list[Call]]:
    found = []
    while queue.head() is not None:
        found.append(taken(queue))
    return found


def empty(queue: Queue) -> bool:
    assert (queue.head(), queue.oldest()) == (None, None)
    assert not queue.mixed
    return not queue.waiting and not queue._levels and not queue._groups


# ── order ────────────────────────────────────────────────────────────────────────────────────────


def test_calls_come_by_level_then_in_the_order_of_their_arrival():
    queue = Queue(Limits())
    low, high, usual, higher = (waiting(queue, level=level)[0] for level in (9, 2, 5, 1))
    (second,) = waiting(queue, level=2)
    assert queue.oldest() is low
    assert [one for (one,) in all_taken(queue)] == [higher, high, second, usual, low]
    assert empty(queue)


def test_a_call_has_the_level_of_its_api_unless_it_says_otherwise():
    assert call(Queue(Limits(priority=3))).level == 3


def test_who_comes_back_is_where_it_was():
    queue = Queue(BATCHED)
    calls = waiting(queue, 10)
    for _ in range(200):  # refused again and again
        batch = taken(queue)
        assert batch == calls[:4]
        for one in reversed(batch):
            queue.put(one)
    assert queue.waiting == 10
    assert sum(len(line) for line in (*queue._levels.values(), *queue._groups.values())) < 500
    assert [one for batch in all_taken(queue) for one in batch] == calls
    assert empty(queue)


def test_the_oldest_is_found_without_a_search():
    queue = Queue(Limits(waiting=200_000))
    for number in range(20_000):
        waiting(queue, level=1 + number % 9)
    begun = time.monotonic()
    for _ in range(20_000):
        one = queue.oldest()
        assert one is not None
        queue.take(one, 0, NOW)
    assert time.monotonic() - begun < 5  # a search each time took minutes
    assert empty(queue)


# ── batches ──────────────────────────────────────────────────────────────────────────────────────


def test_a_batch_is_what_waits_but_no_more_than_fits():
    queue = Queue(BATCHED)
    calls = waiting(queue, 10)
    assert queue.weight(calls[0]) == 10
    assert all_taken(queue) == [calls[:4], calls[4:8], calls[8:]]
    assert empty(queue)


def test_a_batch_may_be_wanted_smaller():
    queue = Queue(BATCHED)
    calls = waiting(queue, 4)
    assert taken(queue, most=3) == calls[:3]
    assert taken(queue, most=0) == calls[3:]  # the head always goes


def test_calls_that_are_not_batched_go_one_by_one():
    queue = Queue(Limits(takes="columns"))
    calls = waiting(queue, 3)
    assert queue.weight(calls[0]) == 1
    assert all_taken(queue) == [[one] for one in calls]


def test_groups_never_mix():
    queue = Queue(BATCHED)
    a, b = waiting(queue, group="a"), waiting(queue, 2, group="b")
    assert queue.mixed
    a += waiting(queue, 4, group="a")
    assert (queue.weight(a[0]), queue.weight(b[0])) == (5, 2)
    assert all_taken(queue) == [a[:4], b, a[4:]]
    assert empty(queue)


def test_rows_are_what_counts_and_nobody_is_overtaken():
    queue = Queue(BATCHED)
    first, large, small = (waiting(queue, weight=weight)[0] for weight in (2, 3, 1))
    assert queue.weight(first) == 6
    assert all_taken(queue) == [[first], [large, small]]


def test_a_call_that_may_have_killed_a_worker_runs_alone():
    queue = Queue(BATCHED)
    before, suspect, *after = calls = [call(queue) for _ in range(4)]
    suspect.alone = True
    for one in calls:
        queue.put(one)
    assert queue.weight(suspect) == 1
    assert all_taken(queue) == [[before], [suspect], after]


def test_a_batch_of_a_head_of_low_level_takes_those_of_higher_levels_first():
    queue = Queue(BATCHED)
    old, low = waiting(queue, 2, level=9)
    high = waiting(queue, 2, level=1)
    assert queue.take(old, 4, NOW) == [old, *high, low]
    assert empty(queue)


def test_who_is_too_late_is_in_no_batch():
    queue = Queue(BATCHED)
    head, late, after = call(queue), call(queue, timeout_s=-1.0), call(queue)
    for one in (head, late, after):
        queue.put(one)
    now = time.monotonic()
    assert queue.take(head, 4, now) == [head]
    assert queue.hopeless(late, now)
    assert not queue.hopeless(after, now)


@given(
    st.lists(
        st.tuples(
            st.integers(1, 3),
            st.sampled_from("ab"),
            st.integers(1, 6),
            st.sampled_from(["put", "put", "leave", "take"]),
        ),
        max_size=60,
    )
)
def test_whatever_comes_and_goes_batches_are_right(steps):
    queue, left, seen = Queue(Limits(1000, takes="rows", max_size=6)), [], []
    for level, group, weight, step in steps:
        if step == "put":
            left += waiting(queue, level=level, group=group, weight=weight)
        elif step == "leave" and left:
            queue.leave(left.pop(weight % len(left)))
        elif step == "take" and left:
            batch = taken(queue)
            assert batch[0] is min(left, key=lambda one: (one.level, one.id))
            assert {one.group for one in batch} == {batch[0].group}
            assert sum(one.weight for one in batch) <= 6
            for one in batch:
                left.remove(one)
            seen += batch
        assert queue.waiting == len(left)
        assert queue.oldest() is min(left, key=lambda one: one.id, default=None)
        for one in left:
            same = [other.weight for other in left if other.group == one.group]
            assert queue.weight(one) == sum(same)
    assert len(seen) == len(set(seen))
    assert set(queue.take_all()) == set(left)
    assert empty(queue)


# ── leaving ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("order", ["first", "last", "any"])
def test_ten_thousand_callers_leave_and_nothing_of_them_is_kept(order):
    queue = Queue(BATCHED)
    stays = waiting(queue)
    calls = [call(queue, level=1 + number % 9, group=number % 3) for number in range(10_000)]
    for one in calls:
        queue.put(one)
    if order == "last":
        calls.reverse()
    elif order == "any":
        random.Random(1).shuffle(calls)
    begun = time.monotonic()
    while calls:
        queue.leave(calls.pop())
    assert time.monotonic() - begun < 2
    assert queue.waiting == 1
    assert sum(len(line) for line in (*queue._levels.values(), *queue._groups.values())) <= 2 * 67
    assert all_taken(queue) == [stays]
    assert empty(queue)


def test_what_leaves_out_of_turn_is_not_kept_while_others_wait():
    """Each eighth turn takes the oldest: of a low level maybe, while calls of a high one never end."""
    queue = Queue(Limits(100_000, takes="columns", max_size=1))
    waiting(queue, 10, level=1)
    for _ in range(5_000):
        (low,) = waiting(queue, level=9)
        queue.take(low, 1, NOW)
        assert sum(len(line) for line in (*queue._levels.values(), *queue._groups.values())) < 300


def test_an_empty_queue_keeps_no_calls():
    queue = Queue(BATCHED)
    for leave in (False, True):
        for one in waiting(queue, 7, group="g"):
            if leave:
                queue.leave(one)
        if not leave:
            all_taken(queue)
        assert empty(queue)


def test_a_new_limit_counts_for_those_that_wait():
    queue = Queue(Limits())
    calls = waiting(queue, 6)
    queue.limits = BATCHED
    assert queue.weight(calls[0]) == 6
    assert taken(queue) == calls[:4]
    queue.limits = Limits()
    assert taken(queue) == calls[4:5]
    calls += waiting(queue)
    queue.limits = BATCHED
    assert taken(queue) == calls[5:]
    assert empty(queue)


# ── admission ────────────────────────────────────────────────────────────────────────────────────


def test_one_more_than_may_wait_is_refused():
    queue = Queue(Limits(2))
    for _ in range(2):
        queue.admit(call(queue), time.monotonic())
        waiting(queue)
    with pytest.raises(QueueFull) as raised:
        queue.admit(call(queue), time.monotonic())
    assert raised.value.headers["retry-after"] == "1"  # nothing is known yet


def draining(rate: float, *, now: float, limit: int = 40) -> Queue:
    """A full queue from which `rate` calls a second have left until now."""
    queue = Queue(Limits(limit))
    waiting(queue, limit)
    queue.drain.begin(now - 20 / rate)
    for number in range(20):
        queue.drain.left(1, now - (19 - number) / rate)
    return queue


@pytest.mark.parametrize(("rate", "seconds"), [(100.0, 1), (10.0, 4), (2.0, 20), (0.1, 120)])
def test_a_full_queue_says_when_it_will_be_empty(rate, seconds):
    now = time.monotonic()
    queue = draining(rate, now=now)
    with pytest.raises(QueueFull) as raised:
        queue.admit(call(queue), now)
    assert abs(int(raised.value.headers["retry-after"]) - seconds) <= 1


def test_a_full_queue_that_stands_still_says_that_it_takes_ever_longer():
    now = time.monotonic()
    queue = draining(40.0, now=now)
    found = []
    for later in (0.0, 1.0, 10.0, 100.0):
        with pytest.raises(QueueFull) as raised:
            queue.admit(call(queue, timeout_s=1000), now + later)
        found.append(int(raised.value.headers["retry-after"]))
    assert found == sorted(found)
    assert found[0] <= 2
    assert found[-1] == 120


def test_a_call_that_comes_too_late_by_what_waits_before_it_is_refused_at_once():
    now = time.monotonic()
    queue = draining(10.0, now=now, limit=40)
    queue.limits = Limits(100)
    with pytest.raises(DeadlineExceeded):
        queue.admit(call(queue, timeout_s=2.0), now)
    queue.admit(call(queue, timeout_s=2.0, level=1), now)  # none of those is before it
    queue.admit(call(queue, timeout_s=6.0), now)
    for one in list(queue.take_all()):
        assert one
    queue.admit(call(queue, timeout_s=0.01), now)


def test_while_nothing_is_known_nobody_is_refused_for_its_deadline():
    queue = Queue(Limits())
    waiting(queue, 100)
    queue.admit(call(queue, timeout_s=0.001), time.monotonic())


def test_what_cannot_be_answered_in_time_is_hopeless_unless_nothing_else_waits():
    queue = Queue(Limits())
    for _ in range(5):
        queue.learn(None, 1, 10.0)
    now = time.monotonic()
    first, long = call(queue, timeout_s=5.0), call(queue, timeout_s=20.0)
    queue.put(first)
    assert not queue.hopeless(first, now)
    queue.put(long)
    assert queue.hopeless(first, now)
    assert not queue.hopeless(long, now)
    queue.leave(long)
    assert queue.hopeless(first, first.deadline)


# ── what it may have, what it knows ──────────────────────────────────────────────────────────────


def test_an_api_may_have_only_so_many_slots():
    queue = Queue(Limits(slots=2))
    assert queue.open
    assert queue.room(5) == 2
    assert queue.room(1) == 1
    queue.slots = 2
    assert not queue.open
    assert queue.room(5) == 0
    assert Queue(Limits()).room(5) == 5


def test_only_the_newest_groups_are_remembered_and_the_api_always_is():
    queue = Queue(BATCHED)
    for number in range(1000):
        queue.learn(number, 1, 0.5)
    assert len(queue._traffic) <= 65
    assert queue.cost(999, 1) == pytest.approx(0.5)
    assert queue.cost("never seen", 1) == pytest.approx(0.5)
    assert queue.cost(None, 1) == pytest.approx(0.5)
    assert queue.traffic_of(None) is queue.traffic


def test_a_group_costs_what_it_costs_and_not_what_others_do():
    queue = Queue(BATCHED)
    for _ in range(20):
        queue.learn("small", 1, 0.001)
        queue.learn("large", 1, 1.0)
    small, large = queue.cost("small", 1), queue.cost("large", 1)
    assert small is not None
    assert large is not None
    assert small == pytest.approx(0.001)
    assert large == pytest.approx(1.0)
    assert math.isfinite(queue.cost(None, 1) or math.inf)


@pytest.mark.parametrize("outcome", [Answer(1, 0.0, 0.0), ClientGone()])
def test_a_call_is_finished_once(outcome):
    one, told = call(), []
    one.on_finished = lambda: told.append(one.outcome)
    assert one.finish(outcome)
    assert not one.finish(Answer(2, 0.0, 0.0))
    assert told == [outcome]
    assert one.outcome is outcome
