"""What other daemons on the host have given is not given again."""

from __future__ import annotations

from bentod.plan.devices import place
from bentod.plan.devices_words import TIMES
from bentod.plan.grants import Demand, Grant, Needs, Share
from bentod.plan.inventory import Claim, Device, GpuProcess, Inventory

GIB = 1024**3
A, B = (Device(f"GPU-{index}", "A100", 80 * GIB, str(index)) for index in range(2))
HOST = Inventory(4.0, (0, 1, 2, 3), 16 * GIB, (A, B), "ok")
THEIRS = "rank of /srv/shop/bentofile.yaml"


def claim(*shares, **more):
    return Claim(THEIRS, 77, tuple(Share(device.uuid, part, int(part * 80 * GIB)) for device, part in shares), **more)


def host(*claims, **more):
    return Inventory(**{**{name: getattr(HOST, name) for name in HOST.__slots__}, "claims": claims, **more})


def devices(found, service="s"):
    return [[share.device for share in grant.shares] for grant in found.grants[service]]


def test_a_whole_gpu_is_one_that_no_other_daemon_has_a_part_of():
    for part in (1.0, 0.1):
        assert devices(place([Demand("s", Needs(gpus=1))], host(claim((A, part))))) == [["GPU-1"]]


def test_two_whole_ones_are_refused_with_the_others_name():
    (lack,) = place([Demand("s", Needs(gpus=1), 2)], host(claim((A, 0.5)))).lacks
    assert lack.message == f"s wants 2 {TIMES} 1 GPU, 0.5 of 2 GPUs is given to {THEIRS} (0.5), short by 1"
    assert lack.hint == "1 worker fits: `workers: 1`, or `workers: auto`"


def test_parts_go_where_the_others_leave_room():
    found = place([Demand("s", Needs(gpus=0.5), 3)], host(claim((A, 0.5))))
    assert sorted(devices(found)) == [["GPU-0"], ["GPU-1"], ["GPU-1"]]
    (lack,) = place([Demand("s", Needs(gpus=0.5), 4)], host(claim((A, 0.5)))).lacks
    assert "short by 0.5" in lack.message
    assert THEIRS in lack.message


def test_memory_that_the_others_were_promised_is_not_there():
    found = place([Demand("s", Needs(gpu_memory=50 * GIB), 1)], host(claim((A, 0.5)), devices=(A,)))
    assert [lack.key for lack in found.lacks] == ["gpu_memory"]


def test_what_runs_keeps_its_place_beside_others():
    held = {"s": (Grant((Share("GPU-1", 1.0, 80 * GIB),)),)}
    assert devices(place([Demand("s", Needs(gpus=1))], host(claim((A, 1.0))), held)) == [["GPU-1"]]


def test_a_claim_of_a_gpu_that_is_not_ours_to_give_is_no_matter():
    assert devices(place([Demand("s", Needs(gpus=1))], host(claim((B, 1.0)), devices=(A,)))) == [["GPU-0"]]


def test_auto_takes_what_others_leave():
    found = place([Demand("s", Needs(gpus=0.25), None)], host(claim((A, 1.0)), claim((B, 0.5))))
    assert devices(found) == [["GPU-1"], ["GPU-1"]]
    assert len(place([Demand("s", Needs(cpus=1), None)], host(claim(cpus=(0, 1), load=2.0))).grants["s"]) == 2
    assert len(place([Demand("s", Needs(cpus=1), None)], host(claim(cpus=(0, 1, 2, 3), load=4.0))).grants["s"]) == 1


def test_cpus_that_others_have_come_last():
    found = place([Demand("s", Needs(cpus=1), 2)], host(claim(cpus=(0, 1), load=1.5)))
    assert [grant.cpus for grant in found.grants["s"]] == [(2,), (3,)]
    assert found.notes == ()
    crowded = place([Demand("s", Needs(cpus=1), 3)], host(claim(cpus=(0, 1), load=2.0)))
    assert sorted(grant.cpus for grant in crowded.grants["s"])[1:] == [(2,), (3,)]
    assert crowded.notes == (f"s (3) and {THEIRS} (2) want 5 CPUs together, this host has 4: workers share them",)


def test_a_quota_and_other_cpus_are_ours_alone():
    elsewhere = claim(cpus=(8, 9), load=2.0)
    assert len(place([Demand("s", Needs(cpus=1), None)], host(elsewhere)).grants["s"]) == 4
    assert len(place([Demand("s", Needs(cpus=1), None)], host(claim(cpus=(0,), load=1.0), cpus=2.0)).grants["s"]) == 2


def test_memory_is_a_sum_over_daemons():
    (lack,) = place([Demand("s", Needs(memory=5 * GIB), 2)], host(claim(memory=8 * GIB))).lacks
    given = f"8.0 GiB of it is given to {THEIRS} (8.0 GiB)"
    assert lack.message == f"s wants 2 {TIMES} 5.0 GiB of memory, this host has 16.0 GiB, {given}, short by 2.0 GiB"
    assert lack.hint == "1 worker fits: `workers: 1`"
    assert place([Demand("s", Needs(memory=4 * GIB), 2)], host(claim(memory=8 * GIB))).lacks == ()


def test_strangers_count_besides():
    there = Device("GPU-0", "A100", 80 * GIB, "0", processes=(GpuProcess(5, "x", 30 * GIB, 5),))
    found = place([Demand("s", Needs(gpus=0.25, gpu_memory=20 * GIB))], host(claim((A, 0.5)), devices=(there,)))
    assert [lack.key for lack in found.lacks] == ["gpus"]
