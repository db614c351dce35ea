"""`bentod bench` against a stand-in for daemon and gateway: what it shows, what it writes, its exit codes."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from bentod.cli import bench
from bentod.cli.main import main
from tests.support.answering import Answering, answer
from tests.support.daemon import eventually

QUICK = ["--rate", "100", "--duration", "300ms", "--warm-up", "0s"]
EXAMPLES = [{"name": "one", "input": {"n": 1}}, {"name": "", "input": {"n": 2}}]
PROBLEM = b'{"code": "queue-full", "detail": "too many"}'


class StandIn(Answering):
    """Describes its one API as a daemon would, and answers calls as `call` says."""

    def __init__(self, path):
        super().__init__(path)
        self.bodies = []
        self.headers = []
        self.calls = self.gives(answer())
        self.about = {"url": self.url, "path": "/v1/a", "input": True, "output": True, "types": {}, "stream": ""}
        self.about["examples"] = EXAMPLES
        self.serve = self._serve

    def _serve(self, request):
        if request.url == b"/apis/a":
            request.transport.write(answer(json.dumps(self.about).encode()))
        elif request.url.startswith(b"/apis/"):
            request.transport.write(answer(b'{"apis": ["a", "b"]}', 404))
        else:
            assert request.url == b"/v1/a"
            self.bodies.append(request.body)
            self.headers.append(request.headers)
            self.calls(request)


@pytest.fixture
def server(monkeypatch):
    """Runs in a thread of its own."""
    loop = asyncio.new_event_loop()
    with tempfile.TemporaryDirectory(prefix="bb") as folder:
        server = StandIn(Path(folder) / "s")
        loop.run_until_complete(server.start())
        thread = threading.Thread(target=loop.run_forever)
        thread.start()
        server.in_loop = loop.call_soon_threadsafe
        monkeypatch.setattr(bench, "located", lambda args: SimpleNamespace(control=server.path))
        yield server

        async def end():
            if server.path.exists():
                server.stop()
            loop.call_soon(loop.stop)

        asyncio.run_coroutine_threadsafe(end(), loop)
        thread.join(10)
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()


@pytest.fixture
def run(server, capfd, tmp_path, monkeypatch):
    """Run the verb: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)

    def run(*words):
        code = main(["bench", *words])
        return code, *capfd.readouterr()

    return run


def test_a_table(server, run):
    server.calls = server.gives(answer(Server_Timing='queue;dur=1.5, run;dur=2.5, batch;desc="8"'))
    code, out, err = run("a", *QUICK)
    title, head, row, *_, last = out.splitlines()
    assert (code, err) == (0, "")
    assert title == f"a at {server.url}/v1/a; examples: one (8 B), 2 (8 B)"
    assert head.split()[:2] == ["offered/s", "answered/s"]
    assert row.split()[0] == "100"
    assert "1.50 ms" in row
    assert "8.0" in row
    assert last.startswith("It keeps up with 100/s")
    assert sorted(set(server.bodies)) == [b'{"n": 1}', b'{"n": 2}']
    assert len(server.bodies) == 2 + 30


def test_json(server, run):
    code, out, err = run("a", *QUICK, "--json", "--rate", "50,100", "--seed", "7")
    document = json.loads(out)
    assert (code, err) == (0, "")
    assert [row["rate"] for row in document["rows"]] == [50, 100]
    assert [row["answered"] for row in document["rows"]] == [15, 30]
    assert (document["api"], document["ended"], document["options"]["seed"]) == ("a", "", 7)


def test_without_a_rate_it_finds_one(server, run):
    """A server that takes ten milliseconds for each, one after the other."""
    waiting = []

    def reply():
        waiting.pop(0).transport.write(answer())
        if waiting:
            asyncio.get_running_loop().call_later(0.01, reply)

    def call(request):
        waiting.append(request)
        if len(waiting) == 1:
            asyncio.get_running_loop().call_later(0.01, reply)

    server.calls = call
    code, out, _ = run("a", "--duration", "200ms", "--warm-up", "0s", "--connections", "4", "--json")
    document = json.loads(out)
    assert code == 0
    assert [trial["connections"] for trial in document["trials"]] == [1, 4]
    assert len(document["rows"]) == 9
    assert document["rows"][0]["rate"] < document["rows"][-1]["rate"] <= 121


def test_a_report(run, tmp_path):
    code, _, err = run("a", *QUICK, "--report", "r.html")
    assert (code, err) == (0, "")
    assert "under load</h1>" in (tmp_path / "r.html").read_text()


