"""The command line against a running daemon: every verb, every exit code."""

import json
import os
import re
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jsonschema
import pytest

from bentod import __version__
from bentod.supervise.state import ServiceState, WorkerState
from tests.support.daemon import alive, eventually, running
from tests.support.project import api, project

pytestmark = [pytest.mark.e2e, pytest.mark.beside]
SCHEMA = json.loads((Path(__file__).parents[2] / "schemas/status.schema.json").read_text())


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    """A daemon in the foreground, with a secret that must not be told."""
    folder = project(
        tmp_path_factory.mktemp("cli"),
        "answers",
        "chatty",
        files={".env": "TOKEN=secret-of-the-env-file\n"},
        version="1.2.3",
        env_files=[".env"],
        env={"TOKEN": "${TOKEN}", "OTHER": "secret-of-the-env"},
        services={"answers": {"target": "answers.py"}, "chatty": {"target": "chatty.py"}},
        apis={
            "greet": {
                **api("answers", "greet", "name"),
                "examples": [{"name": "Ada", "input": {"name": "Ada"}}],
            },
            "same": {"service": "answers", "method": "same"},
            "say": api("chatty", "say", "text", "stream"),
        },
    )
    with running(folder, env={"UNRELATED_SECRET": "secret-of-the-shell"}) as app:
        yield app


def validate(status):
    jsonschema.Draft202012Validator(SCHEMA).validate(status)


def test_the_schema_of_status_is_a_schema():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_the_schema_of_status_knows_every_state():
    assert set(SCHEMA["$defs"]["worker"]["properties"]["state"]["enum"]) == {state.value for state in WorkerState}
    assert set(SCHEMA["$defs"]["service"]["properties"]["state"]["enum"]) == {state.value for state in ServiceState}


def test_status_json_is_as_its_schema_says(app):
    app.post("/greet", {"name": "Ada"})
    status = app.status()
    validate(status)
    assert (status["name"], status["version"], status["generation"], status["state"]) == ("e2e", "1.2.3", 1, "ready")
    assert status["daemon"]["pid"] == app.process.pid
    assert {status["services"][name]["workers"][0]["pid"] for name in ("answers", "chatty")} == set(app.pids())
    assert status["apis"]["greet"]["calls"]["ok"] >= 1
    with pytest.raises(jsonschema.ValidationError):
        validate({**status, "more": 1})


def test_status_for_people_names_all(app):
    text = app.cli("status").stdout
    for word in ("e2e 1.2.3", "ready", app.url, "answers", "chatty", "/greet", str(app.process.pid), "MiB"):
        assert word in text


def test_the_memory_of_each_process_is_told(app):
    status = app.control()
    for one in [status["daemon"], *status["gateways"], *status["services"]["answers"]["workers"]]:
        assert 1_000_000 < one["memory"] < 1_000_000_000


def test_the_control_socket_is_private(app):
    [path] = app.run.glob("*/control.sock")
    assert path.stat().st_mode & 0o077 == 0
    assert path.parent.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("words", "stdin", "answer"),
    [
        (["greet", '{"name": "Bob"}'], None, '"Hello, Bob!"\n'),
        (["greet", "-"], '{"name": "Eve"}', '"Hello, Eve!"\n'),
        (["greet"], None, '"Hello, Ada!"\n'),
        (["same", '{"a": ["\u00e9", null]}'], None, '{\n  "a": [\n    "\u00e9",\n    null\n  ]\n}\n'),
    ],
)
def test_call(app, words, stdin, answer):
    done = app.cli("call", *words, input=stdin)
    assert (done.returncode, done.stdout, done.stderr) == (0, answer, "")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["greet", "{}"], 4, "invalid-input"),
        (["greet", "{"], 2, "no JSON"),
        (["nothing", "{}"], 2, "greet"),
        (["same"], 2, "example"),
    ],
)
def test_call_that_fails(app, words, code, said):
    done = app.cli("call", *words)
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr


def test_a_second_up_is_refused(app):
    for words in ([], ["-d"]):
        done = app.cli("up", *words)
        assert done.returncode == 3
        assert "already runs" in done.stderr
        assert "Traceback" not in done.stderr
    assert app.post("/greet", {"name": "Ada"})[0] == 200


def test_logs(app):
    for n in range(5):
        app.post("/say", {"text": f"log-{n}", "stream": "stdout"})
    eventually(lambda: "log-4" in app.cli("logs").stdout)
    lines = app.cli("logs", "chatty").stdout.splitlines()
    assert lines
    assert all("chatty/0" in line for line in lines)
    assert len(app.cli("logs", "-n", "2").stdout.splitlines()) == 2
    assert app.cli("logs", "-n", "0").stdout == ""
    events = [json.loads(line) for line in app.cli("logs", "--json").stdout.splitlines()]
    assert {"daemon.started", "generation.ready", "worker.output"} <= {event["event"] for event in events}
    assert [event["time"] for event in events] == sorted(event["time"] for event in events)


def test_logs_of_an_unknown_service(app):
    done = app.cli("logs", "nobody")
    assert done.returncode == 2
    assert "chatty" in done.stderr


