"""How fast a queue drains."""

from __future__ import annotations

import pytest

from bentod.dispatch.drain import Drain


def drained(gaps: list[float], calls: int = 1, since: float = 0.0) -> tuple[Drain, float]:
    drain, now = Drain(), since
    drain.begin(now)
    for gap in gaps:
        now += gap
        drain.left(calls, now)
    return drain, now


def test_the_rate_is_what_left_in_the_time_that_it_took():
    drain, now = drained([0.1] * 20, calls=8)
    assert drain.rate == pytest.approx(80)
    assert drain.slowed(now) == pytest.approx(80)


@pytest.mark.parametrize("departures", [0, 1, 2, 3])
def test_a_few_departures_say_nothing(departures):
    drain, _ = drained([0.1] * departures)
    assert drain.rate == 0


def test_nothing_ever_left():
    drain, _ = drained([])
    assert drain.slowed(1000.0) == 0


def test_the_time_in_which_nothing_waits_does_not_count():
    drain, now = drained([0.1] * 20)
    drain.begin(now + 3600)
    drain.left(1, now + 3600.1)
    assert drain.rate == pytest.approx(10)


@pytest.mark.parametrize("faster", [0.01, 0.1, 10.0, 100.0])
def test_a_new_pace_is_learned_soon(faster):
    drain, now = drained([0.1] * 50)
    for _ in range(40 if faster > 1 else 20):
        now += 0.1 / faster
        drain.left(1, now)
    assert drain.rate == pytest.approx(10 * faster, rel=0.5 if faster < 1 else 1.5)
    assert (drain.rate > 10) == (faster > 1)


def test_silence_makes_it_slower_at_once_and_without_end():
    drain, now = drained([0.1] * 20)
    rates = [drain.slowed(now + later) for later in (0, 0.1, 1, 10, 1000)]
    assert rates[0] == rates[1] == pytest.approx(10)
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] < 0.02


def test_one_long_pause_does_not_speak_for_what_comes_after_it():
    """A worker that was started again: what waits now goes as fast as before."""
    drain, now = drained([0.001] * 20)
    now += 60
    drain.left(1, now)
    assert drain.rate > 100


@pytest.mark.parametrize("back", [0.001, 1.0, 1e6])
def test_a_clock_that_goes_backwards_does_no_harm(back):
    drain, now = drained([0.1] * 20)
    drain.left(1, now - back)
    assert 5 < drain.rate < 20
    assert drain.slowed(now - 2 * back) > 5
    for _ in range(20):
        now += 0.1
        drain.left(1, now)
    assert drain.rate > 0


def test_all_at_one_instant_is_no_rate():
    drain, now = drained([0.0] * 20)
    assert drain.rate == 0
    assert drain.slowed(now) == 0
    drain.left(1, now + 1)
    assert drain.rate > 0
