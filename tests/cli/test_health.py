"""`bentod health` says with its exit code whether calls can be taken, whatever happens."""

import http.server
import json
import os
import socket
import socketserver
import subprocess
import sys
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest

from bentod.cli import health
from bentod.cli.main import VERBS, main
from bentod.daemon.folders import folders
from tests.support.daemon import running

READY = {"status": "ready", "generation": 1}


class UnixServer(socketserver.ThreadingUnixStreamServer):
    """Knows no client's address."""

    def get_request(self):
        return super().get_request()[0], ("", 0)


@contextmanager
def answering(path, answers):
    """A server for GETs: status and body by path; at a Unix socket, or at a free port."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            status, body = answers[self.path]
            body = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = UnixServer(str(path), Handler) if path else http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server.server_address
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def folder(monkeypatch):
    """A project's folder, which is the current one, with a run folder whose path is short."""
    monkeypatch.delenv("BENTOD_LISTEN", raising=False)
    with tempfile.TemporaryDirectory(prefix="bh") as name:
        monkeypatch.setenv("BENTOD_RUN", f"{name}/run")
        monkeypatch.chdir(name)
        Path("bentofile.yaml").write_text("what it says does not matter")
        yield Path(name)


@pytest.fixture
def control(folder):
    """Where the daemon of the project has its control socket."""
    where = folders("p", folder / "bentofile.yaml", os.environ, folder / "run", None).control
    where.parent.mkdir(parents=True)
    return where


def said(capsys, *words):
    """Exit code and what was printed."""
    code = main(["health", *words])
    printed = capsys.readouterr()
    return code, printed.out + printed.err


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1), (404, 1), (500, 1)])
def test_the_gateway_decides(control, capsys, status, code):
    with (
        answering(None, {"/readyz": (status, READY)}) as (host, port),
        answering(control, {"/status": (200, {"url": f"http://{host}:{port}"})}),
    ):
        assert said(capsys) == (code, json.dumps(READY) + "\n")
        assert said(capsys, "-f", "bentofile.yaml") == (code, json.dumps(READY) + "\n")


def test_a_gateway_may_have_a_unix_socket(control, folder, capsys):
    with (
        answering(folder / "public", {"/readyz": (200, READY)}),
        answering(control, {"/status": (200, {"url": f"unix:{folder}/public"})}),
    ):
        assert said(capsys)[0] == 0


@pytest.mark.parametrize(
    "status",
    [
        (200, {"url": "", "state": "starting"}),
        (200, {}),
        (200, b"no JSON"),
        (200, b""),
        (500, b"trouble"),
        (200, {"url": "http://nonsense"}),
        (200, {"url": "http://127.0.0.1:99999"}),
    ],
)
def test_a_daemon_in_trouble_is_not_healthy(control, capsys, status):
    with answering(control, {"/status": status}):
        code, text = said(capsys)
    assert code == 1
    assert text.startswith("bentod: ")


def test_nobody_is_not_healthy(folder, capsys):
    code, text = said(capsys)
    assert (code, "no daemon runs bentofile.yaml" in text) == (1, True)


def test_a_socket_of_a_daemon_that_is_gone_is_not_healthy(control, capsys):
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(control))
    code, text = said(capsys)
    assert (code, "nobody answers" in text) == (1, True)


def test_who_accepts_and_does_not_answer_is_not_healthy(control, capsys, monkeypatch):
    monkeypatch.setattr(health, "_LIMIT_S", 0.2)
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(control))
        one.listen()
        code, text = said(capsys)
    assert (code, text) == (1, "bentod: no answer within 0.2 s\n") or "timed out" in text
    assert code == 1


def test_without_a_spec_the_environment_says_where_to_ask(folder, capsys, monkeypatch):
    (folder / "bentofile.yaml").unlink()
    assert said(capsys)[0] == 1
    with answering(None, {"/readyz": (200, READY)}) as (_, port):
        monkeypatch.setenv("BENTOD_LISTEN", "0.0.0.0:${PORT:-1},unix:/nowhere")
        monkeypatch.setenv("PORT", str(port))
        assert said(capsys)[0] == 0
    assert said(capsys)[0] == 1
    with answering(folder / "public", {"/readyz": (200, READY)}):
        monkeypatch.setenv("BENTOD_LISTEN", f"unix:{folder}/public")
        assert said(capsys)[0] == 0


@pytest.mark.parametrize("listen", ["nonsense", "0.0.0.0:${NOT_SET_AT_ALL}", ",", "fd://3", "127.0.0.1:1"])
def test_an_address_of_no_use_is_not_healthy(folder, capsys, monkeypatch, listen):
    (folder / "bentofile.yaml").unlink()
    monkeypatch.setenv("BENTOD_LISTEN", listen)
    assert said(capsys)[0] == 1


def test_little_is_imported(tmp_path):
    """Every few seconds, beside the models."""
    code = "import sys; from bentod.cli.main import main; main(['health']); print(len(sys.modules), *sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    count, *modules = done.stdout.split()
    assert not {"pydantic", "yaml", "aiohttp", "numpy", "asyncio", "structlog"}.intersection(modules)
    assert int(count) < 220


def test_a_verb_says_it():
    assert "health" in VERBS


@pytest.mark.e2e
def test_a_real_daemon_is_healthy_until_it_ends(tmp_path):
    (tmp_path / "m.py").write_text("def f(): return 1\n")
    spec = {"bentod": 1, "name": "p", "services": {"m": {"target": "m.py"}}, "apis": {"f": {"service": "m"}}}
    (tmp_path / "bentofile.yaml").write_text(json.dumps(spec))
    with running(tmp_path) as app:
        done = app.cli("health")
        assert (done.returncode, json.loads(done.stdout)["status"]) == (0, "ready"), done.stderr
        before = os.times()
        app.cli("health")
        after = os.times()
        assert after.children_user + after.children_system - before.children_user - before.children_system < 0.5
    assert subprocess.run([sys.executable, "-m", "bentod", "health", *app.spec], env=app.environ).returncode == 1
