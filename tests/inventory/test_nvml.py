"""What the driver says of GPUs, device by device: here a stand-in that is loaded into this process."""

from __future__ import annotations

import ctypes
import os

import pytest

from bentod.inventory.errors import Errors
from bentod.inventory.gpus import joined
from bentod.inventory.nvml import Driver
from bentod.plan.inventory import Inventory
from tests.support.daemon import eventually
from tests.support.nvml import GIB, LOST, MISMATCH, NO_FUNCTION, UNKNOWN, StandIn, library


@pytest.fixture
def nvml(tmp_path, monkeypatch):
    ctypes.CDLL(str(library() / "libnvidia-ml.so.1"))  # who asks for this name from now on gets this one
    stand_in = StandIn(tmp_path)
    monkeypatch.setenv("FAKE_NVML_FILE", stand_in.environ["FAKE_NVML_FILE"])
    return stand_in


def taken(nvml):
    driver = Driver()
    return joined(Inventory(1.0), driver.open() or driver.gpus())


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


@pytest.mark.parametrize("code", [UNKNOWN, 7])
def test_a_divided_gpu_that_cannot_say_so_just_now_is_not_given_as_a_whole_one(nvml, code):
    nvml.instance(nvml.gpu())
    nvml.fail("nvmlDeviceGetMigMode", code)
    assert [(one.state, one.index) for one in taken(nvml).devices] == [("failed", "0")]


def test_a_version_that_is_not_told_costs_no_gpu(nvml):
    nvml.gpu()
    nvml.fail("nvmlSystemGetDriverVersion", LOST)
    found = taken(nvml)
    assert (found.gpus, found.driver, [one.state for one in found.devices]) == ("ok", "", ["ok"])


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


def test_a_driver_that_cannot_count_has_failed(nvml):
    nvml.fail("nvmlDeviceGetCount_v2", UNKNOWN)
    assert taken(nvml).gpus == "failed"


def test_a_driver_without_gpus_works(nvml):
    found = taken(nvml)
    assert (found.gpus, found.devices) == ("ok", ())


@pytest.fixture
def errors():
    told = []
    watching = Errors(told.append)
    watching.told = told
    yield watching
    watching._ended.set()


@pytest.mark.parametrize("function", ["nvmlEventSetCreate", "nvmlDeviceRegisterEvents", "nvmlEventSetWait_v2"])
def test_a_driver_without_events_tells_of_none(nvml, errors, function):
    nvml.gpu()
    nvml.lack(function)
    driver = Driver()
    assert driver.open() is None
    assert driver.gpus().gpus == "ok"
    errors.watch(driver.handles, driver.instances)
    errors.watch(driver.handles, driver.instances)
    if function != "nvmlDeviceRegisterEvents":
        assert eventually(lambda: not errors._thread.is_alive())
    assert errors.told == []
