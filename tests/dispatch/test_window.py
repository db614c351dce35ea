"""How many calls a worker may hold."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentod.dispatch.window import window, window_of_batches

slots = st.integers(1, 1000)
seconds = st.floats(0, 100)


@pytest.mark.parametrize(
    ("slots", "run_s", "held"),
    [
        pytest.param(1, None, 1, id="nothing measured"),
        pytest.param(4, 0.0005, 4, id="slow enough"),
        pytest.param(4, 10.0, 4, id="slow"),
        pytest.param(1, 0.0001, 6, id="quick"),
        pytest.param(1, 0.0, 65, id="immeasurably quick"),
        pytest.param(100, 1e-9, 164, id="bounded"),
    ],
)
def test_some_windows(slots, run_s, held):
    assert window(slots, run_s) == held


@given(slots, st.none() | seconds)
def test_a_worker_may_always_hold_what_it_runs_and_never_much_more(slots, run_s):
    assert slots <= window(slots, run_s) <= slots + 64


@given(slots, seconds, seconds)
def test_slower_calls_never_widen_it(slots, one, other):
    assert window(slots, max(one, other)) <= window(slots, min(one, other))


def test_a_gateway_in_a_flood_gives_more_ahead():
    assert window(1, 0.001, 0.001) == 1
    assert window(1, 0.001, 0.03) == 61
    assert window(1, 0.1, 0.03) == 1
    assert window_of_batches(1, 0.003, 0.03) == 9
    assert window_of_batches(1, 0.01, 0.03) == 7
    assert window_of_batches(1, 0.1, 0.03) == 1


def test_one_full_batch_is_ahead_where_batches_are_short():
    assert window_of_batches(2, None) == 2
    assert window_of_batches(2, 0.002) == 3
    assert window_of_batches(2, 0.02) == 2
