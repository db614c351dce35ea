"""A daemon that is killed at whatever moment starts again with what is good; what is written down of generations
survives, and is not needed in order to serve."""

import contextlib
import json
import os
import shutil
import signal
import subprocess

import pytest

from bentod.daemon.history import History
from tests.support.daemon import alive, children, eventually, running
from tests.support.edits import INPUT, asking, failed, idle, live, pids, put, respec, save, versioned

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]
SOON = {"reload": {"debounce": "50ms"}}
MOMENTS = (
    ("", {}),
    ("generation.starting", {}),
    ("worker.started", {}),
    ("worker.ready", {}),
    ("generation.ready", {}),
)


@pytest.fixture
def places(short_folder):
    """A daemon's folders, for one after the other."""
    return {"run": str(short_folder / "r"), "state": str(short_folder / "s")}


def kill(app):
    """SIGKILL for a daemon; its children end by themselves."""
    mine = [pid for pid, _ in children(app.process.pid)]
    app.process.send_signal(signal.SIGKILL)
    app.process.wait()
    eventually(lambda: not any(alive(pid) for pid in mine), 30, "no orphan")


def fill(path):
    """Take all room that there is."""
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 512)


def records(app):
    history = History(app.state / "history")
    found = history.records()
    assert not history.damaged
    assert [record.number for record in found] == sorted({record.number for record in found}, reverse=True)
    return found


def test_a_daemon_killed_at_any_moment_of_a_change_starts_again_with_what_the_files_say(tmp_path, places):
    folder = versioned(tmp_path, **SOON)
    for number in range(2, 12):
        with running(folder, code=None, **places) as app:
            assert app.post("/say", INPUT)[2] == [str(number - 1)] * 3
            before = len(records(app))
            save(folder, str(number))
            event, keys = MOMENTS[number % len(MOMENTS)]
            if event:
                eventually(lambda event=event, keys=keys: len(app.events(event, **keys)) >= 2)
            kill(app)
            assert len(records(app)) >= before
    with running(folder, **places) as app:
        assert app.post("/say", INPUT)[2] == [str(number)] * 3
        assert records(app)[0].outcome == "live"
        assert not app.events("generation.resumed")
        live(app, str(number))
        assert len(app.pids()) == 1
    assert not list((app.state / "history").glob(".*.tmp"))


def test_after_a_crash_a_broken_spec_lets_the_last_good_generation_start_and_says_so(tmp_path, places):
    folder = versioned(tmp_path, **SOON)
    with running(folder, code=None, **places) as app:
        save(folder, "2")
        live(app, "2")
        kill(app)
    good = (folder / "bentofile.yaml").read_text()
    put(folder / "bentofile.yaml", good.replace("services", "servcies"))
    with running(folder, "--strict", ready=False, code=None, **places) as app:
        assert app.process.wait(60) == 2
        assert "servcies" in app.text()
    with running(folder, **places) as app:
        assert app.events("generation.resumed")
        assert "servcies" in json.dumps(failed(app)["problems"])
        assert app.post("/say", INPUT)[2] == ["2"] * 3
        put(folder / "bentofile.yaml", good)
        idle(app)
        save(folder, "3")
        live(app, "3")
        assert "last good" in "".join(record.reason for record in records(app))
    put(folder / "bentofile.yaml", "{")
    with running(folder, ready=False, code=None, **places) as app:
        assert app.process.wait(60) == 2, "it was stopped in order"


@pytest.mark.parametrize("broken", ["", "def say(:\n", None])
def test_after_a_crash_a_module_that_is_none_any_more_lets_the_last_good_code_start(tmp_path, places, broken):
    folder = versioned(tmp_path, **SOON)
    main = folder / "main.py"
    with running(folder, code=None, **places) as app:
        kill(app)
    good = main.read_text()
    main.unlink()
    if broken is not None:
        put(main, broken)
    with running(folder, **places) as app:
        assert app.post("/say", INPUT)[2] == ["1"] * 3
        assert failed(app)["problems"]
        put(main, good.replace('"1"', '"2"'))
        eventually(lambda: app.post("/say", INPUT)[2] == ["2", "1", "1"])
        idle(app)
        put(main, broken or "")
        failed(app)
        done = app.cli("rollback", "1")
        assert done.returncode == 0, done.stderr
        assert app.post("/say", INPUT)[2] == ["1"] * 3


