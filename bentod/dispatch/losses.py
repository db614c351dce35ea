"""What is lost with a worker, and which call may be to blame: pure."""

from __future__ import annotations

from bentod.dispatch.call import Call
from bentod.dispatch.worker import Unit, Worker
from bentod.errors import WorkerLost


def begun(worker: Worker) -> list[Unit]:
    """What a worker may have begun, oldest first; the rest of what it holds was only ahead."""
    left, found = dict(worker.slots), []
    for unit in worker.units():
        left[unit[0].is_async] -= 1
        if left[unit[0].is_async] >= 0:
            found.append(unit)
    return found


def killer(worker: Worker, units: list[Unit]) -> Call | None:
    """The one call that a dead worker ran, if it ran no other: none else can have killed it. A worker that was told to
    end may have been killed by whoever told it."""
    if worker.leaving or worker.condemned or len(units) != 1 or len(units[0]) != 1:
        return None
    (call,) = units[0]
    return call if call.batch is None or len(call.batch.calls) == 1 else None


def lost(losses: int) -> WorkerLost:
    """The error of a call that is not given another worker."""
    if losses > 1:
        return WorkerLost(f"{losses} workers died while they ran this call")
    return WorkerLost("the worker died while it ran this call")
