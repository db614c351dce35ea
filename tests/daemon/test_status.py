"""What `status` says of workers and GPUs: what was given, what is used, by whom; as the schema says."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest

from bentod.daemon.gateways import GatewayStatus
from bentod.daemon.status import Pooled, Standing, status_document
from bentod.daemon.status_gpus import gpu_documents, host_document
from bentod.daemon.use import HostUse, Reading, Use
from bentod.plan.grants import Grant, Needs, Share
from bentod.plan.inventory import Device, GpuProcess, Inventory
from bentod.supervise.state import ServiceState, WorkerState
from bentod.supervise.status import ServiceStatus, WorkerStatus
from bentod.wire.messages import ApiStats, Stats
from tests.support.stage import plan, service

SCHEMA = json.loads((Path(__file__).parents[2] / "schemas/status.schema.json").read_text())
GIB = 1 << 30
A, B, C = "GPU-a", "GPU-b", "GPU-c"
HALF = Grant((Share(A, 0.5, 4 * GIB),), (0, 1))


def gpu(uuid=A, *processes, **changed):
    return Device(uuid, "H200", 8 * GIB, index="0", free=5 * GIB, utilization=0.75, processes=processes, **changed)


def inventory(*devices, **changed):
    return Inventory(4.0, (0, 1, 2, 3), 64 * GIB, devices, **{"gpus": "ok", **changed})


def only(documents):
    [document] = documents
    return document


def test_a_workers_gpu_is_what_it_was_given_and_what_it_has_there():
    mine = (GpuProcess(70, "python", GIB, 7, 0.25), GpuProcess(71, "python", 2 * GIB, 7, 0.5))
    found = gpu_documents(HALF, 7, inventory(gpu(A, *mine, GpuProcess(9, "x", GIB, 9, 0.1)), gpu(B)))
    assert only(found) == {
        "uuid": A, "index": "0", "name": "H200", "part": 0.5, "memory_granted": 4 * GIB, "memory": 3 * GIB,
        "utilization": 0.75,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("processes", "memory", "utilization"),
    [
        ((), 0, None),
        ((GpuProcess(9, "x", GIB, 9),), 0, None),
        ((GpuProcess(0, "", GIB, 0),), None, None),  # it may be ours
        ((GpuProcess(7, "", GIB, 7), GpuProcess(0, "", GIB, 0)), GIB, None),
        ((GpuProcess(7, "", None, 7, 0.0),), None, 0.0),
        ((GpuProcess(7, "", GIB, 7, 0.9), GpuProcess(8, "", None, 7, 0.9)), None, 1.0),
    ],
)
def test_what_the_driver_does_not_tell_is_not_known(processes, memory, utilization):
    found = only(gpu_documents(HALF, 7, inventory(gpu(A, *processes))))
    assert (found["memory"], found["utilization"]) == (memory, utilization)


def test_what_computes_on_a_gpu_that_a_worker_has_alone_is_the_worker():
    whole = Grant((Share(A, 1.0, 8 * GIB),))
    assert only(gpu_documents(whole, 7, inventory(gpu())))["utilization"] == 0.75
    assert only(gpu_documents(whole, None, inventory(gpu())))["utilization"] is None


@pytest.mark.parametrize("known", [None, inventory(), inventory(gpu(B)), inventory(gpus="failed", reason="gone")])
def test_a_gpu_that_is_not_there_was_given_all_the_same(known):
    found = only(gpu_documents(HALF, 7, known))
    assert (found["uuid"], found["part"], found["memory"], found["utilization"]) == (A, 0.5, None, None)


def test_a_gpu_that_failed_tells_nothing():
    found = only(gpu_documents(HALF, 7, inventory(gpu(state="failed", reason="fallen off the bus"))))
    assert found["memory"] is None


def test_a_worker_on_a_gpu_that_it_was_not_given_is_seen():
    found = gpu_documents(HALF, 7, inventory(gpu(), gpu(B, GpuProcess(7, "python", GIB, 7)), gpu(C)))
    assert [(one["uuid"], one["part"], one["memory_granted"], one["memory"]) for one in found] == [
        (A, 0.5, 4 * GIB, 0),
        (B, 0.0, 0, GIB),
    ]
    assert gpu_documents(Grant(), None, inventory(gpu(B, GpuProcess(0, "x", GIB, 0)))) == []


def test_the_processes_of_a_gpu_are_ours_or_others():
    processes = (GpuProcess(70, "python", GIB, 7), GpuProcess(9, "x", None, 9), GpuProcess(0, "", GIB, 0))
    host = host_document(HostUse(4.0, 10.0, 64 * GIB, 32 * GIB), inventory(gpu(A, *processes)), {7: "s", 0: "never"})
    assert [(one["pid"], one["service"]) for one in host["devices"][0]["processes"]] == [
        (70, "s"),
        (9, None),
        (0, None),
    ]
    assert (host["gpus"], host["memory"], host["available"]) == ("ok", 64 * GIB, 32 * GIB)


def test_nothing_is_said_of_gpus_that_nobody_has_looked_at():
    host = host_document(HostUse(0.5), None, {})
    assert host == {"cpus": 0.5, "cpu_seconds": None, "memory": None, "available": None, "devices": []}


# ── the whole ────────────────────────────────────────────────────────────────────────────────────


def standing(**changed):
    made = service("s", 2, needs=Needs(cpus=2, memory=GIB, gpus=0.5, gpu_memory=4 * GIB))
    made = replace(made, workers=(replace(made.workers[0], grant=HALF), made.workers[1]))
    workers = (
        WorkerStatus(0, 7, WorkerState.READY, 0, "", "", 1.0, age_s=2.0),
        WorkerStatus(1, None, WorkerState.BACKOFF, 1, "it broke", "", None),
    )
    status = ServiceStatus("s", ServiceState.DEGRADED, 1, 2, "it broke", workers)
    values = {
        "plan": plan(made),
        "generation": 3,
        "state": "ready",
        "urls": ["http://h:1"],
        "started": 100.0,
        "gateways": [GatewayStatus(0, 5, "ready", 0), GatewayStatus(1, None, "starting", 2)],
        "services": [Pooled(status, "s@3", made)],
        "stats": [Stats(1, (ApiStats("s", 1, 2, {"ok": 3}),), {"7": 3}, 1)],
        "reading": Reading(
            107.25, HostUse(4.0, 10.0), Use(0.5, 4, GIB), {5: Use(1.0, 1, GIB), 7: Use(2.5, 8, None, 2)}
        ),
        "inventory": inventory(gpu(A, GpuProcess(7, "python", GIB, 7)), gpu(B, state="out", reason="Xid 79")),
        "ours": {7: "s"},
    }
    return status_document(Standing(**{**values, **changed}))


def test_the_document_is_as_its_schema_says():
    validator = jsonschema.Draft202012Validator(SCHEMA)
    for document in (standing(), standing(inventory=None), standing(stats=[], services=[], gateways=[], urls=[])):
        validator.validate(json.loads(json.dumps(document)))


def test_workers_tell_what_they_use_and_what_they_were_given():
    document = standing()
    first, second = document["services"]["s"]["workers"]
    assert (first["cpu_seconds"], first["threads"], first["memory"], first["calls"]) == (2.5, 8, None, 3)
    assert (first["memory_limit"], first["cpus"], first["gpus"][0]["memory"]) == (GIB, [0, 1], GIB)
    assert (second["cpu_seconds"], second["threads"], second["memory"], second["gpus"]) == (None, None, None, [])
    assert document["daemon"]["cpu_seconds"] == 0.5
    assert [one["cpu_seconds"] for one in document["gateways"]] == [1.0, None]
    assert document["uptime_seconds"] == 7.25
    assert document["state"] == "degraded"
