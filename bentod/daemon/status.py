"""What `status` says: the daemon's state as plain data. Its schema is `schemas/status.schema.json`."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from bentod.daemon.gateways import GatewayStatus
from bentod.daemon.status_gpus import gpu_documents, host_document
from bentod.daemon.use import Reading, Use
from bentod.plan.grants import NOTHING
from bentod.plan.inventory import Inventory
from bentod.plan.model import Plan, ServicePlan
from bentod.supervise.status import ServiceStatus, WorkerStatus
from bentod.wire.messages import ApiRoute, Stats

_SUMMED = ("waiting", "running", "batches", "batched")


@dataclass(frozen=True, slots=True)
class Pooled:
    """One service with the pool that serves it."""

    status: ServiceStatus
    pool: str
    plan: ServicePlan


@dataclass(frozen=True, slots=True)
class Standing:
    """All that there is to say of a daemon at one moment. `started` is of the clock of `reading`; `ours` are the
    services of all worker processes, those that are about to go as well."""

    plan: Plan
    generation: int
    state: str
    urls: Sequence[str]
    started: float
    gateways: Sequence[GatewayStatus]
    services: Sequence[Pooled]
    stats: Sequence[Stats]
    reading: Reading
    inventory: Inventory | None = None
    ours: Mapping[int, str] = field(default_factory=dict)


def status_document(now: Standing) -> dict[str, Any]:
    """The whole state as plain data."""
    plan, counts = now.plan, api_documents(now.stats)
    return {
        "name": plan.name,
        "version": plan.version,
        "url": now.urls[0] if now.urls else "",
        "urls": list(now.urls),
        "state": _state(now),
        "generation": now.generation,
        "uptime_seconds": round(now.reading.at - now.started, 3),
        "host": host_document(now.reading.host, now.inventory, now.ours),
        "daemon": {"pid": os.getpid(), **_used(now.reading.own), "python": sys.version.split()[0]},
        "gateways": [_gateway_document(one, now.reading) for one in now.gateways],
        "services": {one.status.name: _service_document(one, now) for one in now.services},
        "apis": {api.name: {"path": api.path, "service": api.service, **counts.get(api.name, {})} for api in plan.apis},
    }


def _state(now: Standing) -> str:
    """`ready` only while every service is; a service without any worker makes it `degraded` like a missing one."""
    if now.state != "ready":
        return now.state
    return "ready" if all(one.status.state.value == "ready" for one in now.services) else "degraded"


def _gateway_document(gateway: GatewayStatus, reading: Reading) -> dict[str, Any]:
    return {
        "index": gateway.index,
        "pid": gateway.pid,
        "state": gateway.state,
        "restarts": gateway.restarts,
        **_used(reading.groups.get(gateway.pid or 0)),
    }


def _service_document(one: Pooled, now: Standing) -> dict[str, Any]:
    service = one.status
    calls: Counter[str] = Counter()
    for stats in now.stats:
        calls.update(stats.workers)
    return {
        "state": service.state.value,
        "ready": service.ready,
        "wanted": service.wanted,
        "reason": service.reason,
        "pool": one.pool,
        "workers": [_worker_document(worker, one.plan, calls, now) for worker in service.workers],
    }


def _worker_document(worker: WorkerStatus, service: ServicePlan, calls: Counter[str], now: Standing) -> dict[str, Any]:
    grant = next((plan.grant for plan in service.workers if plan.index == worker.index), NOTHING)
    return {
        "index": worker.index,
        "pid": worker.pid,
        "state": worker.state.value,
        "calls": calls[str(worker.pid)],
        "restarts": worker.restarts,
        "reason": worker.reason,
        "recycled": worker.recycled,
        "exit": asdict(worker.exit) if worker.exit is not None else None,
        "start_seconds": worker.started_s,
        "age_seconds": None if worker.age_s is None else round(worker.age_s, 3),
        **_used(now.reading.groups.get(worker.pid or 0)),
        "memory_limit": service.needs.memory if service.needs is not None else None,
        "cpus": list(grant.cpus),
        "gpus": gpu_documents(grant, worker.pid, now.inventory),
    }


def _used(use: Use | None) -> dict[str, Any]:
    """What a process group uses; nothing is known of one that is not there."""
    if use is None:
        return dict.fromkeys(("memory", "cpu_seconds", "threads"))
    return {"memory": use.memory, "cpu_seconds": use.cpu_s, "threads": use.threads}


def api_documents(stats: Sequence[Stats]) -> dict[str, Any]:
    """Each API's counters, summed over the gateways."""
    documents: dict[str, Any] = {}
    for one in stats:
        for api in one.apis:
            found = documents.setdefault(api.name, {**dict.fromkeys(_SUMMED, 0), "calls": Counter()})
            for key in _SUMMED:
                found[key] += getattr(api, key)
            found["calls"].update(api.codes)
            if api.most and api.most <= found.get("batch_ceiling", {}).get("size", api.most):
                found["batch_ceiling"] = {"size": api.most, "out_of_memory_at": api.at}
    return {name: {**found, "calls": dict(found["calls"])} for name, found in documents.items()}


def call_document(api: ApiRoute, types: Mapping[str, Any], url: str) -> dict[str, Any]:
    """What a client needs in order to call an API. It has no published schema: it is for the command line."""
    return {
        "url": url,
        "path": api.path,
        "input": api.input,
        "output": api.output,
        "types": dict(types),
        "stream": api.stream,
        "timeout_seconds": api.timeout_s,
        "stream_idle_seconds": api.stream_idle_s,
        "examples": [asdict(example) for example in api.examples],
    }
