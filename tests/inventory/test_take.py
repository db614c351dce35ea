"""The inventory of this host, taken once: with GPUs that are not there, with drivers that do not work."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import jsonschema
import pytest

from bentod.inventory.document import SCHEMA, inventory
from bentod.inventory.here import here
from bentod.inventory.take import take
from bentod.plan.inventory import GpuProcess
from bentod.shipped import shipped
from tests.support.nvml import GIB, LOST, StandIn

NO_DRIVER = {"LD_LIBRARY_PATH": ""}


@pytest.fixture
def nvml(tmp_path):
    return StandIn(tmp_path)


def taken(nvml, timeout_s=10.0):
    return take({**os.environ, **nvml.environ}, timeout_s)


def test_where_there_is_no_driver_there_are_none_and_that_is_quick():
    began = time.monotonic()
    found = take({**os.environ, **NO_DRIVER})
    if found.gpus != "none":
        pytest.skip("there is a driver here")
    assert time.monotonic() - began < 5  # mostly 0.2; other tests run beside this one
    assert "libnvidia-ml.so.1" in found.reason
    assert (found.cpus, found.cpu_ids, found.memory, found.devices) == (here().cpus, here().cpu_ids, here().memory, ())


def test_gpus_are_told_in_their_order_with_who_computes_there(nvml):
    first, second = nvml.gpu(name="NVIDIA H100 80GB HBM3", memory=80 * GIB, used=GIB), nvml.gpu(memory=24 * GIB)
    nvml.process(first, os.getpid(), 5 * GIB, utilization=30)
    nvml.process(first, 1 << 30, GIB)  # there is no such process
    nvml.process(second, os.getpid(), -1)
    nvml.change(first, utilization=42, ecc=3)
    found = taken(nvml)
    one, two = found.devices
    assert (found.gpus, found.reason, found.driver) == ("ok", "", "560.35.03")
    assert (one.uuid, one.name, one.index, one.state) == (first, "NVIDIA H100 80GB HBM3", "0", "ok")
    assert (one.memory, one.free, one.utilization, one.errors) == (80 * GIB, 79 * GIB, 0.42, 3)
    name = Path(f"/proc/{os.getpid()}/comm").read_text().strip()
    assert one.processes == (
        GpuProcess(0, "", GIB, 0, 0.0),
        GpuProcess(os.getpid(), name, 5 * GIB, os.getpgid(0), 0.3),
    )
    assert (two.uuid, two.index, two.memory) == (second, "1", 24 * GIB)
    assert two.processes == (GpuProcess(os.getpid(), name, None, os.getpgid(0), 0.0),)
    assert found.without({os.getpgid(0)}).devices[1].processes == ()


@pytest.mark.parametrize("function", ["nvmlInitWithFlags", "nvmlDeviceGetMemoryInfo"])
def test_a_driver_that_hangs_is_waited_for_only_so_long(nvml, function):
    nvml.gpu()
    nvml.hang(function)
    began = time.monotonic()
    found = taken(nvml, timeout_s=0.5)
    assert found.gpus == "failed"
    assert "did not answer within 0.5 s" in found.reason
    assert time.monotonic() - began < 5


def test_a_driver_that_crashes_costs_only_the_child(nvml):
    nvml.gpu()
    nvml.crash("nvmlDeviceGetName")
    found = taken(nvml)
    assert found.gpus == "failed"
    assert "SIGABRT" in found.reason


def test_a_library_that_is_none(tmp_path):
    (tmp_path / "libnvidia-ml.so.1").write_text("not really")
    found = take({**os.environ, "LD_LIBRARY_PATH": str(tmp_path)})
    assert found.gpus == "failed"
    assert "does not load" in found.reason


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("print('what?')", "cannot be understood"),
        ("print('[1]')", "cannot be understood"),
        ("print('{}')", "cannot be understood"),
        ('print(\'{"answer": 1, "devices": 7}\')', "cannot be understood"),
        ("print('{\"answer\": null}')", "cannot be understood"),
        ("print('[' * 100000)", "cannot be understood"),
        ("import sys; sys.stdout.write('x' * (5 << 20))", "cannot be understood"),
        ("raise SystemExit(3)", "exit code 3"),
        ("import os; os.kill(os.getpid(), 9)", "SIGKILL"),
        ("import os, signal; os.close(1); signal.pause()", "closed its output"),
        ("import signal; signal.pause()", "did not answer"),
    ],
)
def test_a_child_that_is_not_itself_is_a_state(code, words):
    found = take(os.environ, 0.5 if "pause" in code else 20.0, command=(sys.executable, "-IS", "-c", code))
    assert found.gpus == "failed"
    assert words in found.reason


def test_a_child_that_cannot_be_started_is_a_state(tmp_path):
    found = take(os.environ, command=(str(tmp_path / "none"),))
    assert (found.gpus, "cannot be asked" in found.reason) == ("failed", True)


def test_nothing_is_left_of_a_child(nvml):
    def ours():
        """All children, those that nobody has waited for, too."""
        return {pid for path in Path("/proc/self/task").glob("*/children") for pid in path.read_text().split()}

    before = ours()
    nvml.hang()
    assert taken(nvml, 0.2).gpus == "failed"
    assert ours() <= before


def test_the_verb_tells_it_to_people_and_to_programs(nvml):
    uuid = nvml.gpu(name="Evil\x1b[31m GPU", used=GIB)
    split = nvml.gpu()
    nvml.change(split, error=LOST)
    nvml.process(uuid, os.getpid(), GIB)
    environ = {**os.environ, **nvml.environ}
    verb = [sys.executable, "-P", "-m", "bentod", "inventory"]
    done = subprocess.run(verb, env=environ, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"CPUs    {here().cpus:g} of ")
    for words in (
        "GPUs    2, driver 560.35.03",
        "Evil?[31m GPU",
        uuid,
        "15.0 GiB",
        f"pid {os.getpid()} ",
        "off the bus",
    ):
        assert words in done.stdout
    assert "\x1b" not in done.stdout
    told = subprocess.run([*verb, "--json"], env=environ, capture_output=True, text=True, timeout=60)
    data = json.loads(told.stdout)
    jsonschema.Draft202012Validator(json.loads(shipped(SCHEMA).read_text())).validate(data)
    assert [one.state for one in inventory(data).devices] == ["ok", "failed"]
