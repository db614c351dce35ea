"""What gateways are told of a pool."""

from __future__ import annotations

from bentod.plan.model import ServicePlan
from bentod.supervise.state import ServiceState
from bentod.supervise.status import ServiceStatus
from bentod.wire.messages import Method, ServiceRoute, WorkerRoute


def alone(plan: ServicePlan, key: str, worker: WorkerRoute, methods: tuple[Method, ...]) -> ServiceRoute:
    """A pool as if this worker were all of it."""
    return ServiceRoute(
        name=plan.name,
        state=ServiceState.READY.value,
        wanted=1,
        workers=(worker,),
        admit=True,
        methods=methods,
        stop_timeout_s=plan.stop_timeout_s,
        pool=key,
    )


def serving(
    plan: ServicePlan, key: str, status: ServiceStatus, workers: tuple[WorkerRoute, ...], methods: tuple[Method, ...]
) -> ServiceRoute:
    """A pool that is in this state, with those of its workers that take calls."""
    return ServiceRoute(
        name=plan.name,
        state=status.state.value,
        wanted=status.wanted,
        workers=workers,
        admit=bool(workers),
        methods=methods,
        reason=status.reason or ("" if status.ready == status.wanted else f"{status.state}"),
        stop_timeout_s=plan.stop_timeout_s,
        pool=key,
    )
