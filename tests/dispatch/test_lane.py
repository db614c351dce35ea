"""Whose turn it is among the APIs of a service."""

from __future__ import annotations

from collections import Counter

import pytest

from bentod.dispatch import lane as lane_module
from bentod.dispatch.call import Call
from bentod.dispatch.lane import Lane, held_s
from bentod.dispatch.queue import Limits, Queue
from tests.support.links import call

NOW = 0.0


def queue(cost_s: float = 0.0, **limits) -> Queue:
    """An API whose calls are known to take so long."""
    made = Queue(Limits(**{"waiting": 100_000} | limits))
    for _ in range(5 if cost_s else 0):
        made.learn(None, 1, cost_s)
    return made


def put(lane: Lane, api: Queue, count: int = 1, **options) -> list[Call]:
    calls = [call(api, **options) for _ in range(count)]
    for one in calls:
        lane.put(one, NOW)
    return calls


def turn(lane: Lane, now: float = NOW) -> list[Call]:
    """The calls of one turn; none if it is nobody's."""
    found = lane.turn(now)
    return lane.take(found, now) if found is not None else []


def turns(lane: Lane, count: int) -> Counter[Queue]:
    """How many turns each API had."""
    return Counter(turn(lane)[0].queue for _ in range(count))


# ── order ────────────────────────────────────────────────────────────────────────────────────────


def test_an_empty_lane_is_nobodys_turn():
    lane = Lane()
    assert not lane
    assert lane.turn(NOW) is None
    (one,) = put(lane, queue())
    assert lane
    assert turn(lane) == [one]
    assert not lane


def test_levels_come_first_whoever_has_them():
    lane, a, b = Lane(), queue(), queue()
    low, high, middle = (put(lane, api, level=level)[0] for api, level in ((a, 9), (b, 1), (a, 5)))
    assert [turn(lane) for _ in range(3)] == [[high], [middle], [low]]


def test_calls_of_one_api_and_level_come_in_the_order_of_their_arrival():
    lane, a = Lane(), queue()
    calls = put(lane, a, 30)
    assert [turn(lane)[0] for _ in range(30)] == calls


def test_who_leaves_has_no_turn():
    lane, a, b = Lane(), queue(), queue()
    first, second = put(lane, a, 2)
    (third,) = put(lane, b)
    lane.leave(first)
    lane.leave(third)
    assert turn(lane) == [second]
    assert not lane


def test_all_that_wait_can_be_taken_at_once():
    lane, a, b = Lane(), queue(), queue(max_size=4)
    calls = put(lane, a, 5, level=3) + put(lane, b, 5, group="g")
    assert sorted(lane.take_all(), key=lambda one: one.id) == calls
    assert not lane
    assert (a.waiting, b.waiting) == (0, 0)
    (late,) = put(lane, b)
    assert turn(lane) == [late]


# ── nobody starves ───────────────────────────────────────────────────────────────────────────────


def test_each_eighth_turn_is_the_oldests():
    lane, a = Lane(), queue()
    old = put(lane, a, 10, level=9)
    found = []
    for _ in range(80):
        put(lane, a, level=1)
        found += turn(lane)
    assert [one for one in found if one.level == 9] == old
    assert [index for index, one in enumerate(found) if one.level == 9] == list(range(7, 80, 8))


def test_the_oldest_is_the_oldest_of_all_apis():
    lane, flood, quiet = Lane(), queue(), queue()
    (old,) = put(lane, quiet, level=9)
    found = []
    for _ in range(8):
        put(lane, flood, 3, level=1)
        found += turn(lane)
    assert found[7:] == [old]


def test_a_call_of_any_level_is_served_under_any_load():
    lane, flood, quiet = Lane(), queue(0.1), queue(10.0)
    put(lane, flood, 1000, level=1)
    (old,) = put(lane, quiet, level=9)
    for _ in range(8 * 1001):
        put(lane, flood, level=1)
        if turn(lane) == [old]:
            return
    pytest.fail("never")


# ── fair shares ──────────────────────────────────────────────────────────────────────────────────


