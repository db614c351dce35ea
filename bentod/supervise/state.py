"""The states of a worker and of a service, and every move between a worker's states. Nothing else knows them."""

from __future__ import annotations

from enum import StrEnum


class WorkerState(StrEnum):
    """What one supervised worker does now."""

    STARTING = "starting"
    """The process runs: its target is being imported and constructed, its `ready` hook has not said yes yet, or it
    answers the examples."""
    READY = "ready"
    """It takes calls."""
    UNREADY = "unready"
    """It runs, but its `ready` hook says no."""
    BACKOFF = "backoff"
    """It ended, and will be started again."""
    FAILED = "failed"
    """It ended, and will not be started again unless somebody wants it to."""
    DRAINING = "draining"
    """It finishes what it took."""
    STOPPED = "stopped"
    """It ended, as it was told."""


_S = WorkerState
MOVES: dict[WorkerState, frozenset[WorkerState]] = {
    _S.STARTING: frozenset({_S.READY, _S.BACKOFF, _S.FAILED, _S.STOPPED}),
    _S.READY: frozenset({_S.UNREADY, _S.BACKOFF, _S.FAILED, _S.DRAINING, _S.STOPPED}),
    _S.UNREADY: frozenset({_S.READY, _S.BACKOFF, _S.FAILED, _S.DRAINING, _S.STOPPED}),
    _S.BACKOFF: frozenset({_S.STARTING, _S.STOPPED}),
    _S.DRAINING: frozenset({_S.STOPPED}),
    _S.FAILED: frozenset({_S.STARTING, _S.STOPPED}),
    _S.STOPPED: frozenset(),
}


def move(old: WorkerState, new: WorkerState) -> WorkerState:
    """`new`, if it may follow `old`. Raises ValueError otherwise: that is a bug of ours."""
    if new not in MOVES[old]:
        raise ValueError(f"a worker cannot go from {old} to {new}")
    return new


class ServiceState(StrEnum):
    """What the workers of one service amount to."""

    STARTING = "starting"
    """No worker has been ready yet."""
    READY = "ready"
    """Every wanted worker is ready."""
    DEGRADED = "degraded"
    """Some are ready, some are not."""
    RECOVERING = "recovering"
    """None is ready, and one is being started again."""
    FAILED = "failed"
    """None is ready, and none will be."""


def service_state(workers: list[WorkerState], *, was_ready: bool) -> ServiceState:
    """The state of a service with workers in these states."""
    ready = workers.count(WorkerState.READY)
    if ready:
        return ServiceState.READY if ready == len(workers) else ServiceState.DEGRADED
    if all(state is WorkerState.FAILED for state in workers):
        return ServiceState.FAILED
    return ServiceState.RECOVERING if was_ready else ServiceState.STARTING