def test_refusals_are_told(server, run):
    server.calls = server.gives(*[answer()] * 2, *[answer(PROBLEM, 503, retry_after="4"), answer()] * 100)
    code, out, _ = run("a", *QUICK)
    assert code == 0
    assert "15 queue-full; Retry-After 4 s" in out
    assert "50.0%" in out
    assert "It keeps up with none of these rates." in out


def test_headers_are_sent(server, run):
    assert run("a", *QUICK, "-H", "X-Priority: 1", "--header", "accept:a/b")[0] == 0
    assert all((one[b"x-priority"], one[b"accept"]) == (b"1", b"a/b") for one in server.headers)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["b?c"], "serves no API 'b?c'; it serves: a, b"),
        (["a", "--header", "nonsense"], "no header"),
        (["a", "--header", "content-length: 5"], "not yours to set"),
        (["a", "--connections", "0"], "--connections"),
        (["a", "--connections", "1000000"], "--connections"),
        (["a", "--report", "."], "it is a folder"),
        (["a", "--report", "missing/r.html"], "its folder is missing"),
    ],
)
def test_what_cannot_be_done(server, run, words, said):
    code, out, err = run(*words, *QUICK)
    assert (code, out) == (2, "")
    assert said in err
    assert server.bodies == []


@pytest.mark.parametrize(
    "words", [["--rate", "0"], ["--rate", "x"], ["--duration", "5"], ["--warm-up", "-1s"], ["--timeout", "0s"],
              ["--duration", "25h"], ["--body", "x"], ["--seed", "x"]],
)  # fmt: skip
def test_wrong_options(run, words, capfd):
    with pytest.raises(SystemExit) as ended:
        run("a", *words)
    assert ended.value.code == 2
    assert words[0] in capfd.readouterr().err


def test_an_api_without_examples(server, run):
    server.about["examples"] = []
    code, out, err = run("a", *QUICK)
    assert (code, out) == (2, "")
    assert "no examples" in err


def test_an_example_that_is_refused(server, run):
    server.calls = server.gives(answer(), answer(b'{"code": "invalid-input"}', 422))
    code, out, err = run("a", *QUICK, "--report", "r.html")
    assert (code, out) == (4, "")
    assert "the example '2' gets no answer, but invalid-input" in err
    assert not Path("r.html").exists()


def test_a_server_that_answers_only_once(server, run):
    server.calls = server.gives(*[answer()] * 2, *[answer(PROBLEM, 503)] * 1_000_000)
    code, _, err = run("a", "--connections", "1", "--duration", "100ms", "--warm-up", "0s")
    assert code == 4
    assert "nothing is answered in a closed loop" in err


def test_no_daemon(run, server, monkeypatch, tmp_path):
    monkeypatch.setattr(bench, "located", lambda args: SimpleNamespace(control=tmp_path / "none"))
    code, _, err = run("a", *QUICK)
    assert code == 3
    assert "no daemon runs" in err


def test_a_daemon_that_dies_meanwhile(server, run):
    def call(request):
        request.transport.write(answer())
        if len(server.bodies) == 20:
            server.stop()

    server.calls = call
    code, out, err = run("a", "--rate", "100,200", "--duration", "60s", "--report", "r.html")
    assert code == 3
    assert "does not answer any more" in err
    assert "cut short" in out
    assert "does not answer any more" in Path("r.html").read_text()


def test_an_interrupt_shows_what_was_measured(server, tmp_path):
    """In a process of its own: the first rate is whole, the second is not."""
    script = (
        "import sys; from types import SimpleNamespace; from pathlib import Path; from bentod.cli import bench, main;"
        "bench.located = lambda args: SimpleNamespace(control=Path(sys.argv[1])); sys.exit(main.main(sys.argv[2:]))"
    )
    words = ["bench", "a", *QUICK[2:], "--rate", "100,1", "--json", "--report", str(tmp_path / "r.html")]
    server.calls = lambda request: request.transport.write(answer()) if len(server.bodies) < 33 else None
    command = [sys.executable, "-P", "-c", script, str(server.path), *words]
    environ = {**os.environ, "PYTHONPATH": str(Path(bench.__file__).parents[2])}
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        eventually(lambda: len(server.bodies) == 33 or process.poll() is not None)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (130, b"")
    document = json.loads(out)
    assert document["ended"] == "interrupted"
    assert [row["partial"] for row in document["rows"]] == [False, True]
    assert "interrupted" in (tmp_path / "r.html").read_text()
