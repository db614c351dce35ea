"""What a batch costs is learned, and neither a pause nor a change ruins it."""

from __future__ import annotations

import math
import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentod.dispatch.cost import Cost

batches = st.lists(st.tuples(st.integers(1, 65536), st.floats(0, 1000)), max_size=60)


def learned(curve, sizes, noise=0.05, cost=None):
    chance = random.Random(1)
    cost = cost or Cost()
    for size in sizes:
        cost.learn(size, curve(size) * chance.lognormvariate(0, noise))
    return cost


def any_sizes(count, most=32):
    chance = random.Random(2)
    return [chance.randint(1, most) for _ in range(count)]


def test_nothing_is_known_at_first():
    assert Cost().of(1) is None


def test_while_one_size_is_known_cost_is_proportional():
    cost = learned(lambda n: 0.008, [8] * 5, noise=0)
    assert [cost.of(n) for n in (1, 8, 16)] == pytest.approx([0.001, 0.008, 0.016])


@pytest.mark.parametrize(
    "curve",
    [
        pytest.param(lambda n: 0.005, id="flat"),
        pytest.param(lambda n: 0.002 + 0.0005 * n, id="linear"),
        pytest.param(lambda n: 0.0005 * n, id="proportional"),
        pytest.param(lambda n: 0.001 + 0.002 * math.ceil(n / 8), id="stepped"),
    ],
)
def test_curves_are_found(curve):
    cost = learned(curve, any_sizes(600))
    assert [cost.of(n) for n in range(1, 33)] == pytest.approx([curve(n) for n in range(1, 33)], rel=0.1)


def test_steps_stay_steps():
    cost = learned(lambda n: 0.001 + 0.002 * math.ceil(n / 8), any_sizes(1000))
    assert cost.of(9) - cost.of(8) > 0.0015
    assert cost.of(16) - cost.of(9) < 0.0005


def test_what_was_never_seen_lies_between_its_neighbours_or_on_the_line():
    cost = learned(lambda n: 0.002 + 0.0005 * n, [4, 16, 4, 16, 8] * 10, noise=0)
    assert cost.of(12) == pytest.approx(0.008, rel=0.02)
    assert cost.of(1) == pytest.approx(0.0025, rel=0.05)
    assert cost.of(40) == pytest.approx(0.022, rel=0.05)


@pytest.mark.parametrize("factor", [10.0, 0.1])
@pytest.mark.parametrize("sizes", [[1] * 200, [8] * 200, any_sizes(400)], ids=["one", "eight", "any"])
def test_a_cost_that_jumps_tenfold_is_known_soon(factor, sizes):
    cost = learned(lambda n: 0.002 + 0.0005 * n, sizes)
    learned(lambda n: factor * (0.002 + 0.0005 * n), sizes[:12], cost=cost)
    for size in set(sizes[:12]):
        assert cost.of(size) == pytest.approx(factor * (0.002 + 0.0005 * size), rel=0.25)


def test_a_pause_changes_little():
    cost = learned(lambda n: 0.002 + 0.0005 * n, any_sizes(300))
    before = [cost.of(n) for n in range(1, 33)]
    cost.learn(16, 3.0)
    learned(lambda n: 0.002 + 0.0005 * n, any_sizes(20), cost=cost)
    assert [cost.of(n) for n in range(1, 33)] == pytest.approx(before, rel=0.1)


def test_a_slow_first_batch_is_forgotten():
    cost = Cost()
    cost.learn(1, 30.0)
    learned(lambda n: 0.005, [1] * 12, cost=cost)
    assert cost.of(1) == pytest.approx(0.005, rel=0.2)


def test_memory_is_bounded():
    cost = learned(lambda n: 0.001 * n, range(1, 65537, 7), noise=0)
    assert len(cost._seen) < 300
    for size in range(1, 65537):
        cost.of(size)
    assert len(cost._cached) <= 512


@given(batches, st.lists(st.integers(1, 70000), min_size=2, max_size=20))
def test_it_is_never_negative_and_never_falls(seen, asked):
    cost = Cost()
    for size, seconds in seen:
        cost.learn(size, seconds)
    found = [cost.of(size) for size in sorted(asked)]
    assert (found[0] is None) == (not seen)
    if seen:
        assert all(value >= 0 for value in found)
        assert all(low <= high * (1 + 1e-9) for low, high in pairwise(found))