def test_what_a_worker_had_no_slot_for_has_its_turn_again():
    lane, a = Lane(), queue(0.1)
    late = put(lane, a, level=9)[0]
    put(lane, a, 100, level=1)
    for _ in range(7):
        assert turn(lane) != [late]
    used = a.used
    for _ in range(20):  # refused, and refused again
        assert turn(lane) == [late]
        lane.untaken([late])
        lane.put(late, NOW)
        assert a.used == pytest.approx(used)
    assert turn(lane) == [late]


@pytest.mark.parametrize("ratio", [1, 2, 5, 20])
def test_apis_share_the_time_and_not_the_number_of_turns(ratio):
    lane, quick, slow = Lane(), queue(0.01), queue(0.01 * ratio)
    put(lane, quick, 2000)
    put(lane, slow, 2000)
    found = Counter(turn(lane)[0].queue for _ in range(lane_module._OLDEST_EVERY * 50) if not _oldest(lane))
    assert found[quick] / found[slow] == pytest.approx(ratio, rel=0.2)


def _oldest(lane: Lane) -> bool:
    """Skip the turns of the oldest."""
    if lane._turns % lane_module._OLDEST_EVERY == lane_module._OLDEST_EVERY - 1:
        lane._turns += 1
    return False


def test_a_batch_is_charged_for_what_it_costs():
    lane, one_by_one, batched = Lane(), queue(0.01), queue(max_size=10)
    for _ in range(20):
        batched.learn(None, 10, 0.05)
        batched.learn(None, 1, 0.04)
    put(lane, one_by_one, 2000)
    put(lane, batched, 20_000)
    found = Counter(turn(lane)[0].queue for _ in range(300) if not _oldest(lane))
    assert found[one_by_one] / found[batched] == pytest.approx(5, rel=0.3)


def test_who_had_nothing_to_do_has_saved_up_nothing():
    lane, busy, idle = Lane(), queue(0.1), queue(0.1)
    put(lane, busy, 1000)
    turns(lane, 400)
    put(lane, idle, 1000)
    found = turns(lane, 100)
    assert found[busy] >= 40
    assert found[idle] >= 40


def test_who_took_much_while_it_was_alone_is_not_punished_for_it():
    lane, busy, late = Lane(), queue(1.0), queue(1.0)
    put(lane, busy, 1000)
    turns(lane, 500)
    put(lane, late, 1000)
    assert abs(turns(lane, 100)[busy] - 50) <= 10


def test_of_unknown_cost_all_have_as_many_turns():
    lane, apis = Lane(), [queue() for _ in range(4)]
    for api in apis:
        put(lane, api, 100)
    assert max(turns(lane, 200).values()) <= 60


# ── who has no turn ──────────────────────────────────────────────────────────────────────────────


def test_who_may_have_no_more_slots_has_no_turn_and_stops_nobody():
    lane, bounded, other = Lane(), queue(slots=1), queue()
    (first,) = put(lane, bounded, level=1)
    (second,) = put(lane, other, level=9)
    bounded.slots = 1
    assert turn(lane) == [second]
    assert turn(lane) == []
    assert lane
    bounded.slots = 0
    assert turn(lane) == [first]


def test_who_is_held_has_no_turn_until_then():
    lane, held, other = Lane(), queue(max_size=4), queue()
    (first,) = put(lane, held)
    (second,) = put(lane, other)
    held.held_until = 5.0
    assert turn(lane, 4.9) == [second]
    assert turn(lane, 4.9) == []
    assert turn(lane, 5.0) == [first]
    assert held.held_until == 0.0


def test_a_queue_that_empties_is_held_no_longer():
    lane, api = Lane(), queue(max_size=4)
    (one,) = put(lane, api)
    api.held_until = 1e9
    lane.leave(one)
    (two,) = put(lane, api)
    assert turn(lane) == [two]


# ── holding ──────────────────────────────────────────────────────────────────────────────────────


def holding(max_delay_s: float = 0.05, **options):
    """An API for whose batches it pays to wait: a batch costs the same whatever its size, and calls come steadily."""
    lane, api = Lane(), queue(takes="columns", max_size=8, max_delay_s=max_delay_s)
    one = call(api, **options)
    for _ in range(30):
        for size in range(1, 9):
            api.learn(None, size, 0.05)
    for number in range(200):
        api.traffic.came(one.admitted - (200 - number) * 0.001)
    lane.put(one, one.admitted)
    found = lane.turn(one.admitted)
    assert found is not None
    return lane, api, found, one


