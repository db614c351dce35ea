"""Workers that die, hang, are stopped, or say that they cannot serve."""

import contextlib
import os
import random
import signal

import pytest

from tests.support.daemon import alive, eventually, running
from tests.support.http import Connection, request
from tests.support.load import load
from tests.support.project import Gate, api, project

pytestmark = pytest.mark.e2e
QUICK = {"delay": "20ms", "max_delay": "100ms", "limit": 1000}


def mortal(folder, apis=None, **service):
    return project(
        folder,
        "mortal",
        "answers",
        services={"s": {"target": "mortal.py", "restart": QUICK, **service}, "other": {"target": "answers.py"}},
        apis={
            "pid": api("s", "pid"),
            "work": api("s", "work", "seconds"),
            "die": api("s", "die", "how"),
            "die_once": api("s", "die", "how", retry=False),
            "same": {"service": "other"},
            **(apis or {}),
        },
    )


def waiting(folder, apis=None, **service):
    return project(
        folder,
        "waiting",
        services={"s": {"target": "waiting.py", "restart": QUICK, **service}},
        apis={
            "hold": api("s", "hold", "gate"),
            "hold_async": api("s", "hold_async", "gate"),
            "block": api("s", "block", "gate"),
            "pid": api("s", "pid"),
            **(apis or {}),
        },
    )


def all_ready(app, service="s"):
    """The process ids of a service's workers, once every one is ready."""

    def look():
        found = app.service(service)
        return found["ready"] == found["wanted"] and found["workers"]

    return {worker["pid"] for worker in eventually(look, 30, "every worker is ready")}


def test_no_request_fails_while_workers_are_killed(tmp_path):
    """benchmarks/kills.py does the same for longer."""
    with running(mortal(tmp_path, workers=2)) as app, load(app.url, "/work", {"seconds": 0.003}) as clients:
        for _ in range(8):
            clients.more(30)
            victim = random.choice(sorted(all_ready(app)))
            os.kill(victim, signal.SIGKILL)
            eventually(lambda victim=victim: victim not in all_ready(app))
        clients.more(30)
    assert set(clients.answers) == {"200"}, dict(clients.answers)


def test_with_one_worker_calls_wait_for_its_successor(tmp_path):
    with running(mortal(tmp_path)) as app, load(app.url, "/pid", {}, clients=4) as clients:
        for _ in range(3):
            clients.more(30)
            [victim] = all_ready(app)
            os.kill(victim, signal.SIGKILL)
            eventually(lambda victim=victim: victim not in all_ready(app))
        clients.more(30)
    assert set(clients.answers) == {"200"}, dict(clients.answers)


@pytest.mark.parametrize("how", ["signal", "crash", "0", "3"])
def test_a_call_that_kills_its_workers_is_run_twice_at_most(tmp_path, how):
    with running(mortal(tmp_path, workers=3)) as app:
        pids = all_ready(app)
        status, _, body = app.post("/die", {"how": how})
        assert (status, body["code"]) == (503, "worker-lost")
        all_ready(app)
        assert len(app.events("worker.lost", service="s")) == 2
        assert len(pids & all_ready(app)) == 1
        assert app.post("/pid", {})[0] == app.post("/same", 1)[0] == 200


def test_without_retry_the_call_is_lost_at_once(tmp_path):
    with running(mortal(tmp_path, workers=2)) as app:
        status, _, body = app.post("/die_once", {"how": "signal"})
        assert (status, body["code"]) == (503, "worker-lost")
        all_ready(app)
        [event] = app.events("worker.lost", service="s")
        assert "SIGKILL" in event["reason"]


def test_one_deadly_call_takes_only_those_beside_it_once(tmp_path):
    """A neighbour in the same worker loses it too, and is run again."""
    gate = Gate(tmp_path / "gate")
    folder = waiting(tmp_path / "p", threads=4)
    with running(folder) as app, contextlib.ExitStack() as stack:
        connections = [stack.enter_context(Connection(app.url)) for _ in range(4)]
        for connection in connections:
            connection.send(request("/hold", gate.input))
        gate.reached(4)
        [victim] = all_ready(app)
        os.kill(victim, signal.SIGKILL)
        gate.reached(8)
        gate.open()
        answers = [connection.answer() for connection in connections]
        assert {answer.status for answer in answers} == {200}
        assert {answer.json for answer in answers} == all_ready(app)


