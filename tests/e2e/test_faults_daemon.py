"""Gateways and daemons that die, and daemons that are told to stop."""

import contextlib
import os
import signal
import subprocess
import sys
import time

import pytest

from tests.support.daemon import alive, children, eventually, running
from tests.support.http import Connection, Ended, request
from tests.support.load import load
from tests.support.project import Gate, api, project

pytestmark = pytest.mark.e2e


@pytest.fixture
def folder(tmp_path):
    return project(
        tmp_path / "p",
        "waiting",
        "mortal",
        services={"w": {"target": "waiting.py", "threads": 4}, "m": {"target": "mortal.py", "workers": 2}},
        apis={
            "hold": api("w", "hold", "gate"),
            "hold_async": api("w", "hold_async", "gate"),
            "pid": api("m", "pid"),
            "work": api("m", "work", "seconds"),
            "start": api("m", "start_a_child"),
        },
        server={"drain_timeout": "20s"},
    )


@pytest.fixture
def gate(tmp_path):
    gate = Gate(tmp_path / "gate")
    yield gate
    gate.open()


def refused(url):
    try:
        Connection(url).socket.close()
    except ConnectionError:
        return True
    return False


def descendants(pid):
    """A process and all that descend from it."""
    return [pid, *(one for child, _ in children(pid) for one in descendants(child))]


@pytest.mark.parametrize("gateways", [1, 2])
def test_a_gateway_that_dies_is_replaced_and_nobody_refused(folder, gateways):
    overlay = {"server": {"gateways": gateways}}
    with running(folder, overlay=overlay) as app:
        workers = set(app.pids())
        with load(app.url, "/work", {"seconds": 0.002}) as clients:
            for _ in range(3):
                clients.more(50)
                victim = app.pids("gateway")[0]
                os.kill(victim, signal.SIGKILL)
                eventually(lambda victim=victim: len(set(app.pids("gateway")) - {victim}) == gateways)
            clients.more(50)
        assert len(app.events("gateway.lost")) == 3
        assert workers == {event["pid"] for event in app.events("worker.started")}  # no worker noticed
    assert set(clients.answers) <= {"200", "cut off"}, dict(clients.answers)
    assert clients.answers["cut off"] <= 3 * 8  # those in flight


def test_status_tells_of_a_gateways_restarts(folder):
    with running(folder) as app:
        [victim] = app.pids("gateway")
        os.kill(victim, signal.SIGKILL)

        def look():
            [gateway] = app.control()["gateways"]
            return gateway["pid"] not in {victim, None} and gateway["state"] == "ready" and gateway

        assert eventually(look)["restarts"] == 1
        assert app.post("/pid", {})[0] == 200


@pytest.mark.parametrize("busy", [False, True])
def test_nothing_outlives_a_killed_daemon(folder, gate, busy):
    with running(folder, code=None) as app:
        app.post("/start", {})
        app.post("/start", {})
        with contextlib.ExitStack() as stack:
            for path in ("/hold", "/hold_async") * (2 if busy else 0):
                stack.enter_context(Connection(app.url)).send(request(path, gate.input))
            gate.reached(4 if busy else 0)
            tree = descendants(app.process.pid)
            assert len(tree) >= 6
            app.process.kill()
            eventually(
                lambda: not any(alive(pid) for pid in tree if pid != app.process.pid), 3, "every process is gone"
            )


def test_up_works_at_once_after_a_kill(tmp_path, folder):
    """The run folder, its sockets, the port and a Unix socket that the killed daemon left are in nobody's way."""
    short = tmp_path / "r"
    path = tmp_path / "s"
    port = 0
    for _ in range(3):
        listen = {"server": {"listen": [f"127.0.0.1:{port}", f"unix:{path}"]}}
        with running(folder, overlay=listen, run=str(short), code=None) as app:
            port = int(app.url.rpartition(":")[2])
            with Connection(f"unix:{path}") as connection:
                assert connection.ask(request("/pid", {})).status == 200
            tree = descendants(app.process.pid)
            app.process.kill()
            app.process.wait()
            eventually(lambda: not any(alive(pid) for pid in tree), 3)  # noqa: B023 - called within the turn


def test_sigterm_answers_every_accepted_request(folder, gate):
    with running(folder) as app, contextlib.ExitStack() as stack:
        idle = stack.enter_context(Connection(app.url))
        idle.ask(request("/pid", {}))
        busy = [stack.enter_context(Connection(app.url)) for _ in range(12)]
        for n, connection in enumerate(busy):
            connection.send(request("/hold" if n % 3 else "/hold_async", gate.input))
        gate.reached(8)
        eventually(lambda: sum(app.control()["apis"][name]["waiting"] for name in ("hold", "hold_async")) == 4)
        app.process.send_signal(signal.SIGTERM)
        assert idle.ended(10)
        eventually(lambda: refused(app.url))
        gate.open()
        answers = [connection.answer() for connection in busy]
        assert {answer.status for answer in answers} == {200}
        assert {answer.headers["connection"] for answer in answers} == {"close"}
        assert app.process.wait(20) == 0
        assert app.events("daemon.stopped")[0]["abandoned"] == 0


