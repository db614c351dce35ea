"""GPUs that fail under workers: by an error of CUDA, and by one that the driver tells of."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.daemon import eventually, running
from tests.support.edits import put
from tests.support.nvml import GIB, StandIn
from tests.support.project import api

pytestmark = [pytest.mark.e2e, pytest.mark.beside]

CODE = """
import os
from pathlib import Path

WORD = "first"
AcceleratorError = type("AcceleratorError", (RuntimeError,), {"__module__": "torch"})

def compute(once):
    if not Path(once).exists():
        Path(once).touch()
        raise AcceleratorError("CUDA error: an illegal memory access was encountered\\\\nCompile with …")
    return [WORD, os.getpid(), os.environ["CUDA_VISIBLE_DEVICES"]]
"""


def write(folder, **service):
    put(folder / "main.py", CODE)
    text = {
        "bentod": 1,
        "name": "faulty",
        "services": {"s": {"target": "main.py", "resources": {"gpus": 1}, "restart": {"delay": "20ms"}, **service}},
        "apis": {"compute": api("s", "compute", "once")},
        "reload": {"watch": False},
    }
    put(folder / "bentofile.yaml", json.dumps(text))


def test_a_worker_that_loses_its_gpu_is_back_once_its_memory_is(tmp_path):
    nvml = StandIn(tmp_path, gpus=1)
    write(tmp_path)
    with running(tmp_path, env=nvml.environ) as app, ThreadPoolExecutor() as pool:
        [gpu] = nvml.uuids
        [old] = app.pids()
        nvml.process(gpu, old, 8 * GIB)
        eventually(lambda: [one["pid"] for one in app.control()["host"]["devices"][0]["processes"]] == [old])
        call = pool.submit(app.post, "/compute", {"once": str(tmp_path / "once")})
        [lost] = eventually(lambda: app.events("worker.lost"))
        assert (lost["kind"], lost["pid"]) == ("device", old)
        assert lost["reason"] == "a CUDA error: an illegal memory access was encountered"
        eventually(lambda: app.service("s")["workers"][0]["state"] == "starting")
        eventually(lambda: [one["pid"] for one in app.control()["host"]["devices"][0]["processes"]] == [0])
        assert app.pids() == []
        assert not call.done()
        nvml.ended(gpu, old)
        status, _, (_, pid, device) = call.result(60)
        assert (status, device) == (200, gpu)
        [worker] = app.service("s")["workers"]
        assert (worker["pid"], worker["restarts"]) == (pid, 1)
        assert worker["exit"] == {"kind": "device", "text": lost["reason"]}
        assert app.events("device.occupied") == []


def test_workers_leave_a_gpu_that_fails_with_the_code_that_they_run(tmp_path):
    nvml = StandIn(tmp_path, gpus=2)
    write(tmp_path)
    done = tmp_path / "once"
    done.touch()
    with running(tmp_path, env=nvml.environ) as app:
        first, second = nvml.uuids
        assert app.post("/compute", {"once": str(done)})[2][::2] == ["first", first]
        put(tmp_path / "main.py", CODE.replace("first", "second"))
        nvml.xid(first, 79)
        eventually(lambda: app.post("/compute", {"once": str(done)})[2][::2] == ["first", second])
        [out] = app.events("device.out")
        assert (out["device"], out["name"]) == (first, "GPU 0")
        [starting] = app.events("generation.starting", generation=2)
        assert starting["reason"].startswith("GPU 0 is out: Xid 79")
        host = app.control()["host"]["devices"]
        eventually(lambda: [one["state"] for one in app.control()["host"]["devices"]] == ["out", "ok"], what=str(host))
        nvml.xid(second, 48)  # there is no other: it goes on there, and somebody is told
        eventually(lambda: app.control()["change"]["state"] == "failed")
        assert app.control()["change"]["reason"].startswith("GPU 1 is out: Xid 48")
        assert app.post("/compute", {"once": str(done)})[2][::2] == ["first", second]
        assert app.cli("apply").returncode == 0
        assert len(app.events("device.back")) == 2
        assert app.post("/compute", {"once": str(done)})[2][0] == "second"
