"""What daemons of one host tell each other of what their workers have, and what becomes of it when it goes wrong."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from dataclasses import replace

import pytest

from bentod.daemon import claims as module
from bentod.daemon.claims import Claims
from bentod.daemon.room import less
from bentod.plan.grants import Grant, Needs, Share
from bentod.plan.inventory import Claim, Device, GpuProcess, Inventory
from bentod.plan.model import WorkerPlan
from tests.support.devices import granted
from tests.support.stage import plan, service

GIB = 1 << 30


def asking(*workers, name="s", **needs):
    return replace(service(name), workers=workers or (granted(),), needs=Needs(**(needs or {"gpus": 1.0})))


WHOLE = plan(asking())
FREE = plan(service("s"))


@pytest.fixture
def daemon(tmp_path):
    """Makes the claims of a daemon whose spec has that name."""
    made = []

    def make(name, log=None, run=None):
        environ = {"BENTOD_CLAIMS": str(tmp_path / "claims")}
        found = Claims(environ, tmp_path / name, tmp_path / "run" / (run or name), log)
        made.append(found)
        return found

    yield make
    for one in made:
        one.release()


def test_what_one_gives_the_others_see_until_it_ends(daemon, tmp_path):
    one, other = daemon("one.yaml"), daemon("other.yaml")
    assert one.hold(None, WHOLE) == ""
    assert other.others() == (Claim(f"s of {tmp_path}/one.yaml", os.getpid(), (Share("GPU-0", 1.0, 16 * GIB),)),)
    assert one.others() == ()
    one.release()
    assert other.others() == ()


def test_a_spec_that_asks_for_nothing_touches_nothing(daemon, tmp_path):
    one = daemon("one.yaml")
    assert one.hold(None, FREE) == ""
    assert one.others() == ()
    assert not (tmp_path / "claims").exists()


def test_a_successor_does_not_see_what_it_replaces(daemon):
    before, after = daemon("one.yaml"), daemon("one.yaml")
    assert before.hold(None, WHOLE) == after.hold(None, WHOLE) == ""
    assert before.others() == after.others() == ()
    before.release()
    assert len(daemon("other.yaml").others()) == 1


def test_a_successor_is_one_wherever_the_link_leads_by_which_the_spec_was_named(daemon, tmp_path):
    for release in ("1", "2"):
        (tmp_path / release).mkdir()
    current = tmp_path / "current"
    current.symlink_to("1")
    before = daemon("current/bentofile.yaml", run="shop")
    before.hold(None, WHOLE)
    current.unlink()
    current.symlink_to("2")
    assert daemon("current/bentofile.yaml", run="shop").hold(None, WHOLE) == ""


def test_two_daemons_of_one_spec_in_folders_of_their_own_are_others(daemon):
    one, other = daemon("one.yaml", run="live"), daemon("one.yaml", run="test")
    one.hold(None, WHOLE)
    assert len(other.others()) == 1


def test_who_comes_second_is_told_and_claims_nothing(daemon, tmp_path):
    one, other = daemon("one.yaml"), daemon("other.yaml")
    half = plan(asking(granted(part=0.5)))
    assert one.hold(None, half) == other.hold(None, half) == ""
    third = daemon("third.yaml")
    assert third.hold(None, half).startswith(f"GPU GPU-0 was given to s of {tmp_path}/o")
    assert len(one.others()) == 1
    assert third.hold(half) == "", "what runs is said, whoever else has it"


def test_a_change_has_what_runs_and_what_comes(daemon):
    one, other = daemon("one.yaml"), daemon("other.yaml")
    pinned = WorkerPlan(0, {}, {}, Grant((Share("GPU-1", 1.0, GIB),), (3,)))
    before = plan(asking(gpus=1.0, memory=GIB))
    coming = plan(asking(pinned, gpus=1.0, memory=2 * GIB, cpus=0.5))
    one.hold(before, coming)
    assert {(claim.shares[0].device, claim.cpus, claim.load, claim.memory) for claim in other.others()} == {
        ("GPU-0", (), 0.0, 0),
        ("GPU-1", (3,), 0.5, 2 * GIB),
    }
    one.hold(before)
    (claim,) = other.others()
    assert (claim.shares[0].device, claim.memory) == ("GPU-0", GIB)
    one.hold(FREE)
    assert other.others() == ()


def test_memory_of_another_control_group_is_no_matter(daemon, monkeypatch):
    one, other = daemon("one.yaml"), daemon("other.yaml")
    one.hold(None, plan(asking(replace(granted(), grant=Grant()), memory=GIB)))
    assert [claim.memory for claim in other.others()] == [GIB]
    monkeypatch.setattr(module, "_scope", lambda: "0:1")
    assert [claim.memory for claim in other.others()] == [0]


def test_what_a_killed_daemon_has_left_is_removed(daemon, tmp_path):
    one, other = daemon("one.yaml"), daemon("other.yaml")
    one.hold(None, WHOLE)
    (kept,) = (tmp_path / "claims").glob("*.json")
    left = kept.with_name("f00d-1-1.json")
    left.write_bytes(kept.read_bytes())
    assert len(other.others()) == 1
    assert not left.exists()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        "[]",
        '{"claims": 3}',
        '{"scope": "", "claims": [{}]}',
        '{"scope": "", "claims": [{"owner": "x", "daemon": "y"}]}',
        "[" * 100_000,
        json.dumps({"scope": "", "claims": [{"owner": "x", "daemon": 1, "shares": [{"device": "d", "part": "NaN"}]}]}),
        '{"scope": "", "claims": [{"owner": "x", "daemon": 1, "shares": [], "cpus": [], "load": 0, "memory": 1e999}]}',
    ],
)
def test_what_is_no_claim_is_none(daemon, tmp_path, text):
    other = daemon("other.yaml")
    daemon("one.yaml").hold(None, WHOLE)
    with (tmp_path / "claims" / "f00d-1-1.json").open("w+") as stream:
        stream.write(text)
        stream.flush()
        fcntl.flock(stream, fcntl.LOCK_EX)
        assert len(other.others()) == 1


def test_a_name_that_is_no_text_and_numbers_that_are_none_stay_small(daemon, tmp_path):
    worker = {"owner": "a\n\x1b[2J" + "b" * 999, "daemon": 1, "cpus": [0], "load": 9, "memory": -5}
    worker["shares"] = [{"device": "GPU-0", "part": 7, "memory": 10**999}]
    other = daemon("other.yaml")
    daemon("one.yaml").hold(None, WHOLE)
    with (tmp_path / "claims" / "f00d-1-1.json").open("w+") as stream:
        json.dump({"scope": "", "claims": [worker]}, stream)
        stream.flush()
        fcntl.flock(stream, fcntl.LOCK_EX)
        (found,) = (claim for claim in other.others() if claim.daemon == 1)
    assert found.owner.isprintable()
    assert len(found.owner) <= 200
    assert (found.load, found.memory, found.shares[0].part) == (1.0, 0, 1.0)
    assert found.shares[0].memory < 1 << 63


def test_what_is_no_file_is_not_opened(daemon, tmp_path):
    one, other = daemon("one.yaml"), daemon("other.yaml")
    one.hold(None, WHOLE)
    folder = tmp_path / "claims"
    os.mkfifo(folder / "a.json")
    (folder / "b.json").mkdir()
    (folder / "c.json").symlink_to("/dev/zero")
    assert len(other.others()) == 1


def test_a_folder_that_cannot_be_used_is_said_once(daemon, tmp_path):
    (tmp_path / "claims").write_text("a file")
    told = []
    one = daemon("one.yaml", lambda event, **keys: told.append((event, keys["reason"])))
    assert one.hold(None, WHOLE) == one.hold(WHOLE) == ""
    assert one.others() == ()
    ((event, reason),) = told
    assert event == "claims.unusable"
    assert reason.startswith(f"{tmp_path}/claims cannot be used: ")
    assert reason.endswith("; BENTOD_CLAIMS names another")


def test_nobody_waits_for_one_that_holds_the_folder_for_good(daemon, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_LOCK_S", 0.05)
    told = []
    one, other = daemon("one.yaml"), daemon("other.yaml", lambda event, **keys: told.append(keys["reason"]))
    one.hold(None, WHOLE)
    with (tmp_path / "claims" / "lock").open() as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        assert other.others() == ()
    assert len(told) == 1
    assert "another process holds it for too long" in told[0]
    assert len(other.others()) == 1


def test_every_user_may_write_into_the_folder_and_remove_only_what_is_theirs(daemon, tmp_path):
    before = os.umask(0o077)
    try:
        daemon("one.yaml").hold(None, WHOLE)
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o7777 for path in (tmp_path / "claims").iterdir()}
    assert {*modes.values()} == {0o644}
    assert (tmp_path / "claims").stat().st_mode & 0o7777 == 0o1777


def test_what_workers_of_another_daemon_use_is_what_it_has_given_them():
    ours = GpuProcess(os.getpid(), "python", 5 * GIB, os.getpid())
    devices = tuple(Device(f"GPU-{n}", "Some GPU", 16 * GIB, str(n), processes=(ours,)) for n in range(2))
    claim = Claim("s of x", os.getppid(), (Share("GPU-0", 0.5, 8 * GIB),))
    found = less(Inventory(4.0, devices=devices, gpus="ok", claims=(claim,)), {})
    assert [device.processes for device in found.devices] == [(), (ours,)], "nor has it the other one"


def test_a_name_of_a_folder_that_nobody_can_have_is_one_that_cannot_be_used(tmp_path):
    told = []
    one = Claims({"BENTOD_CLAIMS": "x" * 300}, tmp_path / "a", tmp_path, lambda event, **keys: told.append(event))
    assert one.others() == ()
    assert told == ["claims.unusable"]


def test_memory_that_another_was_quicker_to_promise_is_not_promised_again(daemon):
    one, other = daemon("one.yaml"), daemon("other.yaml")
    host = Inventory(4.0, devices=(Device("GPU-0", "Some GPU", 16 * GIB, "0"),), memory=16 * GIB, gpus="ok")
    mine = plan(asking(replace(granted(), grant=Grant()), memory=9 * GIB))
    assert one.hold(None, mine, host) == ""
    assert other.hold(None, mine, host).startswith("memory was given to s of ")
    part = WorkerPlan(0, {}, {}, Grant((Share("GPU-0", 0.1, 9 * GIB),)))
    mine = plan(asking(part, gpus=0.1, gpu_memory=9 * GIB))
    assert one.hold(None, mine, host) == ""
    assert other.hold(None, mine, host).startswith("GPU GPU-0 was given to s of ")


def test_who_has_released_claims_nothing_more_even_if_a_thread_was_about_to(daemon, tmp_path):
    one = daemon("one.yaml")
    one.release()
    one.hold(None, WHOLE)
    assert daemon("other.yaml").others() == ()


def test_a_file_that_somebody_removed_is_written_again(daemon, tmp_path):
    """systemd's RemoveIPC empties /dev/shm of what a user has once that one has logged out."""
    one, other = daemon("one.yaml"), daemon("other.yaml")
    one.hold(None, WHOLE)
    shutil.rmtree(tmp_path / "claims")
    assert other.others() == ()
    one.renew()
    assert len(other.others()) == 1
    shutil.rmtree(tmp_path / "claims")
    one.hold(WHOLE)
    assert len(other.others()) == 1
