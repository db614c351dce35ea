"""What is remembered of devices between answers, and what is news. Pure."""

from __future__ import annotations

from dataclasses import replace

from bentod.inventory.gpus import UNLISTED, Gpus, failed, joined, news, remembered
from bentod.plan.inventory import Device, DeviceEvent, GpuProcess, Inventory

A = Device("GPU-a", "H100", 80, "0", free=70, utilization=0.5, processes=(GpuProcess(7),), errors=0)
B = Device("GPU-b", "H100", 80, "1", free=80, errors=2)
MIG = Device("MIG-c", "1g", 10, "1:0", parent="GPU-b", errors=2)
MIG_2 = replace(MIG, uuid="MIG-d", index="1:3")


def broken(index, reason="lost", uuid=""):
    return Device(uuid, "", 0, index, state="failed", reason=reason)


def down(device, reason):
    return replace(device, state="failed", reason=reason, free=None, utilization=None, processes=())


def test_what_is_found_is_told_as_it_is():
    assert remembered((), Gpus((A, B))).devices == (A, B)
    assert remembered((A, B), Gpus((replace(A, free=1), B))).devices == (replace(A, free=1), B)
    assert list(news((A, B), Gpus((replace(A, free=1), B)))) == []


def test_a_driver_that_does_not_answer_costs_all_devices_for_as_long_and_is_no_news_of_any():
    found = remembered((A, MIG), failed("it hangs"))
    assert found.devices == (down(A, "it hangs"), down(MIG, "it hangs"))
    assert list(news((A, MIG), found)) == []
    assert remembered((A, MIG), Gpus((A, MIG))).devices == (A, MIG)


def test_a_gpu_that_is_lost_is_known_by_its_index():
    found = remembered((A, B), Gpus((A, broken("1")), codes={"1": 15}))
    assert found.devices == (A, down(B, "lost"))
    assert list(news((A, B), found)) == [DeviceEvent("GPU-b", "lost", 15, "lost")]
    again = remembered(found.devices, Gpus((A, broken("1")), codes={"1": 15}))
    assert again == found
    assert list(news(found.devices, again)) == []


def test_a_gpu_that_never_answered_is_listed_without_a_uuid():
    assert remembered((), Gpus((broken("0"), B))).devices == (broken("0"), B)


def test_a_gpu_that_says_who_it_is_and_no_more_keeps_its_name_and_size():
    found = remembered((A, B), Gpus((broken("0", "reset it", "GPU-a"), B)))
    assert found.devices == (down(A, "reset it"), B)


def test_a_gpu_that_is_not_listed_any_more_stays_and_the_next_has_its_index():
    second = replace(B, index="0")
    found = remembered((A, B), Gpus((second,)))
    assert found.devices == (second, down(A, UNLISTED))
    assert list(news((A, B), found)) == [DeviceEvent("GPU-a", "lost", 0, UNLISTED)]
    back = remembered(found.devices, Gpus((A, B)))
    assert back.devices == (A, B)
    # A third that fails at that index is not the one that had gone before.
    assert remembered((down(A, UNLISTED),), Gpus((broken("0"),))).devices == (broken("0"), down(A, UNLISTED))


def test_mig_instances_fail_with_their_gpu():
    found = remembered((A, MIG, MIG_2), Gpus((A, broken("1")), codes={"1": 15}))
    gpu = replace(broken("1"), uuid="GPU-b")
    assert found.devices == (A, gpu, down(MIG, "lost"), down(MIG_2, "lost"))
    assert list(news((A, MIG, MIG_2), found)) == [
        DeviceEvent("MIG-c", "lost", 15, "lost"),
        DeviceEvent("MIG-d", "lost", 15, "lost"),
    ]
    assert remembered(found.devices, Gpus((A, MIG, MIG_2))).devices == (A, MIG, MIG_2)


def test_an_instance_that_was_removed_is_lost_and_so_is_a_gpu_that_was_split():
    found = remembered((A, MIG, MIG_2), Gpus((A, MIG)))
    assert found.devices == (A, MIG, down(MIG_2, UNLISTED))
    split = remembered((A, B), Gpus((A, MIG)))
    assert split.devices == (A, MIG)
    assert [(event.uuid, event.kind) for event in news((A, B), split)] == [("GPU-b", "lost")]


def test_more_uncorrected_errors_are_news_and_fewer_after_a_reset_are_not():
    found = Gpus((replace(A, errors=1), replace(B, errors=5)))
    assert list(news((A, B), found)) == [
        DeviceEvent("GPU-a", "ecc", 1, "1 error of its memory could not be corrected"),
        DeviceEvent("GPU-b", "ecc", 3, "3 errors of its memory could not be corrected"),
    ]
    assert list(news((A, B), Gpus((A, replace(B, errors=0))))) == []
    assert list(news((replace(A, errors=None), B), Gpus((replace(A, errors=9), replace(B, errors=None))))) == []


def test_errors_that_came_while_the_driver_did_not_answer_are_news_afterwards():
    known = remembered((B,), failed("it hangs")).devices
    assert [event.code for event in news(known, Gpus((replace(B, errors=3),)))] == [1]


def test_a_host_has_what_its_driver_says():
    host = Inventory(2.0, (0, 1), 100)
    assert joined(host, Gpus((A,), driver="1")) == Inventory(2.0, (0, 1), 100, (A,), "ok", "", "1")
    assert joined(host, failed("why")) == Inventory(2.0, (0, 1), 100, (), "failed", "why")
