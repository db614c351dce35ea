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
from tests.support.nvml import GIB, LOST, MISMATCH, NO_FUNCTION, UNKNOWN, StandIn

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


def test_mig_instances_are_in_the_place_of_their_gpu(nvml):
    first, split, last = nvml.gpu(), nvml.gpu(), nvml.gpu()
    some, more = nvml.instance(split), nvml.instance(split, name="NVIDIA A100 MIG 2g.10gb", memory=10 * GIB)
    nvml.process(more, os.getpid(), GIB)
    nvml.change(split, ecc=2)
    devices = taken(nvml).devices
    assert [one.uuid for one in devices] == [first, some, more, last]
    assert [one.index for one in devices] == ["0", "1:0", "1:1", "2"]
    assert [one.parent for one in devices] == ["", split, split, ""]
    assert (devices[2].name, devices[2].memory, devices[2].errors) == ("NVIDIA A100 MIG 2g.10gb", 10 * GIB, 2)
    assert [one.pid for one in devices[2].processes] == [os.getpid()]
    assert devices[2].utilization is None


def test_a_gpu_in_mig_mode_without_instances_cannot_compute(nvml):
    nvml.change(nvml.gpu(), mig=True)
    (one,) = taken(nvml).devices
    assert (one.state, "MIG" in one.reason) == ("failed", True)


def test_a_gpu_that_fails_costs_only_itself(nvml):
    lost, reset, odd, fine = (nvml.gpu() for _ in range(4))
    nvml.lose(lost)
    nvml.change(reset, error=16)
    nvml.change(odd, error=UNKNOWN)
    devices = taken(nvml).devices
    assert [one.state for one in devices] == ["failed", "failed", "failed", "ok"]
    assert [one.index for one in devices] == ["0", "1", "2", "3"]
    assert "off the bus" in devices[0].reason
    assert "nvidia-smi --gpu-reset" in devices[1].reason
    assert "999" in devices[2].reason
    assert devices[3].uuid == fine


@pytest.mark.parametrize("function", ["nvmlDeviceGetUUID", "nvmlDeviceGetMemoryInfo"])
def test_a_gpu_that_does_not_tell_what_all_tell_has_failed(nvml, function):
    nvml.gpu()
    nvml.fail(function, UNKNOWN)
    assert [one.state for one in taken(nvml).devices] == ["failed"]


@pytest.mark.parametrize("code", [NO_FUNCTION, 3, 4])
def test_what_a_driver_cannot_tell_costs_just_that(nvml, code):
    uuid = nvml.gpu(memory=GIB)
    nvml.process(uuid, os.getpid())
    for function in (
        "nvmlSystemGetDriverVersion",
        "nvmlDeviceGetName",
        "nvmlDeviceGetMigMode",
        "nvmlDeviceGetUtilizationRates",
        "nvmlDeviceGetComputeRunningProcesses_v3",
        "nvmlDeviceGetProcessUtilization",
        "nvmlDeviceGetTotalEccErrors",
    ):
        nvml.fail(function, code)
    found = taken(nvml)
    (one,) = found.devices
    assert (found.gpus, found.driver, one.state, one.uuid, one.memory) == ("ok", "", "ok", uuid, GIB)
    assert (one.name, one.utilization, one.processes, one.errors) == ("", None, (), None)


def test_a_gpu_that_shares_the_memory_of_the_host_has_none_of_its_own(nvml):
    nvml.gpu()
    nvml.fail("nvmlDeviceGetMemoryInfo", 3)
    (one,) = taken(nvml).devices
    assert (one.state, one.memory, one.free) == ("ok", 0, None)


@pytest.mark.parametrize(
    ("code", "words"), [(MISMATCH, "different versions"), (9, "not loaded"), (4, "may not use"), (UNKNOWN, "999")]
)
def test_a_driver_that_does_not_start_is_told_of_with_what_to_do(nvml, code, words):
    nvml.gpu()
    nvml.fail("nvmlInitWithFlags", code)
    found = taken(nvml)
    assert (found.gpus, found.devices) == ("failed", ())
    assert words in found.reason
    assert found.cpus == here().cpus


def test_a_driver_that_cannot_count_has_failed(nvml):
    nvml.fail("nvmlDeviceGetCount_v2", UNKNOWN)
    assert taken(nvml).gpus == "failed"


def test_a_driver_without_gpus_works(nvml):
    found = taken(nvml)
    assert (found.gpus, found.devices) == ("ok", ())


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
    nvml.hang()
    assert taken(nvml, 0.2).gpus == "failed"
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


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
