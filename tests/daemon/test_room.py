"""Where services are placed: what is ours is there to be given, what is out is not, and what does not fit has its place
in the spec."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest

from bentod.daemon.desired import read
from bentod.daemon.room import Room, here, less
from bentod.errors import PlanError
from bentod.plan.inventory import Device, GpuProcess, Inventory
from tests.support.specs import BASE, laid_over, write

GIB = 1 << 30
MODULE = {"hello.py": "def greet(): ...\n"}


def host(gpus, *processes):
    devices = tuple(Device(f"GPU-{n}", "Some GPU", 16 * GIB, str(n), processes=tuple(processes)) for n in range(gpus))
    return Inventory(4.0, (0, 1, 2, 3), 8 * GIB, devices, "ok")


def wanted(folder, gpus=2, running=None, **services):
    spec = laid_over(BASE, {"services": {"s": {}, **services}})
    files = [write(folder, {"bentofile.yaml": json.dumps(spec), **MODULE})]
    return read(files, {}, room=Room(lambda _: host(gpus), running))


def devices(plan):
    return {
        service.name: [[share.device for share in worker.grant.shares] for worker in service.workers]
        for service in plan.services
    }


def test_what_our_workers_use_can_be_given_again_and_what_others_use_cannot():
    ours, theirs = GpuProcess(os.getpid(), group=os.getpid()), GpuProcess(1, "init", 5 * GIB, 1)
    found = less(host(1, ours, theirs), {}, os.getppid())
    assert found.devices[0].processes == (theirs,)
    found = less(host(2, theirs), {"GPU-1": "it failed three times"})
    assert found.devices[0].processes == (theirs,)
    assert [(device.state, device.reason) for device in found.devices] == [
        ("ok", ""),
        ("out", "it failed three times; `bentod apply` has it used again"),
    ]


def test_nothing_is_looked_at_for_a_spec_that_asks_for_nothing(tmp_path):
    def look(gpus):
        raise AssertionError("nobody has asked")

    file = write(tmp_path, {"bentofile.yaml": json.dumps(BASE), **MODULE})
    desired = read([file], {}, room=Room(look))
    assert (desired.placement, desired.inventory) == (None, None)


def test_gpus_are_looked_at_only_for_a_spec_that_asks_for_some(tmp_path):
    asked = []

    def look(gpus):
        asked.append(gpus)
        return host(1)

    for resources in ({"cpus": 1}, {"gpus": 0}, {"gpus": 0.5}, {"gpu_memory": "1GiB"}):
        spec = laid_over(BASE, {"services": {"s": {"resources": resources}}})
        read([write(tmp_path, {"bentofile.yaml": json.dumps(spec), **MODULE})], {}, room=Room(look))
    assert asked == [False, False, True, True]


def test_what_does_not_fit_is_a_problem_of_this_host_at_its_place(tmp_path):
    with pytest.raises(PlanError) as caught:
        wanted(tmp_path, 1, s={"workers": 2, "resources": {"gpus": 1}}, t={"target": "hello", "workers": "auto"})
    (problem,) = caught.value.problems
    assert (problem.code, problem.path) == ("does-not-fit", "services.s.resources.gpus")
    assert problem.line == 1
    assert problem.column > 1
    assert problem.message.startswith("s wants 2")


def test_what_runs_keeps_what_it_has(tmp_path):
    before = wanted(tmp_path, 3, s={"workers": 2, "resources": {"gpus": 1}})
    assert sorted(devices(before.plan)["s"]) == [["GPU-0"], ["GPU-1"]]
    (service,) = before.plan.services
    first, second = service.workers
    workers = (replace(first, grant=second.grant), replace(second, grant=first.grant))
    running = replace(before.plan, services=(replace(service, workers=workers),))
    after = wanted(tmp_path, 3, running, s={"workers": 2, "resources": {"gpus": 1}}, t={"target": "hello"})
    assert devices(after.plan)["s"] == list(reversed(devices(before.plan)["s"]))
    assert after.plan.services[1].workers[0].environ["CUDA_VISIBLE_DEVICES"] == ""


@pytest.mark.parametrize(("gpus", "there"), [(3, False), (4, True)])
def test_old_and_new_workers_run_beside_each_other_where_there_are_enough_gpus(tmp_path, gpus, there):
    services = {"s": {"workers": 2, "resources": {"gpus": 1}}}
    before = wanted(tmp_path, gpus, **services)
    desired = wanted(tmp_path, gpus, before.plan, **services)
    moved = desired.moved_from(before.plan, ["s"], {})
    assert (moved is not None) == there
    if moved is not None:
        both = [one for plan in (before.plan, moved.plan) for worker in devices(plan)["s"] for one in worker]
        assert len(set(both)) == 4
        assert moved.plan.services[0].workers[0].environ["CUDA_VISIBLE_DEVICES"] == devices(moved.plan)["s"][0][0]


def test_nobody_else_is_moved_for_that(tmp_path):
    services = {"s": {"resources": {"gpus": 1}}, "t": {"target": "hello", "resources": {"gpus": 0.5}}}
    before = wanted(tmp_path, 2, **services)
    desired = wanted(tmp_path, 2, before.plan, **services)
    assert desired.moved_from(before.plan, ["s"], {}) is None
    moved = desired.moved_from(before.plan, ["t"], {})
    assert moved is not None, "half a GPU is free"
    assert devices(moved.plan) == devices(before.plan)


def test_who_comes_is_not_put_where_somebody_is_who_goes_if_there_is_room_elsewhere(tmp_path):
    before = wanted(tmp_path, 1, s={"resources": {"gpus": 1}})
    spec = {"target": "hello", "resources": {"gpus": 1}}
    over = {"services": {"t": spec}, "apis": {"greet": {"service": "t"}}}
    text = json.dumps({**laid_over(BASE, over), "services": {"t": spec}})
    for gpus, device in ((2, "GPU-1"), (1, "GPU-0")):
        room = Room(lambda _, gpus=gpus: host(gpus), before.plan)
        plan = read([write(tmp_path, {"bentofile.yaml": text, **MODULE})], {}, room=room).plan
        assert devices(plan) == {"t": [[device]]}


def renamed(folder, before, gpus, **service):
    """What is wanted once `s` has become `t`, which is another one."""
    spec = {**BASE, "services": {"t": {"target": "hello", **service}}}
    text = json.dumps({**spec, "apis": {"greet": {**BASE["apis"]["greet"], "service": "t"}}})
    room = Room(lambda _: host(gpus), before)
    return read([write(folder, {"bentofile.yaml": text, **MODULE})], {}, room=room)


@pytest.mark.parametrize("there", [1, 2, 4])
def test_as_many_as_fit_does_not_mean_beside_those_who_go(tmp_path, there):
    before = wanted(tmp_path, 4, s={"workers": there, "resources": {"gpus": 1}}).plan
    after = renamed(tmp_path, before, 4, workers="auto", resources={"gpus": 1})
    assert sorted(devices(after.plan)["t"]) == [[f"GPU-{n}"] for n in range(4)]


def test_as_many_as_fit_does_not_mean_beside_the_workers_before(tmp_path):
    service = {"s": {"workers": "auto", "resources": {"gpus": 1}}}
    before = wanted(tmp_path, 2, **service).plan
    desired = wanted(tmp_path, 4, before, **service)
    assert len(devices(desired.plan)["s"]) == 4
    assert desired.moved_from(before, ["s"], {}) is None


@pytest.mark.parametrize("gpus", [{}, {"gpus": 1}])
def test_who_goes_makes_nobody_share_cpus_or_be_without_memory(tmp_path, gpus):
    before = wanted(tmp_path, 2, s={"resources": {"cpus": 3, "memory": "6GiB", **gpus}}).plan
    after = renamed(tmp_path, before, 2, resources={"cpus": 4, "memory": "6GiB", **gpus})
    assert after.placement.notes == ()
    assert devices(after.plan)["t"] == ([["GPU-1"]] if gpus else [[]])


def test_a_driver_is_asked_once_for_all_that_is_placed_together(monkeypatch):
    asked = []
    monkeypatch.setattr("bentod.inventory.take.take", lambda environ, until=None: asked.append(environ) or host(2))
    room = here({"CUDA_VISIBLE_DEVICES": "1"})
    assert room.look(True) is room.look(True)
    assert [device.index for device in room.look(True).devices] == ["1"]
    assert len(asked) == 1


def test_a_child_is_ours_whatever_it_calls_itself():
    code = "open('/proc/self/comm', 'wb').write(b'model) \\xd0'); print(flush=True); input()"
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, process_group=0) as child:
        assert child.stdout.readline()
        computing = GpuProcess(child.pid, group=child.pid)
        [device] = less(host(1, computing), {}, os.getpid()).devices
        child.kill()
    assert device.processes == ()