def test_status_tells_of_restarts_and_their_reason(tmp_path):
    with running(mortal(tmp_path)) as app:
        app.post("/die_once", {"how": "5"})
        all_ready(app)
        [worker] = app.service("s")["workers"]
        assert worker["restarts"] == 1
        assert "code 5" in app.events("worker.lost")[0]["reason"]
        assert app.service("other")["workers"][0]["restarts"] == 0


def test_restarts_are_spaced_out_and_come_to_an_end(tmp_path):
    """Past `limit` the service has failed, the others go on, and /readyz says why."""
    restart = {"delay": "20ms", "factor": 2, "max_delay": "50ms", "limit": 3}
    with running(mortal(tmp_path, restart=restart)) as app:
        for round_ in range(4):
            eventually(lambda: app.post("/die_once", {"how": "6"})[2]["code"] == "worker-lost", what=f"{round_}")
        eventually(lambda: app.service("s")["state"] == "failed")
        delays = [event["delay_s"] for event in app.events("worker.backing_off")]
        assert len(delays) == 3
        assert all(0.01 <= delay <= 0.05 for delay in delays)
        assert delays[0] <= 0.02
        code, _, body = app.get("/readyz")
        assert (code, body["services"]["s"]["ready"], body["services"]["s"]["wanted"]) == (503, 0, 1)
        assert "code 6" in body["services"]["s"]["reason"]
        assert body["services"]["other"]["ready"] == 1
        code, headers, body = app.post("/pid", {})
        assert (code, body["code"]) == (503, "not-ready")
        assert int(headers["retry-after"]) >= 1
        assert app.post("/same", 1)[0] == app.get("/livez")[0] == 200
        status = app.status()
        assert (status["state"], status["services"]["s"]["state"]) == ("degraded", "failed")
        assert status["services"]["s"]["workers"][0]["pid"] is None
        assert "code 6" in app.cli("status").stdout
        assert len(app.events("worker.failed", service="s")) == 1


def test_a_successor_that_cannot_start_is_tried_again(tmp_path):
    files = {
        "app.py": "import os\n\nif os.path.exists('broken'):\n    raise ValueError('broken-now')\n\n"
        "def pid():\n    return os.getpid()\n"
    }
    services = {"s": {"target": "app.py", "restart": QUICK}}
    folder = project(tmp_path, files=files, services=services, apis={"pid": api("s", "pid")})
    with running(folder) as app:
        (tmp_path / "broken").touch()
        [victim] = all_ready(app)
        os.kill(victim, signal.SIGKILL)
        eventually(lambda: "broken-now" in app.service("s")["reason"])
        eventually(lambda: app.get("/readyz")[0] == 503)
        (tmp_path / "broken").unlink()
        all_ready(app)
        assert app.post("/pid", {})[0] == app.get("/readyz")[0] == 200


@pytest.mark.parametrize("path", ["/hold", "/block"])
def test_a_worker_stuck_beyond_a_deadline_is_replaced(tmp_path, path):
    gate = Gate(tmp_path / "gate")
    more = {"hold": api("s", "hold", "gate", timeout="300ms"), "block": api("s", "block", "gate", timeout="300ms")}
    with running(waiting(tmp_path / "p", more, stop_timeout="300ms", concurrency=1)) as app:
        [stuck] = all_ready(app)
        code, _, body = app.post(path, gate.input)
        assert (code, body["code"]) == (504, "deadline-exceeded")
        assert app.post("/pid", {})[2] != stuck
        eventually(lambda: not alive(stuck))
        [worker] = app.service("s")["workers"]
        assert worker["restarts"] == 1
        assert "stuck" in app.events("worker.lost")[0]["reason"]


@pytest.mark.parametrize("path", ["/hold", "/hold_async"])
def test_a_worker_that_is_stopped_is_replaced(tmp_path, path):
    gate = Gate(tmp_path / "gate")
    gate.open()
    more = {
        "hold": api("s", "hold", "gate", timeout="500ms"),
        "hold_async": api("s", "hold_async", "gate", timeout="500ms"),
    }
    with running(waiting(tmp_path / "p", more, stop_timeout="300ms")) as app:
        [stopped] = all_ready(app)
        os.kill(stopped, signal.SIGSTOP)
        assert app.post(path, gate.input)[2]["code"] == "deadline-exceeded"
        eventually(lambda: not alive(stopped))
        all_ready(app)
        assert app.post(path, gate.input)[0] == 200


