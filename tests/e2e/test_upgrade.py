"""`bentod upgrade`: a new daemon takes the place of the old one, and no client notices."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.daemon import alive, children, eventually, running
from tests.support.http import Connection, request
from tests.support.load import load
from tests.support.project import Gate, api, project

pytestmark = pytest.mark.e2e

WORD = """import os

WORD = 'one'


def say() -> str:
    return WORD


def pid() -> int:
    return os.getppid()
"""
BROKEN = WORD + "\n\nraise RuntimeError('the new code is broken')\n"
HANGING = WORD + "\n\n__import__('threading').Event().wait()\n"


@pytest.fixture
def folder(tmp_path):
    return project(
        tmp_path / "p",
        "waiting",
        files={"word.py": WORD},
        services={"word": {"target": "word.py"}, "waiting": {"target": "waiting.py", "threads": 4}},
        apis={"say": api("word", "say"), "daemon": api("word", "pid"), "hold": api("waiting", "hold", "gate")},
        reload={"watch": False},
    )


def daemon_pid(app):
    return app.control()["daemon"]["pid"]


def upgraded(app):
    before = daemon_pid(app)
    done = app.cli("upgrade")
    assert done.returncode == 0, done.stderr + done.stdout
    after = daemon_pid(app)
    assert f"(pid {after}) took over from" in done.stdout
    assert f"(pid {before})" in done.stdout
    return after


def upgrading(app):
    """An upgrade that is under way."""
    command = [sys.executable, "-P", "-m", "bentod", "upgrade", *app.spec]
    return subprocess.Popen(command, env=app.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def successor(app):
    """The daemon that is to replace the app's."""
    found = [pid for pid, command in children(app.process.pid) if "--takeover" in command]
    return found[0] if found else None


def test_nothing_is_refused_and_nothing_fails_while_a_daemon_is_replaced(folder):
    with running(folder) as app:
        before = daemon_pid(app)
        with load(app.url, "/say", {}, clients=6) as kept:
            kept.more()
            first = upgraded(app)
            kept.more(200)
            second = upgraded(app)
            kept.more(200)
        assert set(kept.answers) == {"200"}, kept.answers
        assert len({before, first, second}) == 3
        assert alive(app.process.pid)  # whoever started it still knows it
        assert app.post("/daemon", {})[2] == second
        assert app.cli("down").returncode == 0
        assert app.process.wait(30) == 0
        assert not alive(second)


def test_a_call_that_has_begun_is_finished_by_the_old_daemon(folder, tmp_path):
    gate = Gate(tmp_path / "gate")
    with running(folder) as app, Connection(app.url) as connection:
        connection.send(request("/hold", gate.input))
        gate.reached()
        upgraded(app)
        assert app.post("/say", {})[0] == 200
        gate.open()
        assert connection.answer().status == 200


def test_a_successor_that_cannot_serve_changes_nothing(folder):
    with running(folder) as app:
        before = daemon_pid(app)
        (folder / "word.py").write_text(BROKEN)
        with load(app.url, "/say", {}, clients=4) as clients:
            clients.more()
            done = app.cli("upgrade")
            clients.more()
        assert done.returncode == 4
        assert "the new code is broken" in done.stderr
        assert set(clients.answers) == {"200"}
        assert daemon_pid(app) == before
        assert app.events("daemon.not_replaced")
        [run] = app.run.iterdir()
        assert sorted(path.name for path in run.iterdir()) == ["control.sock", "lock", "spec", "w"]
        (folder / "word.py").write_text(WORD.replace("one", "two"))
        upgraded(app)
        assert app.post("/say", {})[2] == "two"


def test_a_spec_that_is_wrong_is_told(folder):
    with running(folder) as app:
        spec = folder / "bentofile.yaml"
        right = spec.read_text()
        spec.write_text(right.replace("services", "servcies"))
        done = app.cli("upgrade")
        assert done.returncode == 4
        assert "unknown key `servcies`" in done.stderr
        spec.write_text(right)
        assert app.post("/say", {})[0] == 200


def test_a_successor_that_is_killed_changes_nothing(folder):
    with running(folder) as app:
        before = daemon_pid(app)
        (folder / "word.py").write_text(HANGING)
        done = upgrading(app)
        pid = eventually(lambda: successor(app), what="a successor")
        eventually(lambda: len(children(pid)) >= 3, what="its gateway and workers")
        mine = [child for child, _ in children(pid)]
        again = app.cli("upgrade")
        assert (again.returncode, "under way already" in again.stderr) == (2, True), again.stderr
        os.kill(pid, signal.SIGKILL)
        output, error = done.communicate(timeout=60)
        assert done.returncode == 4, output
        assert "signal 9" in error
        eventually(lambda: not any(alive(child) for child in mine), 10, "its children are gone")
        assert daemon_pid(app) == before
        assert app.post("/say", {})[0] == 200


