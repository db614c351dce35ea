"""Runs a real daemon for a test, and sees to it that it leaves nothing behind."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.http import Connection, Ended, request

START_S = 60.0
END_S = 45.0


def eventually(condition: Callable[[], Any], within: float = 20.0, what: str = "") -> Any:
    """What `condition` gives as soon as it is true; fails after `within` seconds."""
    deadline = time.monotonic() + within
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"not within {within:g} s: {what or condition}"
        time.sleep(0.02)  # between two looks, not instead of one


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class App:
    """A running daemon and a client for it."""

    def __init__(
        self, process: subprocess.Popen[bytes], url: str, spec: list[str], folders: Mapping[str, str], log: Path
    ) -> None:
        self.process = process
        self.url = url
        self.spec = spec
        self.environ = {**os.environ, **folders}
        self.run = Path(folders["BENTOD_RUN"])
        self.state = Path(folders["BENTOD_STATE"])
        self.log = log

    def cli(self, verb: str, *words: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run a verb on this daemon's spec."""
        command = [sys.executable, "-P", "-m", "bentod", verb, *self.spec, *words]
        return subprocess.run(command, env=self.environ, capture_output=True, text=True, timeout=60, **options)

    def status(self) -> dict[str, Any]:
        """What `bentod status --json` says."""
        done = self.cli("status", "--json")
        assert done.returncode == 0, done.stderr
        return dict(json.loads(done.stdout))

    def post(self, path: str, value: Any, headers: Mapping[str, str] | None = None) -> tuple[int, Any, Any]:
        """Status, headers and decoded body of a JSON call."""
        return self.send(path, json.dumps(value).encode(), {"content-type": "application/json", **(headers or {})})

    def get(self, path: str) -> tuple[int, Any, Any]:
        """Status, headers and decoded body."""
        return self.send(path, None, {})

    def send(self, path: str, body: bytes | None, headers: Mapping[str, str]) -> tuple[int, Any, Any]:
        """Status, headers and body, decoded where it is JSON."""
        request = urllib.request.Request(self.url + path, body, dict(headers))
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return response.status, response.headers, _decoded(response)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers, _decoded(error)

    def pids(self, kind: str = "worker") -> list[int]:
        """Process ids of the daemon's `worker`s or `gateway`s."""
        return [pid for pid, command in children(self.process.pid) if f"bentod.{kind}" in command]

    def text(self) -> str:
        """All that the daemon and its gateways wrote to stderr."""
        return self.log.read_text("utf-8", "replace")

    def events(self, name: str = "", **keys: Any) -> list[dict[str, Any]]:
        """The events so far that have this name and these keys."""
        events = [json.loads(line) for line in self.text().splitlines() if line.startswith("{") and line.endswith("}")]
        return [e for e in events if not name or e["event"] == name if all(e.get(k) == v for k, v in keys.items())]

    def control(self, route: str = "/status") -> dict[str, Any]:
        """What the daemon says on its control socket. Raises OSError while it does not listen."""
        [path] = list(self.run.glob("*/control.sock")) or [self.run / "control.sock"]
        with Connection(f"unix:{path}") as connection:
            return dict(connection.ask(request(route, None, "GET")).json)

    def service(self, name: str) -> dict[str, Any]:
        """What `status` says of a service."""
        return dict(self.control()["services"][name])


def _decoded(response: Any) -> Any:
    body = response.read()
    kind = response.headers.get_content_type()
    return json.loads(body) if kind.endswith(("/json", "+json")) else body


def children(pid: int) -> list[tuple[int, str]]:
    """The living children of a process with their command lines."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
            except OSError:
                continue
            if int(fields[1]) == pid and fields[0] != "Z":
                found.append((int(entry.name), command))
    return found


def alive(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@contextmanager
def running(
    folder: Path,
    *args: str,
    env: Mapping[str, str] | None = None,
    spec: str = "bentofile.yaml",
    overlay: Mapping[str, Any] | None = None,
    ready: bool = True,
    code: int | None = 0,
    pass_fds: Sequence[int] = (),
    cwd: Path | None = None,
    run: str = "",
    state: str = "",
) -> Iterator[App]:
    """`bentod up` of a folder's spec, ready, on a port that is free, until the block ends.

    `overlay` is merged over the spec; where it says `listen`, the first address is the app's `url`. Afterwards: exit
    code `code` on SIGTERM (None: the test has ended it), no child process, no socket file.
    """
    short = Path(tempfile.mkdtemp(prefix="bt"))
    port = 0 if ready else free_port()
    over = {**(overlay or {}), "server": {"listen": f"127.0.0.1:{port}", **(overlay or {}).get("server", {})}}
    (short / "overlay.yaml").write_text(json.dumps(over))
    files = ["--file", str(Path(folder) / spec), "--file", str(short / "overlay.yaml")]
    folders = {"BENTOD_RUN": run or str(short / "run"), "BENTOD_STATE": state or str(short / "state")}
    folders["BENTOD_CLAIMS"] = (env or {}).get("BENTOD_CLAIMS", str(short / "claims"))
    with (short / "stderr.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "bentod", "up", *files, *args],
            env={**os.environ, **(env or {}), **folders},
            stdout=subprocess.DEVNULL,
            stderr=log,
            pass_fds=pass_fds,
            cwd=cwd,
        )
    app = App(process, f"http://127.0.0.1:{port}", files, folders, short / "stderr.log")
    try:
        if ready:
            eventually(lambda: process.poll() is not None or _ready(app), START_S, "ready")
            assert process.poll() is None, f"it ended with code {process.returncode}"
        yield app
        _end(app, code)
    except BaseException:
        print(app.log.read_text("utf-8", "replace")[-4_000:], file=sys.stderr)
        raise
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        shutil.rmtree(short, ignore_errors=True)


def _ready(app: App) -> bool:
    try:
        status = app.control()
    except (OSError, Ended):
        return False
    app.url = status["url"] or app.url
    return bool(status["state"] == "ready")


def _end(app: App, code: int | None) -> None:
    """Stop the daemon, and look for what it left."""
    mine = [pid for pid, _ in children(app.process.pid)]
    if app.process.poll() is None:
        app.process.send_signal(signal.SIGTERM)
    ended = app.process.wait(END_S)
    if code is not None:
        assert ended == code, f"exit code {ended}"
        assert not [path for path in app.run.rglob("*") if path.is_socket()]
    eventually(lambda: not any(alive(pid) for pid in mine), 5, "no child is left")