def test_the_others_serve_while_one_worker_is_stopped(tmp_path):
    with running(mortal(tmp_path, workers=2)) as app:
        stopped, other = sorted(all_ready(app))
        os.kill(stopped, signal.SIGSTOP)
        with Connection(app.url) as first, Connection(app.url) as second:
            first.send(request("/pid", {}))
            second.send(request("/pid", {}))
            first.socket.settimeout(0.05)
            for _ in range(100):
                assert app.post("/pid", {})[2] in {other, stopped}
            os.kill(stopped, signal.SIGCONT)
            first.socket.settimeout(20)
            assert {first.answer().status, second.answer().status} == {200}


def test_a_worker_stopped_before_down_is_killed(tmp_path):
    with running(mortal(tmp_path, stop_timeout="300ms")) as app:
        [stopped] = all_ready(app)
        os.kill(stopped, signal.SIGSTOP)
        app.process.send_signal(signal.SIGTERM)
        assert app.process.wait(20) == 0
        assert not alive(stopped)


@pytest.fixture
def hooked(tmp_path):
    """A service with hooks, and the folder by which they are steered."""
    (tmp_path / "steer").mkdir()
    folder = project(
        tmp_path / "p",
        "hooked",
        services={
            "s": {
                "target": "hooked.py:Model",
                "init": {"folder": str(tmp_path / "steer")},
                "hooks": {"start": "begin", "stop": "end", "ready": "able"},
                "workers": 2,
            }
        },
        apis={"pid": api("s", "pid")},
    )
    return folder, tmp_path / "steer"


def test_hooks_run_at_start_and_stop(hooked):
    folder, steer = hooked
    with running(folder) as app:
        assert (steer / "begun").exists()
        pids = set(app.pids())
        assert not list(steer.glob("ended-*"))
    assert {int(path.name.partition("-")[2]) for path in steer.glob("ended-*")} == pids


def test_a_stop_hook_that_fails_keeps_nothing_from_ending(hooked):
    folder, steer = hooked
    (steer / "end badly").touch()
    with running(folder) as app:
        app.process.send_signal(signal.SIGTERM)
        assert app.process.wait(20) == 0
        assert any("the stop hook failed" in event["line"] for event in app.events("worker.output"))


@pytest.mark.parametrize(("file", "reason"), [("unable", "the ready hook said no"), ("broken", "no device")])
def test_a_worker_that_is_not_able_gets_no_calls(hooked, file, reason):
    folder, steer = hooked
    with running(folder) as app:
        pids = all_ready(app)
        (steer / file).touch()
        eventually(lambda: app.service("s")["ready"] == 0)
        eventually(lambda: app.get("/readyz")[0] == 503)
        assert reason in app.get("/readyz")[2]["services"]["s"]["reason"]
        assert app.post("/pid", {})[2]["code"] == "not-ready"
        assert {worker["state"] for worker in app.service("s")["workers"]} == {"unready"}
        (steer / file).unlink()
        assert all_ready(app) == pids  # the same processes
        eventually(lambda: app.post("/pid", {})[0] == 200)


def test_a_worker_that_is_not_able_at_first_holds_the_start(hooked):
    folder, steer = hooked
    (steer / "unable").touch()
    with running(folder, ready=False) as app:
        eventually((steer / "begun").exists)
        assert app.process.poll() is None
        (steer / "unable").unlink()
        eventually(lambda: app.events("generation.ready"))


FORKING = """import os
import time


def pid(n):
    return os.getpid()


def leave(n):
    child = os.fork()
    if child == 0:
        os.setsid()
        time.sleep(60)
        os._exit(0)
    while os.getsid(child) != child:
        time.sleep(0.001)
    return child


def come_back(n):
    if os.fork() == 0:
        raise ValueError("this is the child")
    return os.getpid()
"""


@pytest.mark.beside
@pytest.mark.parametrize("style", ["def", "async def"])
def test_a_worker_that_forks_is_itself_and_its_end_is_seen(tmp_path, style):
    apis = {name: api("s", name, "n") for name in ("pid", "leave", "come_back")}
    code = FORKING.replace("def ", f"{style} ")
    folder = project(tmp_path, files={"m.py": code}, services={"s": {"target": "m.py", "restart": QUICK}}, apis=apis)
    with running(folder) as app:
        pid = app.post("/pid", {"n": 1})[2]
        assert [app.post("/come_back", {"n": 1})[2] for _ in range(5)] == [pid] * 5
        left = app.post("/leave", {"n": 1})[2]
        try:
            os.kill(pid, signal.SIGKILL)
            eventually(lambda: all_ready(app) != {pid})
            assert app.post("/pid", {"n": 1})[2] != pid
            assert alive(left), "it is a process of its own"
        finally:
            os.kill(left, signal.SIGKILL)
