"""Which GPUs get no workers any more."""

from __future__ import annotations

import pytest

from bentod.daemon.device_faults import FATAL_XIDS, Death, counts, failing, parts, said, words
from bentod.plan.inventory import Device, DeviceEvent

TWO = {"s": ("a", "b")}
ILLEGAL = "a CUDA error: an illegal memory access was encountered"


def died(*devices, service="s", at=0.0):
    return [Death(at + n, service, device, ILLEGAL) for n, device in enumerate(devices)]


@pytest.mark.parametrize("code", [48, 64, 74, 79, 94, 95, 119, 120, 140])
def test_errors_of_a_gpu_take_it_out(code):
    assert said(DeviceEvent("a", "xid", code, f"Xid {code}: …")) == f"Xid {code}: …"


@pytest.mark.parametrize("code", [8, 13, 31, 32, 43, 45, 63, 68, 69, 92, 109, 154, 9999])
def test_errors_of_programs_and_what_was_mended_do_not(code):
    assert said(DeviceEvent("a", "xid", code, "…")) == ""
    assert code not in FATAL_XIDS


@pytest.mark.parametrize("kind", ["ecc", "lost"])
def test_nor_does_anything_else_need_a_number(kind):
    assert said(DeviceEvent("a", kind, 1, "why")) == "why"


@pytest.mark.parametrize(
    ("deaths", "used", "out"),
    [
        (died("a", "a"), TWO, set()),
        (died("a", "a", "a"), TWO, {"a"}),
        (died("a", "a", "a", "b"), TWO, {"a"}),
        (died("a", "a", "a", "b", "b"), TWO, set()),  # the code, or a caller, does it
        (died("a", "a", "a", "b", "b", "b"), TWO, set()),
        (died("a", "b") * 3, {"s": ("a", "b", "c")}, set()),
        (died(*"aaaaaabb"), TWO, {"a"}),
        (died("a", "a", "a"), {"s": ("a",)}, set()),  # nothing to compare with
        (died("a", "a", "a"), {"s": ("a", "a")}, set()),
        (died("a", "a", "a"), {"s": ("a",), "t": ("b",)}, set()),  # another service is no comparison
        (died("a", "a", "a"), {"t": ("a", "b")}, set()),
        (died("a", "a", "a"), {"s": ("b", "c")}, set()),  # nobody is there any more
        (died("a") + died("a", "a", at=301.0), TWO, set()),
        (died("a", "a", "a", service="t") + died("b", "b", "b"), TWO | {"t": ("a", "c")}, {"a", "b"}),
        ([], TWO, set()),
    ],
)
def test_workers_that_die_again_and_again_on_one_device(deaths, used, out):
    now = max((one.at for one in deaths), default=0.0)
    found = failing(deaths, now, used)
    assert set(found) == out
    assert all("an illegal memory access" in text for text in found.values())


def test_after_a_while_it_is_forgotten():
    assert failing(died("a", "a", "a"), 299.0, TWO)
    assert not failing(died("a", "a", "a"), 301.0, TWO)


def test_a_program_that_finds_itself_wrong_says_nothing_of_its_gpu():
    assert not counts("a CUDA error: device-side assert triggered")
    assert not counts("construct: CUDARuntimeError: cudaErrorAssert: …")
    assert counts(ILLEGAL)


def test_a_gpu_takes_its_instances_with_it():
    devices = (Device("m0", "", 1, "3:0", "g"), Device("m1", "", 1, "3:1", "g"), Device("h", "", 1, "4"))
    assert parts("g", devices) == ("g", "m0", "m1")
    assert parts("h", devices) == ("h",)
    assert (words("m1", devices), words("h", devices), words("g", devices)) == ("GPU 3:1", "GPU 4", "GPU g")
