"""What workers use, in `status` and in `bentod top`: in a terminal, in a pipe, and while the daemon comes and goes."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
from contextlib import contextmanager, suppress
from pathlib import Path

import jsonschema
import pytest

from tests.support.daemon import eventually, running
from tests.support.nvml import GIB, StandIn
from tests.support.project import project

pytestmark = pytest.mark.e2e
SCHEMA = json.loads((Path(__file__).parents[2] / "schemas/status.schema.json").read_text())
SPIN = """
import subprocess, sys, time

def spin(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass
    return True

def outside(seconds):
    subprocess.run([sys.executable, "-c", f"import time\\nwhile time.process_time() < {seconds}: pass"], check=True)
    return True
"""


def made(folder, **server):
    return project(
        folder,
        files={"spin.py": SPIN},
        services={"zeta": {"target": "spin.py"}, "alpha": {"target": "spin.py"}},
        apis={
            "spin": {"service": "zeta"},
            "outside": {"service": "zeta"},
            "rest": {"service": "alpha", "method": "spin"},
        },
        reload={"debounce": "10ms"},
        **server,
    )


class Terminal:
    """`bentod top` in a terminal of its own."""

    def __init__(self, app, rows, columns, *words):
        self._ours, self._theirs = pty.openpty()
        self.resize(rows, columns)
        self.modes = termios.tcgetattr(self._theirs)
        command = [sys.executable, "-P", "-m", "bentod", "top", *app.spec, *words]
        ends = {"stdin": self._theirs, "stdout": self._theirs, "stderr": subprocess.PIPE}
        self.process = subprocess.Popen(command, env={**app.environ, "TERM": "xterm"}, **ends)
        os.set_blocking(self._ours, False)
        self.written = ""

    def resize(self, rows, columns):
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def press(self, key):
        os.write(self._ours, key)

    def read(self):
        with suppress(BlockingIOError):
            self.written += os.read(self._ours, 1 << 20).decode("utf-8", "replace").replace("\r\r", "\r")
        return self.written

    def frame(self):
        """The lines of the last frame that is whole."""
        frames = self.read().split("\x1b[H")
        whole = [frame for frame in frames if "\x1b[J" in frame and not frame.startswith("\x1b[2J")]
        return re.sub(r"\x1b\[[KJ]", "", whole[-1]).split("\r\n") if whole else []

    def shows(self, pattern, within=20.0):
        """The line that shows it."""
        found = eventually(lambda: [line for line in self.frame() if re.search(pattern, line)], within, pattern)
        return found[0]

    def left(self):
        """Whether the terminal is as it was."""
        self.read()
        same = termios.tcgetattr(self._theirs) == self.modes
        return same and self.written.rstrip().endswith("\x1b[?25h\x1b[?1049l")

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()
        os.close(self._ours)
        os.close(self._theirs)


@contextmanager
def terminal(app, *words, rows=30, columns=120):
    found = Terminal(app, rows, columns, *words)
    try:
        yield found
    finally:
        found.close()


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    with running(made(tmp_path_factory.mktemp("top"))) as app:
        yield app


def test_a_worker_is_charged_for_what_it_and_its_children_compute(app):
    [before] = app.service("zeta")["workers"]
    assert app.post("/spin", 0.2)[0] == app.post("/outside", 0.2)[0] == 200
    status = app.status()
    [after] = status["services"]["zeta"]["workers"]
    jsonschema.Draft202012Validator(SCHEMA).validate(status)
    assert 0.35 <= after["cpu_seconds"] - before["cpu_seconds"] < 2.0
    assert after["threads"] >= 1
    assert (after["memory_limit"], after["cpus"], after["gpus"]) == (None, [], [])
    assert list(status["services"]) == ["zeta", "alpha"]
    assert status["host"]["cpus"] > 0
    assert "gpus" not in status["host"]


def test_without_a_terminal_there_is_one_frame(app):
    done = app.cli("top", "--interval", "200ms")
    assert (done.returncode, done.stderr) == (0, "")
    assert "\x1b" not in done.stdout
    assert re.search(r"^zeta +1/1 ready +[0-9.]+ ", done.stdout, re.MULTILINE)
    assert done.stdout.index("zeta") < done.stdout.index("alpha")


def test_documents_come_line_by_line_until_the_reader_or_the_daemon_ends(app):
    command = [sys.executable, "-P", "-m", "bentod", "top", *app.spec, "--json", "--interval", "200ms"]
    with subprocess.Popen(command, env=app.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        documents = [json.loads(process.stdout.readline()) for _ in range(2)]
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130
    for document in documents:
        jsonschema.Draft202012Validator(SCHEMA).validate(document)
        assert 0.15 < document["interval_seconds"] < 10
        assert document["services"]["zeta"]["workers"][0]["cpu_percent"] >= 0


def test_a_frame_is_painted_in_place_and_follows_the_terminals_size(app):
    with terminal(app, "--interval", "200ms", rows=8, columns=40) as top:
        assert top.shows("more lines").startswith("… ")
        assert all(len(line) <= 40 for line in top.frame())
        assert len(top.frame()) == 8
        top.resize(40, 150)
        top.process.send_signal(signal.SIGWINCH)
        top.shows(r"^alpha .* waiting|^alpha +1/1 ready")
        assert "calls/s" in "".join(top.frame())
        assert top.written.count("\x1b[?1049h") == 1
        top.press(b"q")
        assert top.process.wait(10) == 0
        eventually(top.left)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, -15)])
def test_whatever_ends_it_the_terminal_is_as_it_was(app, number, code):
    with terminal(app) as top:
        top.shows("zeta")
        top.process.send_signal(number)
        assert top.process.wait(10) == code
        assert top.process.stderr.read() == b""
        eventually(top.left)


def test_it_waits_for_the_next_daemon_and_says_what_is_another_one(tmp_path):
    folder = made(tmp_path / "p")
    with running(folder, code=None, run=str(tmp_path / "r"), state=str(tmp_path / "s")) as app:
        documents = subprocess.Popen(
            [sys.executable, "-P", "-m", "bentod", "top", *app.spec, "--json", "--interval", "200ms"],
            env=app.environ, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )  # fmt: skip
        with documents, terminal(app, "--interval", "200ms") as top:
            top.shows("generation 1")
            (folder / "spin.py").write_text(SPIN + "\nMORE = 1\n")
            top.shows("^! generation 2 after 1, at ")
            app.process.terminate()
            top.shows(r"^! the daemon \(pid \d+\) has ended; waiting for another one")
            assert documents.wait(30) == 3
            assert b"has ended" in documents.stderr.read()
            with subprocess.Popen(
                [sys.executable, "-P", "-m", "bentod", "up", *app.spec], env=app.environ, stderr=subprocess.DEVNULL
            ) as again:
                top.shows(rf"^! another daemon: pid {again.pid} after {app.process.pid}", 60.0)
                top.press(b"q")
                assert top.process.wait(10) == 0
                again.terminate()
        done = app.cli("top")
        assert (done.returncode, done.stdout) == (3, "")
        assert "no daemon runs" in done.stderr


def test_gpus_are_shown_with_what_workers_were_given_and_have_and_with_who_else_is_there(tmp_path):
    nvml = StandIn(tmp_path, gpus=2, memory=16 * GIB)
    shared, other = nvml.uuids
    resources = {"gpus": 0.5, "gpu_memory": "4GiB", "memory": "1GiB"}
    folder = project(
        tmp_path / "p",
        files={"spin.py": SPIN},
        services={"s": {"target": "spin.py", "workers": 2, "resources": resources}},
        apis={"spin": {"service": "s"}},
    )
    with running(folder, env=nvml.environ) as app:
        first, second = (worker["pid"] for worker in app.service("s")["workers"])
        nvml.change(shared, used=6 * GIB, utilization=75)
        nvml.process(shared, first, 3 * GIB, 25)
        nvml.process(other, second, GIB)
        nvml.process(other, os.getpid(), 2 * GIB)

        def seen():
            [gpu, *_], _ = (worker["gpus"] for worker in app.service("s")["workers"])
            return gpu["memory"] == 3 * GIB and gpu

        eventually(seen)
        status = app.status()
        jsonschema.Draft202012Validator(SCHEMA).validate(status)
        one, two = status["services"]["s"]["workers"]
        assert one["gpus"] == [
            {"uuid": shared, "index": "0", "name": "Stand-in GPU", "part": 0.5, "memory_granted": 4 * GIB,
             "memory": 3 * GIB, "utilization": 0.25}
        ]  # fmt: skip
        assert [(gpu["index"], gpu["part"], gpu["memory"]) for gpu in two["gpus"]] == [("0", 0.5, 0), ("1", 0, GIB)]
        assert {one["memory_limit"], two["memory_limit"]} == {GIB}
        text = app.cli("status").stdout
        assert "gpu 0 3.0 GiB of 4.0 GiB" in text
        assert "gpu 1, which it was not given: 1.0 GiB" in text
        frame = app.cli("top", "--interval", "200ms").stdout
        assert re.search(r"^0 Stand-in GPU +75 +6.0 GiB +16.0 GiB  s$", frame, re.MULTILINE)
        assert re.search(rf"^1 Stand-in GPU .*  s, .* \(pid {os.getpid()}\) 2.0 GiB$", frame, re.MULTILINE)
