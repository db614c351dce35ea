"""When a free worker holds a part of a batch, and when never."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentod.dispatch.arrivals import Arrivals
from bentod.dispatch.batcher import hold_s
from bentod.dispatch.cost import Cost

MOST = 32
CURVES = {
    "flat": lambda n: 0.005,
    "linear": lambda n: 0.002 + 0.0005 * n,
    "proportional": lambda n: 0.0005 * n,
    "stepped": lambda n: 0.001 + 0.002 * math.ceil(n / 8),
}


def cost_of(curve, sizes=range(1, MOST + 1)):
    cost = Cost()
    for _ in range(5):
        for size in sizes:
            cost.learn(size, curve(size))
    return cost


def after_bursts(now_of_burst, size=8, apart_s=0.0001):
    """Traffic of bursts, of which the last is at this call; each burst was answered before the next."""
    arrivals, now = Arrivals(), 0.0
    for _ in range(200):
        for _ in range(size):
            now += apart_s
            arrivals.came(now)
        arrivals.left(now + 0.01, size)
        now += 0.1
    for _ in range(now_of_burst):
        now += apart_s
        arrivals.came(now)
    return arrivals


def after_steady(rate, waiting):
    chance, arrivals, now = random.Random(3), Arrivals(), 0.0
    for _ in range(1000):
        now += chance.expovariate(rate)
        arrivals.came(now)
        arrivals.left(now)
    for _ in range(waiting):
        now += 1 / rate
        arrivals.came(now)
    return arrivals


def held(waiting, arrivals, cost, limit_s=0.005, others_free=False, silence_s=0.0, each=1.0):
    return hold_s(waiting, MOST, others_free, silence_s, arrivals, cost, limit_s, each)


@pytest.mark.parametrize("waiting", range(1, 8))
def test_a_burst_is_held_for_the_rest_of_it(waiting):
    assert 0 < held(waiting, after_bursts(waiting), cost_of(CURVES["flat"])) <= 0.002


def test_a_burst_is_not_held_at_its_end():
    assert held(8, after_bursts(8), cost_of(CURVES["flat"])) == 0


def test_a_burst_that_stops_early_is_not_held_for_ever():
    assert held(3, after_bursts(3), cost_of(CURVES["flat"]), silence_s=0.05) == 0


def test_a_burst_is_held_for_calls_that_weigh_more_than_one():
    cost = cost_of(lambda n: 0.005)
    assert held(8.0, after_bursts(2), cost, each=4.0) > 0
    assert held(30.0, after_bursts(8), cost, each=4.0) == 0


@pytest.mark.parametrize("curve", CURVES)
@pytest.mark.parametrize("rate", [10, 100, 400])
def test_who_comes_alone_waits_for_nobody(curve, rate):
    assert held(1, after_steady(rate, 1), cost_of(CURVES[curve])) == 0


@pytest.mark.parametrize("waiting", [1, 5, 9, 31])
def test_what_would_not_be_faster_together_is_never_held(waiting):
    assert held(waiting, after_bursts(waiting), cost_of(CURVES["proportional"])) == 0


def test_nothing_is_held_while_nothing_is_known():
    cost = cost_of(CURVES["flat"])
    assert held(1, Arrivals(), cost) == 0
    assert held(1, after_bursts(1), Cost()) == 0
    assert held(1, after_bursts(1), cost_of(CURVES["flat"], sizes=[4])) == 0


def test_no_delay_means_never():
    for waiting in range(1, 8):
        assert held(waiting, after_bursts(waiting), cost_of(CURVES["flat"]), limit_s=0.0) == 0
        assert held(waiting, after_bursts(waiting), cost_of(CURVES["flat"]), limit_s=-1.0) == 0


def test_a_full_batch_is_never_held():
    assert held(32, after_bursts(7), cost_of(CURVES["flat"])) == 0
    assert held(31.5, after_bursts(7), cost_of(CURVES["flat"])) == 0


def test_it_adapts_to_a_cost_that_jumps():
    """From two milliseconds a burst is worth a wait of one; from microseconds it is not."""
    arrivals, cost = after_bursts(4, apart_s=0.0004), cost_of(lambda n: 0.004)
    assert held(4, arrivals, cost) > 0
    for _ in range(2):
        for size in (4, 1, 8, 2, 6, 5, 7, 3):
            cost.learn(size, 0.0002)
    assert held(4, arrivals, cost) == 0


def test_a_clock_that_goes_backwards_does_no_harm():
    arrivals = after_bursts(4)
    arrivals.came(-1e6)
    assert 0 <= held(5, arrivals, cost_of(CURVES["flat"]), silence_s=-1e6) <= 0.005


gaps = st.lists(st.tuples(st.booleans(), st.floats(-1, 1)), max_size=60)
batches = st.lists(st.tuples(st.integers(1, 64), st.floats(0, 10)), max_size=30)


@given(
    gaps,
    batches,
    st.floats(0.1, 70),
    st.integers(1, 64),
    st.booleans(),
    st.floats(-1, 10),
    st.floats(-1, 1),
    st.floats(0.1, 20),
)
def test_a_hold_is_never_longer_than_it_may(events, ran, waiting, most, others_free, silence_s, limit_s, each):
    arrivals, cost, now = Arrivals(), Cost(), 0.0
    for is_arrival, gap in events:
        now += gap
        if is_arrival:
            arrivals.came(now)
        else:
            arrivals.left(now)
    for size, seconds in ran:
        cost.learn(size, seconds)
    found = hold_s(waiting, most, others_free, silence_s, arrivals, cost, limit_s, each)
    assert 0 <= found <= max(0.0, limit_s)
    assert found == hold_s(waiting, most, others_free, silence_s, arrivals, cost, limit_s, each)
