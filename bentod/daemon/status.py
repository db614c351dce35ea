"""What `status` says: the daemon's state as plain data. Its schema is `schemas/status.schema.json`."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bentod.daemon.gateways import GatewayStatus
from bentod.supervise.status import ServiceStatus, WorkerStatus
from bentod.wire.messages import ApiRoute, Stats

_SUMMED = ("waiting", "running", "batches", "batched")


def process_document() -> dict[str, Any]:
    """This process."""
    return {"pid": os.getpid(), "memory": memory(os.getpid()), "python": sys.version.split()[0]}


def gateway_document(gateway: GatewayStatus) -> dict[str, Any]:
    """One gateway."""
    return {
        "index": gateway.index,
        "pid": gateway.pid,
        "state": gateway.state,
        "restarts": gateway.restarts,
        "memory": memory(gateway.pid),
    }


def service_document(service: ServiceStatus, pool: str, stats: Sequence[Stats]) -> dict[str, Any]:
    """One service with the workers of its `pool`."""
    calls: Counter[str] = Counter()
    for one in stats:
        calls.update(one.workers)
    return {
        "state": service.state.value,
        "ready": service.ready,
        "wanted": service.wanted,
        "reason": service.reason,
        "pool": pool,
        "workers": [_worker_document(worker, calls) for worker in service.workers],
    }


def _worker_document(worker: WorkerStatus, calls: Counter[str]) -> dict[str, Any]:
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
        "memory": memory(worker.pid),
    }


def api_documents(stats: Sequence[Stats]) -> dict[str, Any]:
    """Each API's counters, summed over the gateways."""
    documents: dict[str, Any] = {}
    for one in stats:
        for api in one.apis:
            found = documents.setdefault(api.name, {**dict.fromkeys(_SUMMED, 0), "calls": Counter()})
            for key in _SUMMED:
                found[key] += getattr(api, key)
            found["calls"].update(api.codes)
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


def memory(pid: int | None) -> int | None:
    """Proportional set size in bytes, where the system tells: shared pages count once among those who share them."""
    if pid is None:
        return None
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    return None