def test_logs_follow(app):
    command = [sys.executable, "-P", "-m", "bentod", "logs", *app.spec, "--follow", "-n", "0", "chatty"]
    with subprocess.Popen(command, env=app.environ, stdout=subprocess.PIPE) as follower:
        os.set_blocking(follower.stdout.fileno(), False)
        seen = b""

        def found():
            nonlocal seen
            app.post("/say", {"text": "followed", "stream": "stdout"})  # it may not follow yet
            seen += follower.stdout.read() or b""
            return b"followed" in seen

        try:
            eventually(found)
        finally:
            follower.send_signal(signal.SIGINT)
        assert follower.wait(10) == 130


def test_no_secret_is_told(app):
    headers = {"authorization": "Bearer secret-of-a-header", "cookie": "secret-of-a-cookie"}
    app.post("/greet?token=secret-of-the-query", {"name": "secret-of-the-body"}, headers)
    app.post("/greet", {"nam": "secret-of-the-body"}, headers)
    eventually(lambda: len(app.events("call.finished", api="greet", code="invalid-input")) >= 1)
    shown = app.text() + app.cli("logs").stdout + app.cli("status").stdout + app.cli("status", "--json").stdout
    kept = {path: path.read_text("utf-8", "replace") for path in app.state.rglob("*") if path.is_file()}
    records = "".join(text for path, text in kept.items() if path.parent.name == "history")
    shown += "".join(text for path, text in kept.items() if path.parent.name != "history")
    shown += re.sub("secret-of-the-env(?!-file)", "", records)  # the spec itself spells that one out
    assert "greet" in shown
    assert "secret-of" not in shown


def test_output_that_nobody_reads_is_no_failure(app):
    for verb in ("status", "logs", "config", "schema", "--help"):
        words = app.spec if verb in {"status", "logs", "config"} else []
        line = f'{sys.executable} -P -m bentod {verb} "$@" | head -c 1; exit ${{PIPESTATUS[0]}}'
        done = subprocess.run(
            ["bash", "-c", line, "x", *words], env=app.environ, capture_output=True, text=True, timeout=60
        )
        assert (done.returncode, done.stderr) == (0, ""), verb


# ── what needs a daemon of its own, or none ─────────────────────────────────────────────────────


@pytest.fixture
def folder(tmp_path):
    return project(
        tmp_path / "p",
        "answers",
        "starting",
        services={
            "s": {"target": "answers.py"},
            "m": {"target": "starting.py:Model", "hooks": {"start": "begin"}, "start_timeout": "60s"},
        },
        apis={"same": {"service": "s"}, "run": api("m", "run")},
        server={"listen": "127.0.0.1:0"},
    )


@pytest.fixture
def bentod(folder, short_folder):
    """Runs the command line in the project's folder; a daemon that is left is an error."""
    environ = {**os.environ, "BENTOD_RUN": str(short_folder / "r"), "BENTOD_STATE": str(short_folder / "s")}
    pids = set()

    def run(*words, **more):
        command = [sys.executable, "-P", "-m", "bentod", *words]
        done = subprocess.run(command, cwd=folder, env={**environ, **more}, capture_output=True, text=True, timeout=100)
        pids.update(int(pid) for pid in re.findall(r"\(pid (\d+)\)", done.stdout))
        assert "Traceback" not in done.stderr or "starting.py" in done.stderr
        return done

    yield run
    if pids:
        run("down")
    left = [pid for pid in pids if alive(pid)]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert not left


def test_up_detached_and_waited_for(bentod):
    done = bentod("up", "--wait")
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"e2e is ready at http://127.0.0.1:\d+ \(pid \d+\)\n", done.stdout)
    assert json.loads(bentod("call", "same", "[1]").stdout) == [1]
    down = bentod("down")
    assert (down.returncode, down.stdout) == (0, "e2e is down\n")
    down = bentod("down")
    assert down.returncode == 0
    assert "no daemon" in down.stderr


def test_of_several_that_are_started_at_once_one_runs_and_the_others_say_so(bentod):
    with ThreadPoolExecutor() as pool:
        ended = list(pool.map(lambda _: bentod("up", "-d"), range(4)))
    assert sorted(one.returncode for one in ended) == [0, 3, 3, 3]
    assert all("a daemon already runs this spec" in one.stderr for one in ended if one.returncode)
    [said] = [one.stdout for one in ended if not one.returncode]
    assert f"(pid {json.loads(bentod('status', '--json').stdout)['daemon']['pid']})" in said


def test_up_detached_returns_before_it_is_ready(bentod):
    done = bentod("up", "-d", HOW="hook hangs")
    assert done.returncode == 0
    assert "e2e is starting" in done.stdout
    status = json.loads(bentod("status", "--json").stdout)
    validate(status)
    assert status["state"] == "starting"