def test_after_a_crash_a_broken_module_lets_the_last_good_code_start(tmp_path, places):
    folder = versioned(tmp_path, {"restart": {"delay": "20ms"}}, **SOON)
    with running(folder, code=None, **places) as app:
        save(folder, "2")
        live(app, "2")
        kill(app)
    main = (folder / "main.py").read_text()
    put(folder / "main.py", "raise RuntimeError('halfway')\n" + main)
    (folder / "parts/words.py").unlink()
    with running(folder, "--strict", ready=False, code=4, **places) as app:
        assert app.process.wait(60) == 4
    with running(folder, **places) as app:
        assert app.post("/say", INPUT)[2] == ["2"] * 3
        assert "halfway" in failed(app)["reason"]
        [pid] = pids(app)["s"]
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: pids(app)["s"] not in ([pid], [None]))
        eventually(lambda: app.control()["state"] == "ready")
        assert app.post("/say", INPUT)[2] == ["2"] * 3
        (folder / "parts/words.py").write_text('VERSION = "3"\n')
        put(folder / "main.py", main.replace('"2"', '"3"'))
        eventually(lambda: app.post("/say", INPUT)[2] == ["3", "3", "2"])
        idle(app)


def test_after_a_crash_of_a_daemon_whose_last_attempt_failed_the_one_before_is_the_last_good(tmp_path, places):
    folder = versioned(tmp_path, **SOON)
    with running(folder, code=None, **places) as app:
        put(folder / "main.py", "raise RuntimeError('no')\n" + (folder / "main.py").read_text())
        failed(app)
        kill(app)
    with running(folder, code=None, **places) as app:
        assert app.post("/say", INPUT)[2] == ["1"] * 3
        kill(app)
    with running(folder, **places) as app:
        assert app.post("/say", INPUT)[2] == ["1"] * 3
        assert {record.outcome for record in records(app)} == {"live", "failed"}


def test_a_record_that_is_damaged_is_left_out(tmp_path, places):
    folder = versioned(tmp_path, **SOON)
    with running(folder, code=None, **places) as app:
        save(folder, "2")
        live(app, "2")
        kill(app)
    newest = max((app.state / "history").glob("*.json"), key=lambda path: int(path.stem))
    newest.write_text(newest.read_text()[:100])
    (app.state / "running.json").write_text("{")
    with running(folder, **places) as app:
        assert app.post("/say", INPUT)[2] == ["2"] * 3
        done = app.cli("history", "--json")
        assert done.returncode == 0, done.stderr
        save(folder, "3")
        live(app, "3")


@pytest.fixture
def small_disk(short_folder):
    """A file system with hardly any room."""
    place = short_folder / "d"
    place.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "none", place], capture_output=True)
    if done.returncode:
        pytest.skip("this user may not mount")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def test_a_full_disk_keeps_nobody_from_serving_and_changes_are_made_all_the_same(tmp_path, small_disk, short_folder):
    folder = versioned(tmp_path, **SOON)
    with running(folder, run=str(short_folder / "r"), state=str(small_disk)) as app:
        filling = small_disk / "filling"
        fill(filling)
        with asking(app, {"/say": 60.0, "/stream": 2.0}) as clients:
            save(folder, "2")
            live(app, "2")
        clients.fine()
        assert app.events("history.failed")
        filling.unlink()
        save(folder, "3")
        live(app, "3")
        assert records(app)[0].outcome == "live"


@pytest.mark.parametrize("what", ["history", "objects"])
def test_a_state_folder_that_cannot_be_written_keeps_nobody_from_serving(tmp_path, places, what):
    folder = versioned(tmp_path, {"restart": {"delay": "20ms"}}, **SOON)
    with running(folder, **places) as app:
        shutil.rmtree(app.state / what)
        (app.state / what).write_text("no folder")
        with asking(app, {"/say": 60.0}) as clients:
            save(folder, "2")
            live(app, "2")
            respec(folder, lambda data: data["apis"]["say"].update(queue=99))
            eventually(lambda: idle(app)["generation"] == 3)
        clients.fine()
        if what == "history":
            assert app.events("history.failed")
        [pid] = pids(app)["s"]
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: pids(app)["s"] not in ([pid], [None]))
        eventually(lambda: app.control()["state"] == "ready")
        assert app.post("/say", INPUT)[2] == ["2"] * 3
