"""Starts that fail, with what the user must know, and odd targets that start all the same."""

import contextlib
import os
import signal
import sys
from pathlib import Path

import pytest

from tests.support.daemon import alive, eventually, running
from tests.support.project import api, project

pytestmark = [pytest.mark.e2e, pytest.mark.beside]
HANGS = {"import hangs", "import hangs with the interpreter locked", "constructor hangs", "hook hangs"}


def starting(folder, **service):
    return project(
        folder,
        "starting",
        services={"model": {"target": "starting.py:Model", "hooks": {"start": "begin"}, **service}},
        apis={"run": api("model", "run")},
    )


@pytest.mark.parametrize(
    ("how", "reason", "traceback"),
    [
        ("import error", "import: ModuleNotFoundError", "import no_such_module_at_all"),
        ("import raises", "import: ValueError: import-went-wrong", 'raise ValueError("import-went-wrong")'),
        ("import exits", "import: SystemExit: import-says-bye", "sys.exit"),
        ("import ends the process", "exited with code 7", ""),
        ("import hangs", "start_timeout", ""),
        ("import hangs with the interpreter locked", "start_timeout", ""),
        ("import leaves a child", "import-went-wrong", ""),
        ("constructor raises", "construct: ValueError: constructor-went-wrong", "in __init__"),
        ("constructor exits", "construct: SystemExit: 3", "in __init__"),
        ("constructor hangs", "start_timeout", ""),
        ("hook raises", "start hook: ValueError: hook-went-wrong", "in begin"),
        ("hook hangs", "start_timeout", ""),
        ("no method", "no method 'run'", ""),
    ],
)
def test_a_start_that_fails_exits_4_with_the_users_traceback(tmp_path, how, reason, traceback):
    folder = starting(tmp_path, workers=2, start_timeout="1s" if how in HANGS else "60s")
    with running(folder, env={"HOW": how}, ready=False, code=None) as app:
        assert app.process.wait(60) == 4
        text = app.text()
        assert reason in text
        assert traceback in text.replace('\\"', '"')
        assert "model" in text
        assert "bentod/worker" not in text
        started = app.events("worker.started")
        assert len(started) == 2  # one for each worker: none was tried again
        for event in started:
            eventually(lambda: not alive(event["pid"]), 5)  # noqa: B023 - called within the turn
        eventually(lambda: not sockets(app), 5)
        if how == "import leaves a child":
            eventually(lambda: not processes("time.sleep(600)", tmp_path), 5)


def sockets(app):
    return [path for path in app.run.rglob("*") if path.is_socket()]


