"""The moves between a worker's states, and what workers amount to."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentod.supervise.state import MOVES, ServiceState, WorkerState, move, service_state

W, S = WorkerState, ServiceState


@pytest.mark.parametrize(("old", "new"), list(itertools.product(W, W)))
def test_only_moves_of_the_table_are_made(old, new):
    if new in MOVES[old]:
        assert move(old, new) is new
    else:
        with pytest.raises(ValueError, match=f"from {old} to {new}"):
            move(old, new)


def test_every_state_has_its_moves_and_can_be_reached():
    assert set(MOVES) == set(W)
    reached = {W.STARTING}
    for _ in W:
        reached |= {new for old in reached for new in MOVES[old]}
    assert reached == set(W)


def test_a_worker_can_be_stopped_in_every_state_and_then_stays_stopped():
    for state in set(W) - {W.STOPPED}:
        assert W.STOPPED in MOVES[state] or any(W.STOPPED in MOVES[later] for later in MOVES[state])
    assert MOVES[W.STOPPED] == frozenset()


@pytest.mark.parametrize(
    ("workers", "was_ready", "state"),
    [
        ([W.STARTING], False, S.STARTING),
        ([W.STARTING, W.FAILED], False, S.STARTING),
        ([W.READY], True, S.READY),
        ([W.READY, W.READY], True, S.READY),
        ([W.READY, W.STARTING], True, S.DEGRADED),
        ([W.READY, W.FAILED], True, S.DEGRADED),
        ([W.READY, W.UNREADY], True, S.DEGRADED),
        ([W.BACKOFF], True, S.RECOVERING),
        ([W.UNREADY], True, S.RECOVERING),
        ([W.BACKOFF, W.FAILED], True, S.RECOVERING),
        ([W.FAILED], False, S.FAILED),
        ([W.FAILED, W.FAILED], True, S.FAILED),
    ],
)
def test_what_workers_amount_to(workers, was_ready, state):
    assert service_state(workers, was_ready=was_ready) is state


@given(st.lists(st.sampled_from(W), min_size=1), st.booleans())
def test_a_service_is_ready_only_if_a_worker_is(workers, was_ready):
    state = service_state(workers, was_ready=was_ready)
    assert (state in {S.READY, S.DEGRADED}) == (W.READY in workers)
    assert (state is S.READY) == (set(workers) == {W.READY})
