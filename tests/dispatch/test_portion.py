"""How much goes into one batch: all, unless less serves as many sooner."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentod.dispatch.portion import portion


def flat(size: int) -> float:
    return 0.010


def proportional(size: int) -> float:
    return 0.010 * size


def linear(size: int) -> float:
    return 0.010 + 0.001 * size


def stepped(size: int) -> float:
    return 0.010 * -(-size // 8)


def padded(size: int) -> float:
    return 0.010 * size**1.5


@pytest.mark.parametrize(
    ("waiting", "cost", "taken"),
    [(1, flat, 1), (20, flat, 20), (100, flat, 32), (20, lambda size: None, 20), (32, linear, 32), (20, padded, 1)],
)
def test_all_that_waits_is_taken_while_that_serves_most(waiting, cost, taken):
    assert portion(waiting, 32, 1, cost) == taken


def test_steps_are_not_overstepped():
    assert portion(9, 32, 1, stepped) == 8
    assert portion(8, 32, 1, stepped) == 8


def test_a_little_is_noise():
    assert portion(32, 32, 1, proportional) == 32
    assert portion(32, 32, 1, lambda size: 0.010 * size * (1.2 if size > 16 else 1.0)) == 32
    assert portion(32, 32, 1, lambda size: 0.010 * size * (1.5 if size > 16 else 1.0)) == 1


def test_free_slots_share_what_waits_where_that_is_sooner_done():
    assert portion(32, 32, 2, linear) == 16
    assert portion(32, 32, 2, flat) == 32
    assert portion(1, 32, 4, linear) == 1


@given(st.integers(1, 1000), st.integers(1, 100), st.integers(1, 8), st.floats(0, 1), st.floats(0, 1))
def test_never_more_than_waits_or_fits(waiting, max_size, free, fixed, each):
    assert 1 <= portion(waiting, max_size, free, lambda size: fixed + each * size) <= min(waiting, max_size)
