"""Workers get the GPUs that the spec promises them, from the host as it is, while everything changes."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.support.daemon import eventually, running
from tests.support.edits import idle, put
from tests.support.nvml import GIB, StandIn

pytestmark = [pytest.mark.e2e, pytest.mark.beside]

CODE = """
import os
WORD = "first"

def seen():
    return [WORD, os.environ["BENTOD_WORKER_INDEX"], os.environ["CUDA_VISIBLE_DEVICES"], os.environ["BENTOD_DEVICE"]]

def slow():
    import threading
    threading.Event().wait(0.3)
    return seen()
"""
INPUT = {"type": "object", "properties": {}}


def spec(folder, **services):
    """A folder with a spec whose services are all asked by the API of their name."""
    text = {
        "bentod": 1,
        "name": "gpus",
        "services": {
            name: {"target": "main.py", "restart": {"delay": "20ms"}, **one} for name, one in services.items()
        },
        "apis": {name: {"service": name, "method": "slow", "input": INPUT} for name in services},
        "reload": {"watch": False},
    }
    put(folder / "bentofile.yaml", json.dumps(text))


@pytest.fixture
def nvml(tmp_path):
    put(tmp_path / "main.py", CODE)
    return StandIn(tmp_path, gpus=2)


def granted(app, service):
    """The GPUs of the workers, by what `status` says."""
    return [[gpu["index"] for gpu in worker["gpus"]] for worker in app.service(service)["workers"]]


def test_each_worker_has_its_gpu_and_a_reload_keeps_the_promise(tmp_path, nvml):
    spec(tmp_path, whole={"resources": {"gpus": 1}}, half={"workers": 2, "resources": {"gpus": 0.5}}, none={})
    with running(tmp_path, env=nvml.environ) as app:
        word, _, whole, device = app.post("/whole", {})[2]
        half = {app.post("/half", {})[2][2] for _ in range(4)}
        assert {whole, *half} == set(nvml.uuids)
        assert (word, device, len(half)) == ("first", "cuda:0", 1)
        assert app.post("/none", {})[2][2:] == ["", "cpu"]
        put(tmp_path / "main.py", CODE.replace("first", "second"))
        plan = json.loads(app.cli("plan", "--json").stdout)
        steps = {step["service"]: step for step in plan["steps"]}
        assert steps["whole"]["mode"] == "stop_first"
        assert "on GPU" in steps["whole"]["reason"]
        assert steps["half"]["mode"] == "one_by_one"
        assert steps["none"]["mode"] == "overlap"
        assert {gpu["uuid"] for gpu in plan["budget"]["gpus"]} == set(nvml.uuids)
        assert app.cli("apply").returncode == 0
        assert app.post("/whole", {})[2][:3] == ["second", "0", whole]
        spec(tmp_path, whole={"resources": {"gpus": 2}}, half={"resources": {"gpus": 0.5}})
        refused = app.cli("apply")
        assert refused.returncode == 3
        assert "services.whole.resources.gpus" in refused.stderr
        assert app.post("/whole", {})[2][0] == "second", "nothing has happened"
        spec(tmp_path, renamed={"resources": {"gpus": 1}}, half={"workers": 2, "resources": {"gpus": 0.5}})
        assert app.cli("apply", "--allow-breaking").returncode == 0
        assert app.post("/renamed", {})[2][:3] == ["second", "0", whole]
        nvml.gpu()
        put(tmp_path / "main.py", CODE.replace("first", "third"))
        assert app.cli("apply").returncode == 0
        moved = app.post("/renamed", {})[2]
        assert moved[0] == "third"
        assert moved[2] not in {whole, *half}, "it began on a free GPU while the old one still served"


def test_what_does_not_fit_does_not_start(tmp_path, nvml, short_folder):
    spec(tmp_path, s={"workers": 3, "resources": {"gpus": 1}})
    environ = {**os.environ, **nvml.environ, "BENTOD_RUN": str(short_folder), "BENTOD_STATE": str(tmp_path / "st")}
    command = [sys.executable, "-P", "-m", "bentod", "up", "-f", str(tmp_path / "bentofile.yaml")]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60)
    assert done.returncode == 3
    assert "bentofile.yaml:1:" in done.stderr
    assert "services.s.resources.gpus" in done.stderr
    environ["CUDA_VISIBLE_DEVICES"] = nvml.uuids[1]
    spec(tmp_path, s={"resources": {"gpus": 2}})
    done = subprocess.run([*command, "-d"], env=environ, capture_output=True, text=True, timeout=60)
    assert done.returncode == 3
    assert "CUDA_VISIBLE_DEVICES" in done.stderr
    assert "bentofile.yaml:1:" in done.stderr


def test_a_gpu_that_somebody_else_has_taken_is_left_to_them(tmp_path, nvml):
    nvml.process(nvml.uuids[0], os.getpid(), memory=GIB)
    spec(tmp_path, s={"workers": "auto", "resources": {"gpus": 1}})
    with running(tmp_path, env=nvml.environ) as app:
        assert granted(app, "s") == [["1"]]
        nvml.ended(nvml.uuids[0], os.getpid())
        assert app.cli("apply").returncode == 0
        idle(app)
        assert granted(app, "s") == [["1"], ["0"]], "who was there first has kept his"


def test_a_gpu_that_falls_off_the_bus_is_told_and_not_given_any_more(tmp_path, nvml):
    spec(tmp_path, s={"resources": {"gpus": 0.5}})
    with running(tmp_path, env=nvml.environ) as app:
        [[first]] = granted(app, "s")
        nvml.lose(nvml.uuids[int(first)])
        eventually(lambda: granted(app, "s") not in ([[first]], []) and idle(app), 20, "moved")
        assert app.events("device.out")
        assert app.post("/s", {})[0] == 200
