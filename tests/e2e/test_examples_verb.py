"""`bentod test` on real daemons: on the one that runs, or on one that is started for it and leaves nothing behind."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as Xml

import pytest

from tests.support.daemon import alive, children, eventually, running
from tests.support.project import project

pytestmark = pytest.mark.e2e

TENSOR = {"type": "array", "format": "tensor", "dtype": "float32", "shape": [3]}
TARGET = """
import os, pathlib, time
import numpy as np

def same(value):
    return value

def die(value):
    os._exit(9)

def hang(value):
    pathlib.Path(value).touch()
    time.sleep(60)

def numbers(kind):
    return {"nan": np.array([np.nan, 1, 2], np.float32), "shape": np.zeros((2, 2), np.float32)}[kind]

def count(value):
    yield from range(value)
"""


def api(method, *examples, **more):
    return {"service": "s", "method": method, "examples": list(examples), **more}


def made(folder, **apis):
    return project(folder, files={"m.py": TARGET}, services={"s": {"target": "m"}}, apis=apis)


def command(folder, *words):
    return [sys.executable, "-P", "-m", "bentod", "test", "-f", str(folder / "bentofile.yaml"), *words]


def environ(folder):
    return {**os.environ, "BENTOD_RUN": str(folder / "r"), "BENTOD_STATE": str(folder / "state")}


def outcome(folder, *words):
    """Run the verb where no daemon runs."""
    return subprocess.run(command(folder, *words), env=environ(folder), capture_output=True, text=True, timeout=100)


def scratches():
    """The folders of scratch daemons."""
    return {path for path in Path("/tmp").glob("bt*") if (path / "override.yaml").exists()}


GOOD = {"name": "good", "input": [1, {"a": "b"}], "output": [1, {"a": "b"}]}
BAD = {"name": "bad", "input": [1, {"a": "b"}], "output": [1, {"a": "c"}]}


def test_the_daemon_that_runs_is_asked(tmp_path):
    folder = made(
        tmp_path / "p",
        same=api("same", GOOD, BAD),
        count=api("count", {"name": "three", "input": 3, "output": [0, 1, 2]}, stream="sse"),
        bare=api("same"),
    )
    with running(folder, "--ungated") as app:
        done = app.cli("test", "--junit", str(tmp_path / "j.xml"))
        assert done.returncode == 2, done.stderr
        assert '        /1/a: expected "c", got "b"' in done.stdout.splitlines()
        assert "-       bare  has no examples" in done.stdout
        assert done.stdout.splitlines()[-1] == f"3 examples at {app.url}: 2 ok, 1 FAILED"
        root = Xml.fromstring((tmp_path / "j.xml").read_bytes())
        assert (root.get("tests"), root.get("failures"), root.get("errors")) == ("3", "1", "0")
        assert app.cli("test", "count", "bare").returncode == 0
        unknown = app.cli("test", "nothing")
        assert (unknown.returncode, unknown.stdout) == (2, "")
        document = json.loads(app.cli("test", "same", "--json").stdout)
        assert (document["ok"], document["scratch"]) == (False, False)
        assert [one["outcome"] for one in document["apis"]["same"]] == ["ok", "failed"]
        assert app.status()["apis"]["same"]["calls"] == {"ok": 4}


def test_without_a_daemon_one_is_started_and_leaves_nothing(tmp_path):
    before = scratches()
    folder = made(tmp_path, same=api("same", GOOD))
    done = outcome(folder, "-v")
    assert done.returncode == 0, done.stderr
    assert "no daemon runs this spec" in done.stderr
    assert 'answered: [1,{"a":"b"}]' in done.stdout
    assert scratches() <= before
    assert not (folder / ".bentod").exists()
    assert not (folder / "r").exists()


def test_a_scratch_daemon_besides_the_one_that_runs(tmp_path):
    folder = made(tmp_path / "p", same=api("same", GOOD))
    with running(folder) as app:
        document = json.loads(app.cli("test", "--scratch", "--json").stdout)
        assert (document["ok"], document["scratch"]) == (True, True)
        assert document["url"] != app.url
        assert app.status()["apis"]["same"].get("calls", {}) == {}


def test_faults_are_told_and_the_daemon_is_gone(tmp_path):
    before = scratches()
    checked = {"output": TENSOR}
    folder = made(
        tmp_path,
        die=api("die", {"name": "one", "input": 1}, retry=False),
        hang=api("hang", {"name": "one", "input": str(tmp_path / "begun")}, timeout="1s"),
        nan=api("numbers", {"name": "one", "input": "nan"}, **checked),
        shape=api("numbers", {"name": "one", "input": "shape", "output": [0, 0, 0]}, **checked),
        unchecked=api("numbers", {"name": "one", "input": "shape", "output": [0, 0, 0]}, output_check=False, **checked),
    )
    done = outcome(folder, "nan", "shape", "unchecked", "die", "hang")
    assert done.returncode == 2, done.stderr
    for text in (
        "500 The model gave an invalid answer: the answer holds NaN or Infinity",
        "500 The model gave an invalid answer: the answer does not match the API's output schema",
        "expected float32 of the shape [3]",
        "503 The worker died",
        "504 The call did not finish in time",
        ": 5 FAILED",
    ):
        assert text in done.stdout, done.stdout
    assert scratches() <= before


def test_a_scratch_daemon_that_does_not_start(tmp_path):
    before = scratches()
    folder = made(tmp_path, same=api("same", GOOD))
    (folder / "m.py").write_text(TARGET + "raise ValueError('what the user wrote')")
    done = outcome(folder)
    assert done.returncode == 4
    assert "ValueError: what the user wrote" in done.stderr
    assert scratches() <= before
    (folder / "bentofile.yaml").write_text("bentod: 1\nname: x\n")
    assert outcome(folder).returncode == 2
    assert outcome(folder, "--junit", str(folder / "no" / "j.xml")).returncode == 2


@pytest.mark.parametrize(
    ("method", "example", "more", "text"),
    [
        ("same", BAD, {}, '/1/a: expected "c", got "b"'),
        ("die", {"name": "one", "input": 1}, {}, "died while it answered"),
        ("hang", {"name": "one", "input": "/dev/null"}, {"timeout": "500ms"}, "504 The call did not finish in time"),
        ("numbers", {"name": "one", "input": "nan"}, {"output": TENSOR}, "the answer holds NaN or Infinity"),
    ],
)
def test_a_daemon_does_not_start_with_an_example_that_fails(tmp_path, method, example, more, text):
    folder = made(tmp_path, good=api("same", GOOD), tried=api(method, example, **more))
    override = json.dumps({"server": {"listen": "127.0.0.1:0"}, "services": {"s": {"stop_timeout": "100ms"}}})
    (folder / "override.yaml").write_text(override)
    words = ["up", "-f", str(folder / "bentofile.yaml"), "-f", str(folder / "override.yaml")]
    up = [sys.executable, "-P", "-m", "bentod", *words]
    done = subprocess.run(up, env=environ(folder), capture_output=True, text=True, timeout=100)
    assert done.returncode == 4, done.stderr
    assert text in done.stderr.rpartition("\nbentod: ")[2]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_scratch_daemon_too(tmp_path, number):
    before = scratches()
    folder = made(tmp_path, hang=api("hang", {"name": "one", "input": str(tmp_path / "begun")}))
    process = subprocess.Popen(command(folder), env=environ(folder), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    with process:
        eventually((tmp_path / "begun").exists, 60, "the example is being answered")
        [daemon] = [pid for pid, words in children(process.pid) if "--ungated" in words]
        below = [pid for pid, _ in children(daemon)]
        process.send_signal(number)
        assert process.wait(60) == 130
    eventually(lambda: not any(map(alive, [daemon, *below])), 10, "nothing is left")
    assert scratches() <= before
