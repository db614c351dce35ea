"""When a worker's time has come."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bentod.plan.model import RecyclePolicy
from bentod.supervise.recycle import Seen, due, heavy, retry_s

NEVER = RecyclePolicy(None, None, None)
seens = st.builds(
    Seen,
    calls=st.integers(0, 10**9),
    age_s=st.floats(0, 10**9),
    memory=st.none() | st.integers(0, 2**50),
    luck=st.floats(0, 1, exclude_max=True),
)


@given(seens)
def test_without_a_limit_it_never_comes(seen):
    assert due(NEVER, seen) == ""


def test_each_limit_has_its_words():
    seen = Seen(calls=100, age_s=60.0, memory=300 * 2**20, luck=0.5)
    assert due(RecyclePolicy(100, None, None), seen) == "it has answered 100 calls (max_calls)"
    assert due(RecyclePolicy(101, None, None), seen) == ""
    assert due(RecyclePolicy(None, None, 300 * 2**20), seen) == "it has 300 MiB (max_memory)"
    assert due(RecyclePolicy(None, None, 301 * 2**20), seen) == ""
    assert due(RecyclePolicy(None, 60.0, None), seen) == "it has served for 60 s (max_age)"


def test_memory_that_is_not_known_is_no_reason():
    assert due(RecyclePolicy(None, None, 1), Seen(0, 0.0, None, 0.0)) == ""


@given(st.floats(1, 10**6), st.floats(0, 1, exclude_max=True))
def test_the_age_is_within_a_tenth(max_age, luck):
    policy = RecyclePolicy(None, max_age, None)
    assert not due(policy, Seen(0, max_age * 0.89, None, luck))
    assert due(policy, Seen(0, max_age * 1.11, None, luck))


@given(st.integers(1, 1000), st.floats(0, 10_000))
def test_failures_wait_ever_longer_and_never_less_than_a_restart(failures, longest):
    assert retry_s(failures, longest) >= longest
    assert retry_s(failures + 1, longest) >= retry_s(failures, longest)
    assert retry_s(failures, longest) <= max(longest, 3600.0)


def test_workers_that_soon_have_too_much_memory_again_are_replaced_less_and_less_often():
    """One that lasted is replaced at once, however many did not before it."""
    failures, waits = 0, []
    for _ in range(4):
        failures = heavy(failures, age_s=1.0)
        waits.append(retry_s(failures, 10.0))
    assert waits == [10.0, 20.0, 40.0, 80.0]
    assert heavy(failures, age_s=3600.0) == 0
