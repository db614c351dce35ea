"""What `bentod up` starts with where it does not fit on this host."""

from __future__ import annotations

import json
from argparse import Namespace

import pytest

from bentod.cli import starting as module
from bentod.cli.starting import starting
from bentod.daemon.inherit import Handover
from bentod.daemon.room import Room
from bentod.errors import PlanError, SpecError
from bentod.plan.inventory import Device, GpuProcess, Inventory
from tests.support.specs import BASE, laid_over, write


@pytest.mark.parametrize("follows", [False, True])
def test_who_follows_a_daemon_is_not_told_to_end_its_workers(tmp_path, monkeypatch, follows):
    worker = GpuProcess(42, "python", 1 << 30, 42)
    gpu = Device("GPU-0", "Some GPU", 1 << 34, "0", processes=(worker,))
    host = Inventory(4.0, (0, 1, 2, 3), 1 << 33, (gpu,), "ok")
    monkeypatch.setattr(module, "here", lambda environ, **_: Room(lambda _: host))
    spec = laid_over(BASE, {"services": {"s": {"resources": {"gpus": 1}}}})
    file = write(tmp_path, {"bentofile.yaml": json.dumps(spec), "hello.py": "def greet(): ..."})
    handover = Handover("1", 41, 3, str(tmp_path), "", "", ()) if follows else None
    with pytest.raises(PlanError) as caught:
        starting(Namespace(files=[file], strict=True, locked=False), handover)
    [problem] = caught.value.problems
    assert "taken by process 42" in problem.message
    assert ("end process 42" in problem.hint) == (not follows)
    assert ("`bentod down`, then `bentod up`" in problem.hint) == follows


def test_who_follows_a_daemon_gives_nobody_a_gpu_that_was_out(tmp_path, monkeypatch):
    host = Inventory(4.0, (0,), 1 << 33, tuple(Device(f"GPU-{at}", "", 1 << 34, str(at)) for at in range(2)), "ok")
    monkeypatch.setattr("bentod.inventory.take.take", lambda environ, until: host)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    spec = laid_over(BASE, {"services": {"s": {"resources": {"gpus": 1}, "workers": 1}}})
    file = write(tmp_path, {"bentofile.yaml": json.dumps(spec), "hello.py": "def greet(): ..."})
    handover = Handover("1", 41, 3, str(tmp_path), "", "", (), out={"GPU-0": "Xid 79"})
    found = starting(Namespace(files=[file], strict=True, locked=False), handover).desired
    assert [share.device for one in found.plan.services[0].workers for share in one.grant.shares] == ["GPU-1"]
    assert found.inventory.devices[0].reason == "Xid 79; `bentod apply` has it used again"


def test_who_leaves_a_daemon_behind_does_not_ask_the_driver_before_it_does(tmp_path, monkeypatch):
    monkeypatch.setattr("bentod.inventory.take.take", lambda *_, **__: pytest.fail("that is the daemon's to do"))
    spec = laid_over(BASE, {"services": {"s": {"resources": {"gpus": 1}}}})
    file = write(tmp_path, {"bentofile.yaml": json.dumps(spec), "hello.py": "def greet(): ..."})
    assert starting(Namespace(files=[file], strict=False, locked=False), placed=False).folders.run


def test_who_follows_a_daemon_that_is_held_to_the_lock_file_is_held_to_it_too(tmp_path):
    file = write(tmp_path, {"bentofile.yaml": json.dumps(BASE), "hello.py": "def greet(): ..."})
    handover = Handover("1", 41, 3, str(tmp_path), "", "", ())
    with pytest.raises(SpecError) as caught:
        starting(Namespace(files=[file], strict=True, locked=True), handover)
    assert [problem.code for problem in caught.value.problems] == ["no-lock"]
