"""Workers that will not go, and what fails while a change is under way: what runs goes on."""

import os
import signal
import threading

import pytest

from tests.support.daemon import alive, eventually, running
from tests.support.edits import INPUT, asking, failed, idle, live, pids, put, respec, save, versioned
from tests.support.http import Connection, request
from tests.support.project import Gate, api, project

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]
SOON = {"reload": {"debounce": "50ms"}}
STUBBORN = """import signal
import time
from pathlib import Path

WORD = 1
signal.signal(signal.SIGTERM, signal.SIG_IGN)


def f(n):
    return WORD


def hang(gate):
    Path(gate, "begun-1").touch()
    while True:
        time.sleep(0.05)
"""


@pytest.mark.parametrize("mode", ["overlap", "stop_first"])
def test_a_worker_that_never_ends_its_call_is_killed_in_time_and_nobody_waits_for_it(tmp_path, mode):
    folder = project(
        tmp_path / "p",
        files={"m.py": STUBBORN},
        services={"s": {"target": "m.py", "stop_timeout": "2s", "threads": 4, "reload": mode}},
        apis={"f": api("s", "f", "n"), "hang": api("s", "hang", "gate", timeout="60s", retry=False)},
        **SOON,
    )
    gate, answers = Gate(tmp_path / "gate"), []

    def hang():
        with Connection(app.url, 60) as connection:
            answers.append(connection.ask(request("/hang", gate.input)))

    with running(folder) as app:
        [pid] = pids(app)["s"]
        thread = threading.Thread(target=hang)
        thread.start()
        gate.reached()
        with asking(app, {"/f": 40.0}) as clients:
            put(folder / "m.py", STUBBORN.replace("WORD = 1", "WORD = 2"))
            eventually(lambda: app.post("/f", INPUT)[2] == 2)
            if mode == "overlap":
                assert alive(pid), "it has its time while the new one serves"
            eventually(lambda: not alive(pid), 15)
            idle(app)
        clients.fine()
        thread.join()
        assert (answers[0].status, answers[0].json["code"]) == (503, "worker-lost")
        eventually(lambda: len(app.pids()) == 1)


def test_a_gateway_that_is_killed_during_a_change_gets_the_new_routes(tmp_path):
    folder = versioned(tmp_path, {"workers": 2}, **SOON)
    with running(folder, overlay={"server": {"gateways": 2}}) as app:
        for number in range(2, 8):
            save(folder, str(number))
            eventually(lambda number=number: app.events("generation.starting", generation=number))
            if number % 2:
                eventually(lambda number=number: app.events("generation.ready", generation=number) or app.pids())
            os.kill(eventually(lambda: app.pids("gateway"))[0], signal.SIGKILL)
            eventually(lambda: len(app.pids("gateway")) == 2)
            eventually(lambda: all(one["state"] == "ready" for one in app.control()["gateways"]))
            live(app, str(number))
            for _ in range(20):  # whichever gateway takes it
                assert app.post("/say", INPUT)[2] == [str(number)] * 3


def test_the_only_gateway_killed_during_a_change(tmp_path):
    folder = versioned(tmp_path, **SOON)
    with running(folder) as app:
        save(folder, "2")
        eventually(lambda: app.events("worker.started", service="s")[1:])
        os.kill(app.pids("gateway")[0], signal.SIGKILL)
        eventually(lambda: app.control()["generation"] == 2, 60)
        idle(app)
        eventually(lambda: all(one["state"] == "ready" for one in app.control()["gateways"]))
        assert app.post("/say", INPUT)[2] == ["2"] * 3


def test_old_and_new_workers_killed_during_a_change(tmp_path):
    folder = versioned(tmp_path, {"workers": 2, "restart": {"delay": "20ms", "limit": 100}}, **SOON)
    respec(folder, lambda data: [one.update(retry=True) for one in data["apis"].values() if "stream" not in one])
    with running(folder) as app, asking(app, {"/say": 60.0, "/together": 20.0}) as clients:
        for number in range(2, 8):
            old = [pid for pid in pids(app)["s"] if pid]
            save(folder, str(number))
            eventually(lambda number=number: app.events("generation.starting", generation=number))
            os.kill(old[0], signal.SIGKILL)
            eventually(lambda number=number: app.control()["change"]["state"] != "applying")
            if number % 2:
                new = eventually(lambda old=old: set(app.pids()) - set(old))
                os.kill(new.pop(), signal.SIGKILL)
            if app.control()["change"]["state"] == "failed":
                assert app.cli("apply").returncode == 0
            live(app, str(number))
        eventually(lambda: len(app.pids()) == 2)
    clients.fine()
    clients.whole()


def test_a_worker_that_dies_while_it_starts_fails_the_change_and_nothing_else(tmp_path):
    folder = versioned(tmp_path, **SOON)
    with running(folder) as app, asking(app, {"/say": 60.0}) as clients:
        before = pids(app)
        text = (folder / "main.py").read_text()
        put(folder / "main.py", "import time\nimport pathlib\npathlib.Path('begun').touch()\ntime.sleep(60)\n" + text)
        eventually((folder / "begun").exists)
        [new] = set(app.pids()) - set(before["s"])
        os.kill(new, signal.SIGKILL)
        assert "signal 9" in failed(app)["reason"].lower() or "SIGKILL" in failed(app)["reason"]
        assert pids(app) == before
        put(folder / "main.py", text.replace('VERSION = "1"', 'VERSION = "2"'))
        eventually(lambda: app.post("/say", INPUT)[2] == ["2", "1", "1"])
        idle(app)
    clients.fine()


def test_a_stop_during_a_change_ends_everything(tmp_path):
    folder = versioned(tmp_path, **SOON)
    with running(folder) as app:
        put(folder / "main.py", "import time\ntime.sleep(60)\n" + (folder / "main.py").read_text())
        eventually(lambda: len(app.pids()) == 2)
        started = app.pids()
        app.process.send_signal(signal.SIGTERM)
        assert app.process.wait(30) == 0
        eventually(lambda: not any(alive(pid) for pid in started))
