"""How large a container is that holds all workers of a spec: CPUs, memory, GPUs."""

import pytest

from bentod.plan.grants import Demand, Grant, Needs, Placement, Share
from bentod.render.recipes import Unwritable
from bentod.render.room import DAEMON, GATEWAY, Asked, Room, packed, room

GIB = 1024**3
BESIDES = DAEMON + GATEWAY


def demand(workers=1, service="a", **needs):
    return Demand(service, Needs(**needs), workers)


def made(*demands, services=None, gateways=1, cuda=False, **asked):
    return room(demands, len(demands) if services is None else services, gateways, Asked(**asked), cuda)


# ── CPUs and memory ──────────────────────────────────────────────────────────────────────────────


def test_a_spec_that_says_nothing_is_as_before():
    assert made(services=2) == Room()
    assert made(services=2, cuda=True) == Room(gpus=1)
    assert made(services=2, cpus_m=500, memory=GIB) == Room(0, 500, 500, GIB, GIB)


def test_workers_are_summed_up_and_the_rest_has_its_room():
    found = made(demand(3, cpus=1.5, memory=GIB), demand(1, "b", cpus=0.5, memory=2 * GIB), gateways=2)
    assert (found.cpus_m, found.most_cpus_m) == (5000, 7000)
    assert found.memory == found.least_memory == 5 * GIB + DAEMON + 2 * GATEWAY


def test_what_one_service_does_not_say_is_no_limit():
    found = made(demand(2, cpus=1, memory=GIB), services=2)
    assert found == Room(0, 3000, None, None, 2 * GIB + BESIDES)
    found = made(demand(2, cpus=1), demand(1, "b", memory=GIB))
    assert found == Room(0, 3000, None, None, GIB + BESIDES)


def test_as_many_workers_as_fit_are_no_limit_either():
    assert made(demand(None, cpus=2, memory=GIB)) == Room(0, 2000, None, None, GIB + BESIDES)


def test_what_a_host_gives_makes_them_known():
    placement = Placement({"a": (Grant(), Grant(), Grant())})
    assert made(demand(None, cpus=2, memory=GIB), placement=placement).memory == 3 * GIB + BESIDES


def test_what_is_asked_comes_first():
    found = made(demand(2, cpus=1, memory=GIB, gpus=1), cpus_m=500, memory=GIB, gpus=4)
    assert found == Room(4, 500, 500, GIB, GIB)


@pytest.mark.parametrize(("cpus", "workers", "wanted"), [(0.1, 3, 300), (1 / 3, 1, 334), (0.0001, 1, 1)])
def test_thousandths_are_rounded_up_once(cpus, workers, wanted):
    assert made(demand(workers, cpus=cpus)).cpus_m == wanted


# ── GPUs ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("demands", "gpus"),
    [
        ([demand(2, gpus=0.5)], 1),
        ([demand(3, gpus=0.5)], 2),
        ([demand(3, gpus=0.6)], 3),
        ([demand(2, gpus=0.6), demand(2, "b", gpus=0.4)], 2),
        ([demand(3, gpus=1 / 3)], 1),
        ([demand(10, gpus=0.1)], 1),
        ([demand(2, gpus=2)], 4),
        ([demand(1, gpus=1), demand(2, "b", gpus=0.25)], 2),
        ([demand(2, gpus=0.5, gpu_memory=40 * GIB)], 1),
        ([demand(1, gpus=0.5, gpu_type="*A100*"), demand(1, "b", gpus=0.5, gpu_type="*a100*")], 1),
        ([demand(1, gpus=0.5, gpu_type="*A100*"), demand(1, "b", gpus=0.5, gpu_type="*H100*")], 2),
        ([demand(1, gpus=0.5, gpu_type="[!x]*"), demand(1, "b", gpus=0.5)], 1),
        ([demand(1, gpus=0), demand(1, "b", gpus=1)], 1),
        ([demand(64, gpus=1)], 64),
    ],
)
def test_whole_gpus_for_all_workers_together(demands, gpus):
    assert made(*demands).gpus == gpus


def test_resources_come_before_the_cuda_of_the_image():
    assert made(demand(1, gpus=0), cuda=True).gpus == 0
    assert made(demand(1, cpus=1), cuda=True).gpus == 1


@pytest.mark.parametrize("asked", [{"gpus": 1}, {"gpus": -1}, {"gpus": 65}])
def test_fewer_gpus_than_the_workers_need_are_refused(asked):
    with pytest.raises(Unwritable):
        made(demand(3, gpus=0.5), **asked)


def test_more_gpus_than_a_container_has_are_refused():
    with pytest.raises(Unwritable, match="65 GPUs"):
        made(demand(65, gpus=1))


@pytest.mark.parametrize("one", [demand(None, gpus=1), demand(None, gpus=0.5), demand(2, gpu_memory=8 * GIB)])
def test_what_depends_on_the_gpus_has_to_be_said(one):
    with pytest.raises(Unwritable, match=r"`--gpus N`, or `--inventory FILE`"):
        made(demand(1, "b", gpus=1), one)
    assert made(one, gpus=3).gpus == 3
    shares = (Share("GPU-1", 0.5, GIB), Share("GPU-2", 0.5, GIB))
    placement = Placement({one.service: (Grant(shares[:1]), Grant(shares[:1]), Grant(shares[1:]))})
    assert made(one, placement=placement).gpus == 2


def test_one_worker_of_each_is_the_least():
    with pytest.raises(Unwritable, match="need 2 GPUs at the least"):
        made(demand(None, gpus=1), demand(1, "b", gpu_memory=GIB), gpus=1)
    assert packed([demand(3, gpu_memory=GIB)]) == 1
    assert packed([]) == 0