def processes(word, folder):
    """Processes in this folder whose command line has this word."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (entry / "cwd").readlink() == folder and word.encode() in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
    return found


def test_one_bad_service_stops_the_start_of_all(tmp_path):
    folder = project(
        tmp_path,
        "starting",
        "answers",
        services={
            "good": {"target": "answers.py"},
            "bad": {"target": "starting.py:Model", "env": {"HOW": "import raises"}},
        },
        apis={"same": {"service": "good", "method": "same"}, "run": api("bad", "run")},
    )
    with running(folder, ready=False, code=None) as app:
        assert app.process.wait(60) == 4
        assert "bad" in app.text()
        assert not app.events("generation.ready")


def test_a_signal_while_it_starts_ends_it(tmp_path):
    with running(starting(tmp_path), env={"HOW": "import hangs"}, ready=False) as app:
        eventually(lambda: app.events("worker.started"))
        eventually(lambda: (app.run.exists() and sockets(app)) or app.process.poll() is not None)
        app.process.send_signal(signal.SIGTERM)
        assert app.process.wait(20) == 0


def test_status_while_it_starts_says_so(tmp_path):
    with running(starting(tmp_path), env={"HOW": "import hangs"}, ready=False) as app:
        eventually(lambda: sockets(app))
        status = app.status()
        assert status["state"] == "starting"
        assert status["services"]["model"]["state"] == "starting"
        assert status["services"]["model"]["workers"][0]["state"] == "starting"
        status, _, body = app.get("/readyz")
        assert (status, body["services"]["model"]["ready"]) == (503, 0)
        assert app.get("/livez")[0] == 200
        status, headers, body = app.post("/run", {})
        assert (status, body["code"]) == (503, "not-ready")
        assert headers["retry-after"]


def test_threads_that_the_target_left_do_not_hold_it(tmp_path):
    with running(starting(tmp_path), env={"HOW": "hook leaves threads"}) as app:
        assert app.post("/run", {})[0] == 200
        assert app.cli("down").returncode == 0
        assert app.process.wait(10) == 0


@pytest.mark.parametrize("stream", ["stdout", "stderr", "descriptor", "child", "thread"])
def test_what_a_worker_prints_is_kept_with_its_worker(chatty, stream):
    chatty.post("/say", {"text": f"words-{stream}", "stream": stream})

    def found():
        return [e for e in chatty.events("worker.output", service="chatty") if e["line"] == f"words-{stream}"]

    [event] = eventually(found)
    assert (event["worker"], event["stream"]) == (0, "stderr" if stream == "stderr" else "stdout")


@pytest.fixture(scope="module")
def chatty(tmp_path_factory):
    folder = project(
        tmp_path_factory.mktemp("chatty"),
        "chatty",
        services={"chatty": {"target": "chatty.py"}},
        apis={"say": api("chatty", "say", "text", "stream")},
    )
    with running(folder) as app:
        yield app


def test_what_an_import_prints_is_kept(chatty):
    assert [e for e in chatty.events("worker.output") if e["line"] == "hello from the import"]


def test_odd_output_harms_nothing(chatty):
    chatty.post("/say", {"text": "", "stream": "bytes"})
    chatty.post("/say", {"text": "0123456789", "stream": "much"})
    chatty.post("/say", {"text": "the end of no line", "stream": "open"})
    chatty.post("/say", {"text": "-a-line", "stream": "stdout"})

    def lines():
        return [event["line"] for event in chatty.events("worker.output")]

    eventually(lambda: "the end of no line-a-line" in lines())
    assert "\ufffd\0 raw" in lines()
    assert sum(line.count("0123456789") for line in lines() if len(line) > 1000) > 19_000


@pytest.mark.parametrize("way", ["down", "kill of the worker", "kill of the daemon"])
def test_what_a_worker_started_goes_with_it(tmp_path, way):
    folder = project(
        tmp_path,
        "mortal",
        services={"s": {"target": "mortal.py"}},
        apis={"start": api("s", "start_a_child"), "pid": api("s", "pid")},
    )
    with running(folder, code=None) as app:
        child = app.post("/start", {})[2]
        assert alive(child)
        if way == "down":
            assert app.cli("down").returncode == 0
        elif way == "kill of the worker":
            os.kill(app.post("/pid", {})[2], signal.SIGKILL)
        else:
            app.process.kill()
        eventually(lambda: not alive(child), 5)


SHADOWS = ["json", "select", "socket", "typing", "string", "orjson", "msgpack", "uvloop", "site", "sitecustomize"]


def test_a_project_may_shadow_modules(tmp_path):
    """Only the target's own imports find the project's files; what bentod imports is its own."""
    files = {f"{name}.py": "MINE = True\n" for name in SHADOWS}
    files |= {"bentod/__init__.py": "MINE = True\n", "bentod/wire.py": "raise RuntimeError('the wrong bentod')\n"}
    files["app.py"] = "import string\n\nasync def mine():\n    return string.__file__\n"
    folder = project(tmp_path, files=files, services={"s": {"target": "app.py"}}, apis={"mine": api("s", "mine")})
    with running(folder, cwd=folder) as app:
        assert app.post("/mine", {})[0] == 200
        assert app.cli("status", cwd=folder).returncode == 0


@pytest.mark.parametrize("name", ["with spaces, größe, 数据", "it's $HOME; rm -rf", "deep/" * 30 + "x" * 200])
def test_a_project_may_lie_anywhere(tmp_path, name):
    folder = project(
        tmp_path / name, "answers", services={"s": {"target": "answers.py"}}, apis={"same": {"service": "s"}}
    )
    with running(folder) as app:
        assert app.post("/same", [1])[2] == [1]
        assert app.status()["state"] == "ready"


def test_a_run_folder_that_is_too_deep_is_refused(tmp_path):
    folder = project(tmp_path, "answers", services={"s": {"target": "answers.py"}}, apis={"same": {"service": "s"}})
    with running(folder, run=str(tmp_path / ("x" * 90)), ready=False, code=None) as app:
        assert app.process.wait(30) == 3
        assert "BENTOD_RUN" in app.text()
        assert "Traceback" not in app.text()


def test_a_project_that_cannot_be_written_is_served(tmp_path):
    folder = project(
        tmp_path / "p", "answers", services={"s": {"target": "answers.py"}}, apis={"same": {"service": "s"}}
    )
    folder.chmod(0o555)
    try:
        with running(folder) as app:
            assert app.post("/same", [1])[2] == [1]
    finally:
        folder.chmod(0o755)
    assert {path.name for path in folder.iterdir()} <= {"answers.py", "bentofile.yaml", "__pycache__"}


@pytest.mark.skipif(os.getuid() == 0, reason="root can write everywhere")
def test_a_state_folder_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "ro").mkdir(mode=0o555)
    folder = project(
        tmp_path / "p", "answers", services={"s": {"target": "answers.py"}}, apis={"same": {"service": "s"}}
    )
    with running(folder, state=str(tmp_path / "ro" / "s"), ready=False, code=None) as app:
        assert app.process.wait(30) == 3
        assert "BENTOD_STATE" in app.text()


KINDS = {
    "pkg/__init__.py": "",
    "pkg/tools.py": "NAME = 'tools'\n",
    "pkg/models.py": """