def given(monkeypatch, hold_s: float) -> list[tuple]:
    """The decision, and what it was asked."""
    asked: list[tuple] = []
    monkeypatch.setattr(lane_module, "hold_s", lambda *facts: (asked.append(facts), hold_s)[1])
    return asked


def test_what_is_decided_about_holding_is_told(monkeypatch):
    asked = given(monkeypatch, 0.003)
    _, api, found, one = holding()
    assert held_s(found, one.admitted + 0.01, others_free=True) == 0.003
    waiting, max_size, others_free, silence_s, arrivals, cost, limit_s, each = asked[0]
    assert (waiting, max_size, others_free, each) == (1, 8, True, 1.0)
    assert silence_s == pytest.approx(0.011, abs=0.001)
    assert (arrivals, cost) == (api.traffic.arrivals, api.traffic.cost)
    assert limit_s == pytest.approx(0.04)


def test_nothing_is_held_longer_than_max_delay(monkeypatch):
    given(monkeypatch, 1.0)
    _, _, found, one = holding()
    assert held_s(found, one.admitted + 0.049, others_free=False) > 0
    assert held_s(found, one.admitted + 0.0501, others_free=False) == 0


def test_a_call_of_a_higher_level_holds_an_older_one_no_longer(monkeypatch):
    given(monkeypatch, 1.0)
    lane, api, _, one = holding(level=5)
    high = call(api, level=1)
    high.admitted = one.admitted + 0.045
    lane.put(high, high.admitted)
    found = lane.turn(high.admitted)
    assert found is not None
    assert found.head is high
    assert held_s(found, one.admitted + 0.051, others_free=False) == 0


def test_a_deadline_bounds_how_long_its_call_is_held(monkeypatch):
    asked = given(monkeypatch, 1.0)
    _, _, found, one = holding(max_delay_s=10.0, timeout_s=0.5)
    assert held_s(found, one.admitted, others_free=False) > 0
    assert asked[0][6] == pytest.approx(0.5 - 2 * 0.05, abs=0.02)
    assert held_s(found, one.admitted + 0.45, others_free=False) == 0


@pytest.mark.parametrize("why", ["full", "alone", "mixed"])
def test_nothing_is_held_that_gains_nothing(monkeypatch, why):
    given(monkeypatch, 1.0)
    lane, api, found, one = holding()
    assert held_s(found, one.admitted, others_free=False) > 0
    if why == "full":
        put(lane, api, 7)
    elif why == "alone":
        one.alone = True
    else:
        put(lane, api, group="other")
    assert held_s(found, one.admitted, others_free=False) == 0


# ── how much of what waits ───────────────────────────────────────────────────────────────────────


def seconds(size: int) -> float:
    """What a model takes for a batch."""
    return 0.05 + 0.001 * size


def batches(api: Queue, count: int, first_s: float = 0.0) -> list[int]:
    """The sizes of batches while more wait than fit in one; the first may be slow."""
    lane, sizes = Lane(), []
    for number in range(count):
        put(lane, api, api.limits.max_size)
        size = len(turn(lane))
        sizes.append(size)
        api.learn(None, size, first_s if first_s and not number else seconds(size))
    return sizes


def test_who_has_only_seen_lonely_calls_tries_batches_all_the_same():
    assert batches(queue(seconds(1), takes="columns", max_size=32), 50) == [32] * 50


def test_a_first_batch_that_was_slow_does_not_speak_against_batches():
    """Compilers and caches make the first of a size slow."""
    assert batches(queue(seconds(1), takes="columns", max_size=32), 50, first_s=10.0) == [32] * 50


def test_smaller_batches_that_serve_more_are_found_out():
    api = queue(takes="columns", max_size=32)
    for size in range(1, 33):
        for _ in range(3):
            api.learn(None, size, 0.01 * size**1.5)
    lane = Lane()
    put(lane, api, 64)
    assert len(turn(lane)) < 8


# ── ahead ────────────────────────────────────────────────────────────────────────────────────────


def test_a_window_follows_what_slots_are_held_for():
    lane = Lane()
    assert lane.window(3) == 3
    for _ in range(100):
        lane.ran(1e-5)
    assert lane.window(3) > 10
    for _ in range(100):
        lane.ran(1.0)
    assert lane.window(3) == 3