def test_sigterm_under_load_cuts_nobody_off(folder):
    """A request that gets an answer gets a good one; the others find the connection closed."""
    with running(folder) as app:
        with load(app.url, "/work", {"seconds": 0.002}, clients=16) as clients:
            clients.more(200)
            app.process.send_signal(signal.SIGTERM)
            assert app.process.wait(20) == 0
            clients.stopping.set()
        assert set(clients.answers) <= {"200", "503 draining", "refused", "cut off"}, dict(clients.answers)
        finished = [event["code"] for event in app.events("call.finished")]
        assert set(finished) <= {"ok", "draining"}
        assert clients.answers["200"] == finished.count("ok")
        assert app.events("daemon.stopped")[0]["abandoned"] == 0


def test_a_request_on_an_open_connection_while_draining_is_told(folder, gate):
    with running(folder) as app, Connection(app.url) as connection:
        connection.send(request("/hold", gate.input) + request("/pid", {}))
        gate.reached()
        app.process.send_signal(signal.SIGTERM)
        eventually(lambda: app.events("daemon.stopping"))
        gate.open()
        assert connection.answer().status == 200
        with contextlib.suppress(Ended):
            answer = connection.answer()
            assert (answer.code, answer.headers["connection"]) == ("draining", "close")
        assert app.process.wait(20) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_forces_the_end(folder, gate, number):
    with running(folder, code=None) as app, Connection(app.url) as connection:
        connection.send(request("/hold", gate.input))
        gate.reached()
        tree = descendants(app.process.pid)
        app.process.send_signal(number)
        eventually(lambda: app.events("daemon.stopping"))
        app.process.send_signal(number)
        assert app.process.wait(5) == 130
        eventually(lambda: not any(alive(pid) for pid in tree), 3)
        with contextlib.suppress(Ended):
            assert connection.answer().code == "draining"
        assert connection.ended(5)


def test_drain_timeout_bounds_the_end(folder, gate):
    overlay = {"server": {"drain_timeout": "500ms"}}
    with running(folder, overlay=overlay) as app, Connection(app.url) as connection:
        connection.send(request("/hold", gate.input))
        gate.reached()
        started = time.monotonic()
        app.process.send_signal(signal.SIGTERM)
        assert app.process.wait(30) == 0
        assert 0.4 < time.monotonic() - started < 20
        assert connection.answer().code == "draining"
        assert connection.ended(5)
        assert app.events("daemon.stopped")[0]["abandoned"] == 1


def test_ctrl_c_in_a_terminal_drains(folder, gate):
    """The signal goes to the whole foreground group; only the daemon acts upon it."""
    with running(folder) as app, Connection(app.url) as connection:
        connection.send(request("/hold", gate.input))
        gate.reached()
        for pid in [app.process.pid, *app.pids("gateway"), *app.pids()]:
            os.kill(pid, signal.SIGINT)
        eventually(lambda: app.events("daemon.stopping"))
        gate.open()
        assert connection.answer().status == 200
        assert app.process.wait(20) == 0


def test_workers_that_die_at_the_same_time_as_the_stop_comes(folder):
    """All that happens while the daemon does not look is seen by it in one turn."""
    with running(folder) as app:
        workers = app.pids()
        app.process.send_signal(signal.SIGSTOP)
        for pid in workers:
            os.kill(pid, signal.SIGKILL)
        eventually(lambda: not any(alive(pid) for pid in workers))
        app.process.send_signal(signal.SIGTERM)
        app.process.send_signal(signal.SIGCONT)
        assert app.process.wait(20) == 0
        assert "Traceback" not in app.text()


def test_a_gateway_that_dies_at_the_same_time_as_the_stop_comes(folder):
    with running(folder) as app:
        [gateway] = app.pids("gateway")
        app.process.send_signal(signal.SIGSTOP)
        os.kill(gateway, signal.SIGKILL)
        eventually(lambda: not alive(gateway))
        app.process.send_signal(signal.SIGTERM)
        app.process.send_signal(signal.SIGCONT)
        assert app.process.wait(20) == 0
        assert "Traceback" not in app.text()


def test_a_stopped_gateway_does_not_keep_the_daemon(folder):
    overlay = {"server": {"drain_timeout": "300ms"}}
    with running(folder, overlay=overlay) as app:
        [gateway] = app.pids("gateway")
        os.kill(gateway, signal.SIGSTOP)
        status = app.status()  # answers without it
        assert status["gateways"][0]["pid"] == gateway
        app.process.send_signal(signal.SIGTERM)
        assert app.process.wait(20) == 0
        assert not alive(gateway)


def test_a_parent_that_ends_leaves_the_daemon_running(folder, tmp_path):
    """As with `nohup bentod up &`: only signals and `down` end a daemon."""
    code = (
        "import os, subprocess, sys\np = subprocess.Popen(sys.argv[1:], stdin=-3, stdout=-3, stderr=-3)\nprint(p.pid)\n"
    )
    with running(folder, ready=False, code=None) as app:
        app.process.kill()
        app.process.wait()
        command = [sys.executable, "-c", code, sys.executable, "-P", "-m", "bentod", "up", *app.spec]
        done = subprocess.run(command, env=app.environ, capture_output=True, text=True, check=True)
        pid = int(done.stdout)
        try:
            eventually(lambda: app.cli("status", "--json").returncode == 0)
            assert app.cli("down").returncode == 0
            eventually(lambda: not alive(pid), 5)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
