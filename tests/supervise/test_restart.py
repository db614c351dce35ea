"""The restart schedule: monotone, bounded, and with an end."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentod.plan.model import RestartPolicy
from bentod.supervise.restart import next_delay

DEFAULT = RestartPolicy(delay_s=0.2, factor=2.0, max_delay_s=30.0, window_s=300.0, limit=10)
policies = st.builds(
    RestartPolicy,
    delay_s=st.floats(0, 100),
    factor=st.floats(1, 100),
    max_delay_s=st.floats(0, 1000),
    window_s=st.floats(0.001, 10_000),
    limit=st.integers(1, 1_000_000),
)
jitters = st.floats(0, 1, exclude_max=True)


@given(policies, jitters, st.integers(0, 2000))
def test_the_delay_grows_and_is_bounded(policy, jitter, unsettled):
    delay = next_delay(policy, [], unsettled, 0.0, jitter)
    longer = next_delay(policy, [], unsettled + 1, 0.0, jitter)
    assert delay is not None
    assert longer is not None
    assert 0 <= delay <= longer <= policy.max_delay_s


@given(policies, jitters, st.integers(0, 100))
def test_jitter_spreads_over_the_upper_half(policy, jitter, unsettled):
    longest = next_delay(policy, [], unsettled, 0.0, 1.0)
    delay = next_delay(policy, [], unsettled, 0.0, jitter)
    assert longest is not None
    assert delay is not None
    assert longest / 2 <= delay <= longest


def test_the_schedule_of_the_defaults():
    schedule = [next_delay(DEFAULT, [], count, 0.0, 1.0) for count in range(1, 11)]
    assert schedule == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30.0, 30.0]


def test_a_worker_that_had_settled_is_back_after_the_first_delay():
    assert next_delay(DEFAULT, [100.0, 200.0], 0, 250.0, 1.0) == 0.2


@given(policies, st.lists(st.floats(0, 10_000), max_size=30), st.floats(0, 20_000))
def test_it_gives_up_at_the_limit_within_the_window_and_only_then(policy, restarts, now):
    policy = RestartPolicy(policy.delay_s, policy.factor, policy.max_delay_s, policy.window_s, 5)
    recent = [at for at in restarts if now - at < policy.window_s]
    assert (next_delay(policy, restarts, 1, now, 0.5) is None) == (len(recent) >= 5)


def test_exactly_limit_restarts_are_made_in_a_window():
    times = [float(second) for second in range(10)]
    assert next_delay(DEFAULT, times[:9], 1, 10.0, 0.0) is not None
    assert next_delay(DEFAULT, times, 1, 10.0, 0.0) is None
    assert next_delay(DEFAULT, times, 1, 300.0, 0.0) is not None


@pytest.mark.parametrize("limit", [0, 1])
def test_a_limit_of_none_and_of_one(limit):
    policy = RestartPolicy(0.2, 2.0, 30.0, 300.0, limit)
    assert (next_delay(policy, [], 1, 0.0, 0.0) is None) == (limit == 0)
    assert next_delay(policy, [0.0], 1, 0.0, 0.0) is None
