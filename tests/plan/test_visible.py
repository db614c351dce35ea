"""Which GPUs the daemon's environment leaves."""

import pytest

from bentod.plan.visible import visible
from tests.support.hosts import gpu, host

HALF = gpu("2:0", uuid="MIG-11111111-a", parent="GPU-cc000000")
HOST = host(
    gpu(0, uuid="GPU-aa000000-1"),
    gpu(1, uuid="GPU-aa111111-2"),
    gpu(2, uuid="GPU-cc000000"),
    HALF,
    gpu("2:1", uuid="MIG-22222222-b", parent="GPU-cc000000"),
    gpu(3, uuid="GPU-dd000000", state="failed"),
    driver="570.1",
)
ALL = ["0", "1", "2", "2:0", "2:1", "3"]


def left(**environ):
    found = visible(HOST, environ)
    return [device.index for device in found.devices], found.reason


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("0", ["0"]),
        ("1,0", ["0", "1"]),
        (" 0 , 3 ", ["0", "3"]),
        ("2", ["2", "2:0", "2:1"]),
        ("2:1", ["2:1"]),
        ("GPU-dd000000", ["3"]),
        ("GPU-aa0", ["0"]),
        ("gpu-AA0", ["0"]),
        ("GPU-cc", ["2", "2:0", "2:1"]),
        ("MIG-1", ["2:0"]),
        ("MIG-11111111-a,1", ["1", "2:0"]),
        ("0,0", ["0"]),
        ("all", ALL),
        ("ALL", ALL),
        ("", []),
        (" ", []),
        ("none", []),
        ("-1", []),
        ("NoDevFiles", []),
        ("void", []),
        ("0,-1,1", ["0"]),
        ("0,9,1", ["0"]),
        ("9,0", []),
        ("0,all", ["0"]),
        ("GPU-aa", []),
        ("GPU-", []),
        ("aa000000", []),
        ("0,,1", ["0"]),
        ("0;1", []),
        ("\u0661", []),
        ("1 0", []),
    ],
)
@pytest.mark.parametrize("variable", ["BENTOD_VISIBLE_GPUS", "CUDA_VISIBLE_DEVICES"])
def test_one_variable(variable, value, expected):
    assert left(**{variable: value})[0] == expected


@pytest.mark.parametrize("variable", ["BENTOD_VISIBLE_GPUS", "CUDA_VISIBLE_DEVICES"])
def test_a_gpu_that_failed_before_it_said_its_uuid_is_not_all_others(variable):
    found = visible(host(gpu(0, uuid="", state="failed"), gpu(1), gpu(2)), {variable: "0"})
    assert [device.index for device in found.devices] == ["0"]


def test_both_restrict():
    assert left(BENTOD_VISIBLE_GPUS="0,1", CUDA_VISIBLE_DEVICES="1,3") == (
        ["1"],
        "BENTOD_VISIBLE_GPUS leaves 2 of 6 GPUs; CUDA_VISIBLE_DEVICES leaves 2 of 6 GPUs",
    )
    assert left(BENTOD_VISIBLE_GPUS="all", CUDA_VISIBLE_DEVICES="1")[0] == ["1"]
    assert left(BENTOD_VISIBLE_GPUS="1", CUDA_VISIBLE_DEVICES="")[0] == []


def test_a_name_that_is_none_is_told():
    assert (
        left(CUDA_VISIBLE_DEVICES="0,7,1")[1] == "CUDA_VISIBLE_DEVICES names 7, which no GPU here is: 1 of 6 are left"
    )
    assert len(left(CUDA_VISIBLE_DEVICES="x" * 5000)[1]) < 150


def test_nothing_said_nothing_changed():
    assert visible(HOST, {}) is HOST
    assert visible(HOST, {"CUDA_VISIBLE_DEVICES": "all"}) is HOST
    none = host(gpus="none", reason="no driver")
    assert visible(none, {"CUDA_VISIBLE_DEVICES": "0"}) == none


def test_what_is_remembered_of_gpus_while_the_driver_fails_is_restricted_too():
    remembered = host(gpu(0, state="failed"), gpu(1, state="failed"), gpus="failed", reason="it hangs")
    found = visible(remembered, {"CUDA_VISIBLE_DEVICES": "1"})
    assert ([device.index for device in found.devices], found.gpus, found.reason) == (["1"], "failed", "it hangs")