@pytest.mark.parametrize("how", ["hook raises", "import raises"])
def test_up_that_is_waited_for_says_why_it_failed(bentod, how):
    done = bentod("up", "--wait", HOW=how)
    assert (done.returncode, done.stdout) == (4, "")
    assert "went-wrong" in done.stderr
    assert 'starting.py", line' in done.stderr
    assert done.stderr.count("Traceback") == 1
    assert bentod("status").returncode == 3
    assert "went-wrong" in bentod("logs").stdout


def test_up_after_up_that_failed(bentod):
    assert bentod("up", "--wait", HOW="import raises").returncode == 4
    assert bentod("up", "--wait").returncode == 0


def test_up_detached_takes_files_and_the_folder(bentod, folder, tmp_path):
    (tmp_path / "over.yaml").write_text("name: other\n")
    relative = os.path.relpath(tmp_path / "over.yaml", folder)
    assert bentod("up", "--wait", "-f", "bentofile.yaml", "-f", relative).returncode == 0
    assert "other is down" in bentod("down", "-f", "bentofile.yaml", "-f", relative).stdout


def test_a_run_folder_left_by_a_killed_daemon_is_cleaned(bentod, short_folder):
    pid = int(re.search(r"pid (\d+)", bentod("up", "--wait").stdout)[1])
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: not alive(pid))
    assert list(short_folder.rglob("control.sock"))
    done = bentod("status")
    assert done.returncode == 3
    assert "bentod up" in done.stderr
    assert bentod("up", "--wait").returncode == 0
    assert bentod("down").returncode == 0
    assert not [path for path in short_folder.rglob("*") if path.is_socket()]


def test_two_specs_side_by_side(bentod, folder):
    (folder / "b.yaml").write_text((folder / "bentofile.yaml").read_text())
    assert bentod("up", "--wait").returncode == bentod("up", "--wait", "-f", "b.yaml").returncode == 0
    first, second = (json.loads(bentod("status", "--json", *more).stdout) for more in ([], ["-f", "b.yaml"]))
    assert first["url"] != second["url"]
    assert first["daemon"]["pid"] != second["daemon"]["pid"]
    assert bentod("down", "-f", "b.yaml").returncode == 0
    assert bentod("status").returncode == 0


def test_without_a_daemon(bentod):
    for words in (["status", "--json"], ["call", "same", "1"]):
        done = bentod(*words)
        assert (done.returncode, done.stdout) == (3, "")
        assert "bentod up" in done.stderr
    assert bentod("logs").returncode == 0


def test_without_a_spec(bentod, folder):
    (folder / "bentofile.yaml").rename(folder / "other")
    for verb in ("up", "status", "validate"):
        assert bentod(verb).returncode == 2
    (folder / "other").rename(folder / "bentofile.yaml")


def test_a_broken_spec_starts_nothing(bentod, folder):
    (folder / "b.yaml").write_text("bentod: 1\nname: b\nserivces: {}\n")
    for words in (["up"], ["up", "-d"]):
        done = bentod(*words, "-f", "b.yaml")
        assert done.returncode == 2
        assert "serivces" in done.stderr
        assert "b.yaml" in done.stderr


def test_version(bentod):
    assert bentod("--version").stdout == f"bentod {__version__}\n"


def test_unknown_words(bentod):
    assert bentod("nonsense").returncode == 2
    assert bentod("up", "--nonsense").returncode == 2
    none = bentod()
    assert none.returncode == 2
    assert "up" in none.stdout + none.stderr


def test_wrong_settings_are_told_together(bentod):
    done = bentod("status", BENTOD_LOG_FORMAT="xml", BENTOD_ACCESS_LOG="maybe")
    assert done.returncode == 3
    assert "BENTOD_LOG_FORMAT" in done.stderr
    assert "BENTOD_ACCESS_LOG" in done.stderr


def test_an_empty_setting_is_none(bentod):
    assert bentod("logs", BENTOD_LOG_FORMAT="", BENTOD_ACCESS_LOG="").returncode == 0


@pytest.mark.parametrize("form", ["text", "json"])
def test_the_form_of_the_log(folder, form):
    with running(folder, env={"BENTOD_LOG_FORMAT": form}) as app:
        app.post("/same", 1)
        eventually(lambda: "/same" in app.text() or "call.finished" in app.text())
        lines = app.text().splitlines()
    if form == "text":
        assert all(re.match(r"\d\d:\d\d:\d\d  ", line) for line in lines), lines
        assert any("200  POST /same" in line for line in lines)
        assert "\x1b" not in "".join(lines)
    else:
        assert {"daemon.started", "call.finished"} <= {json.loads(line)["event"] for line in lines}
        assert all({"time", "level", "event"} <= json.loads(line).keys() for line in lines)


def test_the_access_log_can_be_off(folder):
    with running(folder, env={"BENTOD_ACCESS_LOG": "false"}) as app:
        assert app.post("/same", 1)[0] == app.post("/same", 2)[0] == 200
        assert app.cli("down").returncode == 0
        app.process.wait(20)
        assert not app.events("call.finished")
        assert app.events("daemon.stopped")


def test_log_level(folder):
    with running(folder, env={"BENTOD_LOG_LEVEL": "warning"}) as app:
        assert not app.events("daemon.started")
