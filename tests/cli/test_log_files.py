"""`bentod logs` and `bentod events`: what they read from the log files, across turned files and daemons."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from types import SimpleNamespace

import pytest

from bentod.cli import events, logs
from bentod.cli.log_files import Tail
from bentod.cli.main import main
from bentod.observe.sink import RotatingFile
from tests.support.daemon import eventually


def line(n, event="worker.ready", **keys):
    keys = {"service": "s", "worker": 0, "pid": n, "seconds": 0.5, **keys}
    return json.dumps({"time": f"2026-01-01T00:00:{n:02}Z", "level": "info", "event": event, **keys}).encode() + b"\n"


@pytest.fixture
def where(tmp_path, monkeypatch):
    found = SimpleNamespace(logs=tmp_path / "logs", daemon_log=tmp_path / "logs/daemon.log")
    for module in (logs, events):
        monkeypatch.setattr(module, "located", lambda args: found)
    return found


@pytest.fixture
def written(where):
    sink = RotatingFile(where.daemon_log)
    sink.write(line(1) + line(2, "worker.output", stream="stdout", line="hello") + line(3, service="t"))
    sink.write(
        json.dumps(
            {"time": "2026-01-01T00:00:04Z", "level": "info", "event": "daemon.stopping", "reason": "SIGTERM"}
        ).encode()
        + b"\n{"
    )
    (where.logs / "gateway-0.log").write_bytes(line(5, "call.finished", status=200, api="a", code="ok"))
    return where


def test_events_are_those_of_the_daemon(written, capsys):
    assert main(["events"]) == 0
    assert [re.split("  +", text) for text in capsys.readouterr().out.splitlines()] == [
        ["2026-01-01 00:00:01", "worker.ready", "s/0 ready after 0.50 s"],
        ["2026-01-01 00:00:03", "worker.ready", "t/0 ready after 0.50 s"],
        ["2026-01-01 00:00:04", "daemon.stopping", "stopping: SIGTERM"],
    ]


def test_logs_are_everything(written, capsys):
    assert main(["logs", "--json"]) == 0
    assert [json.loads(text)["event"] for text in capsys.readouterr().out.splitlines()] == [
        "worker.ready", "worker.output", "worker.ready", "daemon.stopping", "call.finished",
    ]  # fmt: skip


@pytest.mark.parametrize("verb", ["logs", "events"])
def test_of_one_service_and_the_last(written, capsys, verb):
    assert main([verb, "t"]) == 0
    assert "t/0 ready" in capsys.readouterr().out
    assert main([verb, "-n", "1", "--json"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1
    assert main([verb, "-n", "0"]) == 0
    assert capsys.readouterr().out == ""
    assert main([verb, "nobody"]) == 2
    said = capsys.readouterr().err
    assert "s, t" in said
    assert f"bentod -f FILE {verb}" in said


def test_without_any_log(where, capsys):
    assert main(["events"]) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert "`bentod up`" in err


@pytest.mark.parametrize("verb", ["logs", "events"])
def test_a_spec_after_f_is_told_and_not_waited_for(written, capsys, verb):
    assert main([verb, "-f", "bentofile.yaml"]) == 2
    assert f"bentod -f FILE {verb}" in capsys.readouterr().err


def test_an_event_of_another_version_is_shown(where, capsys):
    where.logs.mkdir()
    where.daemon_log.write_text('{"event": "worker.ready"}\n{"event": "new.one", "time": "x", "a": 1}\n')
    assert main(["events"]) == 0
    assert [text.split() for text in capsys.readouterr().out.splitlines()] == [
        ["worker.ready"],
        ["x", "new.one", "a=1"],
    ]


@pytest.fixture
def tailed():
    with contextlib.ExitStack() as stack:
        yield lambda path: stack.enter_context(contextlib.closing(Tail(path)))


def test_a_file_that_is_turned_over_is_read_to_its_end(tmp_path, tailed):
    sink = RotatingFile(tmp_path / "l/x.log", max_bytes=2 * len(line(10)))
    tail = tailed(tmp_path / "l/x.log")
    sink.write(line(1))
    assert [event["pid"] for event in tail.earlier()] == [1]
    for batch in ([2], [3, 4], [5, 6, 7, 8], [9], []):  # files of two lines: none to two turns between two looks
        for n in batch:
            sink.write(line(n))
        assert [event["pid"] for event in tail.new()] == batch
    assert (tmp_path / "l/x.log.2").exists()


def test_what_was_turned_over_too_often_is_read_as_far_as_it_is_there(tmp_path, tailed):
    sink = RotatingFile(tmp_path / "l/x.log", max_bytes=2 * len(line(10)))
    tail = tailed(tmp_path / "l/x.log")
    sink.write(line(1))
    assert [event["pid"] for event in tail.earlier()] == [1]
    for n in range(2, 20):
        sink.write(line(n))
    assert [event["pid"] for event in tail.new()] == [2, *range(13, 20)]


def test_a_new_file_at_the_place_is_read_from_its_begin(tmp_path, tailed):
    path = tmp_path / "x.log"
    path.write_bytes(line(1))
    tail = tailed(path)
    assert [event["pid"] for event in tail.earlier()] == [1]
    (tmp_path / "y").write_bytes(line(2))
    (tmp_path / "y").replace(path)
    assert [event["pid"] for event in tail.new()] == [2]


def test_events_are_followed_until_interrupted(tmp_path):
    """There need not be a daemon yet."""
    (tmp_path / "bentofile.yaml").write_text("bentod: 1\n")
    environ = {**os.environ, "BENTOD_STATE": str(tmp_path / "s"), "BENTOD_RUN": str(tmp_path / "r")}
    command = [sys.executable, "-P", "-m", "bentod", "events", "-f", "--json"]
    with subprocess.Popen(command, cwd=tmp_path, env=environ, stdout=subprocess.PIPE) as follower:
        os.set_blocking(follower.stdout.fileno(), False)
        seen = b""

        def has(text):
            nonlocal seen
            seen += follower.stdout.read() or b""
            return text in seen

        try:
            eventually((tmp_path / "s/logs").exists)
            sink = RotatingFile(tmp_path / "s/logs/daemon.log", max_bytes=400)
            for n in range(1, 9):
                sink.write(line(n))
                eventually(lambda n=n: has(b'"pid": %d' % n))
        finally:
            follower.send_signal(signal.SIGINT)
        assert follower.wait(10) == 130
