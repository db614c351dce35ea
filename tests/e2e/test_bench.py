"""`bentod bench` against a running daemon: calls, files, streams, refusals, and a daemon that is killed meanwhile."""

import base64
import json
import signal
import subprocess
import sys

import pytest

from tests.support.daemon import eventually, running
from tests.support.project import project

pytestmark = pytest.mark.e2e

TARGETS = """
import time


def double(n):
    return 2 * n


def count(words):
    for word in words:
        yield word


def weigh(file, unit):
    return f"{file.stat().st_size} {unit}"


def lengths(calls):
    doze(0.02)
    return [len(call["text"]) for call in calls]


def doze(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass
"""
WEIGH = {
    "type": "object",
    "properties": {"file": {"type": "string", "format": "file"}, "unit": {"type": "string"}},
    "required": ["file", "unit"],
}
QUICK = ["--duration", "1s", "--warm-up", "100ms", "--json"]


def object_of(name):
    return {"type": "object", "properties": {name: True}, "required": [name]}


def example(**value):
    return {"name": "one", "input": value}


def made(folder):
    numbers = [{"name": str(n), "input": {"n": n}, "output": 2 * n} for n in range(3)]
    words = [example(words=["a", "b", "c"])]
    weighed = [example(file=base64.b64encode(bytes(1000)).decode(), unit="bytes")]
    apis = {
        "double": {"service": "s", "input": object_of("n"), "examples": numbers},
        "count": {"service": "s", "input": object_of("words"), "stream": "sse", "examples": words},
        "weigh": {"service": "s", "input": WEIGH, "examples": weighed},
        "doze": {"service": "s", "input": object_of("seconds"), "queue": 2, "examples": [example(seconds=0.05)]},
        "lengths": {
            "service": "s", "takes": "items", "batching": {"max_size": 4}, "input": object_of("text"),
            "examples": [example(text="abc")],
        },
        "bare": {"service": "s", "method": "double", "input": object_of("n")},
    }  # fmt: skip
    return project(folder, files={"targets.py": TARGETS}, services={"s": {"target": "targets.py"}}, apis=apis)


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    with running(made(tmp_path_factory.mktemp("bench"))) as app:
        yield app


def found(app, *words):
    done = app.cli("bench", *words, *QUICK)
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)["rows"]


def test_calls(app):
    rows = found(app, "double", "--rate", "20,60")
    assert [(row["intended"], row["answered"], row["failures"]) for row in rows] == [(20, 20, {}), (60, 60, {})]
    for row in rows:
        assert row["queue_s"]["count"] == row["run_s"]["count"] == row["answered"]
        assert row["run_s"]["p50"] <= row["latency_s"]["max"]


def test_files(app):
    for body in ("natural", "json"):
        [row] = found(app, "weigh", "--rate", "20", "--body", body)
        assert row["answered"] == 20


def test_streams(app):
    [row] = found(app, "count", "--rate", "20")
    assert (row["answered"], row["first_s"]["count"]) == (20, 20)
    assert row["first_s"]["max"] <= row["latency_s"]["max"]
    assert row["chunk_rate"] > 0


def test_batches(app):
    [row] = found(app, "lengths", "--rate", "100")
    assert row["failures"] == {}
    assert sum(row["batches"].values()) == row["answered"] == 100
    assert set(row["batches"]) <= {"1", "2", "3", "4"}
    assert max(row["batches"]) > "1"


def test_refusals(app):
    [row] = found(app, "doze", "--rate", "100")
    assert row["failures"]["queue-full"] > 20
    assert row["answered"] + sum(row["failures"].values()) == row["intended"] == 100
    assert row["retry_after_s"][0] >= 1


def test_without_examples(app):
    done = app.cli("bench", "bare", *QUICK)
    assert (done.returncode, done.stdout) == (2, "")
    assert "no examples" in done.stderr


def test_a_report_of_a_daemon_on_a_unix_socket(tmp_path, short_folder):
    listen = {"server": {"listen": f"unix:{short_folder / 's'}"}}
    with running(made(tmp_path / "project"), overlay=listen) as app:
        done = app.cli("bench", "double", "--rate", "20", *QUICK[:-1], "--report", str(tmp_path / "r.html"))
        assert (done.returncode, done.stderr) == (0, "")
        assert f"unix:{short_folder / 's'}/double" in done.stdout
        assert "double under load</h1>" in (tmp_path / "r.html").read_text()


def test_a_daemon_that_is_killed_meanwhile(tmp_path):
    with running(made(tmp_path), code=None) as app:
        command = [
            sys.executable,
            "-P",
            "-m",
            "bentod",
            "bench",
            *app.spec,
            "double",
            "--rate",
            "50",
            "--duration",
            "1h",
        ]
        with subprocess.Popen(command, env=app.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            eventually(lambda: len(app.events("call.finished")) > 20 or process.poll() is not None)
            app.process.send_signal(signal.SIGKILL)
            out, err = process.communicate(timeout=60)
        assert process.returncode == 3, err
        assert b"does not answer any more" in err
        assert b"cut short" in out
