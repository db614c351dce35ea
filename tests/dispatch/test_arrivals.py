"""When calls come is learned from the gaps between them."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentod.dispatch.arrivals import Arrivals

WAITS = (0.0005, 0.001, 0.002, 0.005)
gaps = st.lists(st.tuples(st.booleans(), st.floats(-10, 100)), max_size=80)


def steady(rate, calls=3000):
    chance, arrivals, now = random.Random(1), Arrivals(), 0.0
    for _ in range(calls):
        now += chance.expovariate(rate)
        arrivals.came(now)
        arrivals.left(now)
    return arrivals


def bursts(size, calls=4000):
    """Bursts whose calls come a tenth of a millisecond apart, each answered long before the next."""
    arrivals, now = Arrivals(), 0.0
    for _ in range(calls // size):
        for _ in range(size):
            now += 0.0001
            arrivals.came(now)
        now += 0.1
        arrivals.left(now, size)
        now += 0.1
    return arrivals, now


def test_nothing_is_expected_at_first():
    arrivals = Arrivals()
    assert arrivals.rate == 0.0
    arrivals.came(5.0)
    assert arrivals.rate == 0.0
    assert [chance for chance, _ in arrivals.ahead(0.0, WAITS)] == [0.0] * 4


def test_the_rate_is_that_of_the_last_hundred():
    assert steady(500).rate == pytest.approx(500, rel=0.25)


def test_steady_arrivals_are_as_likely_after_any_silence():
    """Of which exponential gaps are the example."""
    arrivals = steady(500)
    for silence_s in (0.0, 0.001, 0.002):
        for wait, (chance, waited) in zip(WAITS, arrivals.ahead(silence_s, WAITS), strict=True):
            assert chance == pytest.approx(1 - math.exp(-500 * wait), abs=0.15)
            assert waited == pytest.approx((1 - math.exp(-500 * wait)) / 500, rel=0.2)


def test_the_end_of_a_burst_is_known():
    arrivals, now = bursts(8)
    for nth in range(1, 9):
        arrivals.came(now + nth * 0.0001)
        chance, waited = arrivals.ahead(0.0, (0.001,))[0]
        assert chance > 0.9 if nth < 8 else chance < 0.1
        assert waited == pytest.approx(0.0001 if nth < 8 else 0.001, rel=0.6)


def test_a_flow_ends_with_the_burst():
    arrivals, now = bursts(8)
    arrivals.came(now + 0.0001)
    flow = arrivals.flow(0.005)
    assert flow.count(1, 0.005) == pytest.approx(7, abs=0.7)
    assert flow.count(8, 0.005) < 0.1
    assert flow.ends[1] == 8
    count, time, waited = flow.gather(1, 8, 1)
    assert count == pytest.approx(7, abs=0.7)
    assert time == pytest.approx(0.0007, rel=0.3)
    assert waited == pytest.approx(0.0001 * sum(range(1, 8)), rel=0.3)


def test_clients_that_were_answered_together_are_expected_back():
    arrivals, now, chance = Arrivals(), 0.0, random.Random(1)
    for _ in range(200):
        for back in sorted(chance.expovariate(2000) for _ in range(8)):
            arrivals.came(now + back)
        now += 0.02
        arrivals.left(now, 8)
    assert arrivals.ahead(0.015, (0.0005,))[0][0] > 0.8


def test_who_never_says_that_calls_leave_gets_one_state_for_all():
    chance, arrivals, now = random.Random(1), Arrivals(), 0.0
    for _ in range(3000):
        now += chance.expovariate(500)
        arrivals.came(now)
    assert arrivals.ahead(0.0, (0.002,))[0][0] == pytest.approx(1 - math.exp(-1), abs=0.15)
    assert len(arrivals._states) <= 129


def test_new_traffic_replaces_the_old():
    arrivals = steady(10)
    for n in range(300):
        arrivals.came(1e6 + n * 0.001)
        arrivals.left(1e6 + n * 0.001)
    assert arrivals.ahead(0.0, (0.002,))[0][0] > 0.9


def test_what_is_outstanding_is_counted():
    arrivals = Arrivals()
    arrivals.came(0.0)
    arrivals.came(0.0)
    assert arrivals.outstanding == 2
    arrivals.left(1.0)
    assert arrivals.outstanding == 1
    arrivals.left(2.0, 5)
    assert arrivals.outstanding == 0


@given(gaps, st.floats(-1, 100), st.lists(st.floats(1e-6, 200), min_size=1, max_size=8))
def test_chances_are_chances_whatever_the_clock_does(events, silence_s, waits):
    arrivals, now = Arrivals(), 100.0
    for is_arrival, gap in events:
        now += gap
        if is_arrival:
            arrivals.came(now)
        else:
            arrivals.left(now, 2)
    waits.sort()
    found = arrivals.ahead(silence_s, tuple(waits))
    chances = [chance for chance, _ in found]
    assert all(-1e-9 <= chance <= 1 + 1e-9 for chance in chances)
    assert chances == sorted(chances)
    assert all(0 <= waited <= wait * (1 + 1e-6) + 1e-9 for wait, (_, waited) in zip(waits, found, strict=True))
    assert arrivals.rate >= 0
    flow = arrivals.flow(0.005)
    assert 0 <= flow.count(1, 0.005) <= flow.last
    assert all(value >= 0 for value in flow.gather(1, 40, 3))
