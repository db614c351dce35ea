"""What a worker process is told first: what it is to load, and where it is to listen."""

from __future__ import annotations

from bentod.plan.model import ServicePlan, WorkerPlan
from bentod.supervise.surroundings import Surroundings
from bentod.wire.messages import Setup


def orders(service: ServicePlan, plan: WorkerPlan, socket: str, around: Surroundings) -> Setup:
    """The orders of one process of this worker."""
    return Setup(
        service=service.name,
        index=plan.index,
        target=service.target,
        project=around.project,
        methods=service.methods,
        socket=socket,
        init=dict(plan.init),
        hooks=dict(service.hooks),
        threads=service.threads,
        concurrency=service.concurrency,
        gateways=service.gateways,
        expected=service.expected,
        objects=around.objects,
        pins=dict(around.pins()),
    )