from pkg import tools

class Model:
    @classmethod
    def make(cls):
        return tools.NAME

    @staticmethod
    def plain():
        return 'static'
""",
    "src/helper.py": "NAME = 'helper'\n",
    "src/run.py": """
import helper

async def later():
    return helper.NAME

def now():
    return 'now'
""",
    "part.py": """
import functools

def add(a, b):
    return a + b

add_one = functools.partial(add, b=1)

class Adder:
    def __call__(self, a):
        return a + 2

add_two = Adder()
""",
}
NOTHING = {"type": "object", "properties": {}}
A_AND_B = {"type": "object", "properties": {"a": True, "b": True}, "required": ["a", "b"]}


@pytest.fixture(scope="module")
def kinds(tmp_path_factory):
    """Targets of every kind."""
    folder = project(
        tmp_path_factory.mktemp("kinds"),
        files=KINDS,
        services={"c": {"target": "pkg.models:Model"}, "f": {"target": "src/run.py"}, "p": {"target": "part"}},
        apis={
            **{name: api("c", name) for name in ("make", "plain")},
            **{name: api("f", name) for name in ("later", "now")},
            **{name: api("p", name, "a") for name in ("add_one", "add_two")},
            "direct": {"target": "pkg.models:Model.plain", "input": NOTHING},
            "function": {"target": "part:add", "input": A_AND_B},
        },
    )
    with running(folder) as app:
        yield app


@pytest.mark.parametrize(
    ("name", "value", "answer"),
    [
        ("make", {}, "tools"),
        ("plain", {}, "static"),
        ("later", {}, "helper"),
        ("now", {}, "now"),
        ("add_one", {"a": 1}, 2),
        ("add_two", {"a": 1}, 3),
        ("direct", {}, "static"),
        ("function", {"a": 1, "b": 2}, 3),
    ],
)
def test_a_target_of_every_kind_is_called(kinds, name, value, answer):
    assert kinds.post(f"/{name}", value)[2] == answer


def test_init_and_environment_reach_the_target(tmp_path):
    files = {
        "app.py": "import os\n\nclass Model:\n    def __init__(self, **given):\n        self.given = given\n\n"
        "    def look(self):\n        return [self.given, dict(os.environ), os.getcwd()]\n"
    }
    folder = project(
        tmp_path,
        files=files,
        env={"BOTH": "top", "TOP": "${OUTER}-x"},
        services={
            "s": {
                "target": "app.py:Model",
                "init": {"index": "${worker.index}", "nested": {"n": 1, "list": [1.5, None, True]}},
                "env": {"BOTH": "service", "INDEX": "${worker.index}", "DIR": "${spec.dir}"},
            }
        },
        apis={"look": api("s", "look")},
    )
    with running(folder, env={"OUTER": "outer"}) as app:
        given, environ, cwd = app.post("/look", {})[2]
    assert given == {"index": "0", "nested": {"n": 1, "list": [1.5, None, True]}}
    assert (
        environ.items()
        >= {"BOTH": "service", "TOP": "outer-x", "INDEX": "0", "DIR": str(folder), "BENTOD_SERVICE": "s"}.items()
    )
    assert cwd == str(folder)
    assert "PATH" in environ or sys.platform != "linux"