@pytest.mark.parametrize("watch", [False, True])
def test_what_was_rolled_back_stays_so(folder, watch):
    spec = folder / "bentofile.yaml"
    spec.write_text(json.dumps({**json.loads(spec.read_text()), "reload": {"watch": watch, "debounce": "100ms"}}))
    with running(folder) as app:
        (folder / "word.py").write_text(WORD.replace("one", "bad"))
        app.cli("apply")
        eventually(lambda: app.post("/say", {})[2] == "bad")
        assert app.cli("rollback", "1").returncode == 0
        assert app.post("/say", {})[2] == "one"
        for _ in range(2):
            upgraded(app)
            assert app.post("/say", {})[2] == "one"
        last = json.loads(app.cli("history", "--json").stdout)[0]
        assert last["reason"] == "upgrade"
        (folder / "word.py").touch()
        status = eventually(lambda: (c := app.control())["watch"]["state"] == ("on" if watch else "off") and c)
        assert status["change"]["state"] == "idle"
        (folder / "other.py").write_text("")
        assert app.cli("plan", "--exit-code").returncode == 2
        assert app.post("/say", {})[2] == "one"
        assert app.control()["generation"] == status["generation"]
        (folder / "word.py").write_text(WORD.replace("one", "two"))
        app.cli("apply")
        eventually(lambda: app.post("/say", {})[2] == "two")


def test_a_rollback_that_nobody_has_a_record_of_is_not_undone(folder):
    with running(folder) as app:
        (folder / "word.py").write_text(WORD.replace("one", "bad"))
        assert app.cli("apply").returncode == 0
        assert app.cli("rollback", "1").returncode == 0
        for path in app.state.glob("history/*.json"):
            path.unlink()
        done = app.cli("upgrade")
        assert done.returncode == 4
        assert "is not recorded" in done.stderr
        assert app.post("/say", {})[2] == "one"


def test_down_in_the_middle_of_an_upgrade_ends_both(folder):
    with running(folder) as app:
        (folder / "word.py").write_text(HANGING)
        with upgrading(app) as done:
            pid = eventually(lambda: successor(app), what="a successor")
            assert app.cli("down").returncode == 0
            done.communicate(timeout=60)
        assert app.process.wait(30) == 0
        assert not alive(pid)


def test_a_detached_daemon_leaves_the_new_one_alone(folder, short_folder):
    environ = {**os.environ, "BENTOD_RUN": str(short_folder / "r"), "BENTOD_STATE": str(short_folder / "s")}
    (short_folder / "o.yaml").write_text(json.dumps({"server": {"listen": f"unix:{short_folder}/u"}}))

    def cli(*words):
        command = [sys.executable, "-P", "-m", "bentod", *words, "-f", str(folder / "bentofile.yaml")]
        done = subprocess.run(
            [*command, "-f", str(short_folder / "o.yaml")], env=environ, capture_output=True, text=True, timeout=90
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    cli("up", "-d", "--wait")
    try:
        pids = []
        for _ in range(3):
            pids.append(json.loads(cli("status", "--json"))["daemon"]["pid"])
            cli("upgrade")
            eventually(lambda: not alive(pids[-1]), 30, "the old daemon has ended")
            with Connection(f"unix:{short_folder}/u") as connection:
                assert connection.ask(request("/say", {})).status == 200
        assert len(set(pids)) == 3
    finally:
        cli("down")
    assert not [path for path in short_folder.rglob("*") if path.is_socket()]
    assert not list((short_folder / "r").iterdir())


def test_new_addresses_of_the_spec_are_the_new_daemon_s(folder, short_folder):
    overlay = {"server": {"listen": ["127.0.0.1:0", f"unix:{short_folder}/a"]}}
    with running(folder, overlay=overlay) as app:
        url = app.url
        over = Path(app.spec[-1])
        over.write_text(json.dumps({"server": {"listen": [f"unix:{short_folder}/b", "127.0.0.1:0"]}}))
        upgraded(app)
        assert app.control()["urls"] == [f"unix:{short_folder}/b", url]
        eventually(lambda: not (short_folder / "a").exists(), 30, "the old address is gone")
        with Connection(f"unix:{short_folder}/b") as connection:
            assert connection.ask(request("/say", {})).status == 200


def test_the_new_daemon_ends_with_the_process_that_its_starter_knows(folder):
    with running(folder, code=None) as app:
        upgraded(app)
        pid = upgraded(app)
        app.process.kill()
        app.process.wait()
        eventually(lambda: not alive(pid), 40, "the new daemon has ended")
        eventually(lambda: not [path for path in app.run.rglob("*") if path.is_socket()], 5, "its sockets are gone")
