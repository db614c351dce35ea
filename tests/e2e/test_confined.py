"""As in a container: nothing but /tmp can be written to, nobody knows the user, and the host has no address."""

import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.daemon import alive, eventually

pytestmark = [pytest.mark.e2e, pytest.mark.beside]

RUN, FILES = Path("/tmp/bentod-54321"), Path("/tmp/bentod-files-54321")
NAMESPACES = ["unshare", "--user", "--map-user=54321", "--map-group=54321", "--mount", "--uts", "--keep-caps"]
ENTER = r"""
set -e
mount --make-rprivate /
for folder in /tmp "$PROJECT"; do mount --rbind "$folder" "$folder"; done
for folder in / "$PROJECT" $ALSO; do mount -o remount,bind,ro "$folder"; done
hostname nobody-knows-me
exec setpriv --ambient-caps -all --inh-caps -all "$@"
"""
UNSET = ("HOME", "USER", "LOGNAME", "XDG_RUNTIME_DIR", "XDG_DATA_HOME", "TMPDIR", "BENTOD_RUN", "PYTEST_CURRENT_TEST")


def confined(project, command, environ, also=""):
    """What to start to run a command so."""
    known = {name: value for name, value in os.environ.items() if name not in UNSET}
    given = {"PROJECT": str(project), "ALSO": also, "BENTOD_LISTEN": "127.0.0.1:${PORT:-0}", "BENTOD_WATCH": "false"}
    return {
        "args": [*NAMESPACES, "sh", "-c", ENTER, "enter", *command],
        "env": {**known, "BENTOD_LOG_FORMAT": "json", "PYTHONDONTWRITEBYTECODE": "1", **given, **environ},
        "cwd": project,
    }


@pytest.fixture(scope="module", autouse=True)
def _possible(tmp_path_factory):
    try:
        done = subprocess.run(**confined(tmp_path_factory.mktemp("p"), ["true"], {}), capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("there is no unshare")
    if done.returncode:
        pytest.skip(f"this host lets nobody do that: {done.stderr}")
    yield
    for folder in RUN, FILES:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def project(tmp_path):
    """Says who runs it, and whether it can write beside itself."""
    (tmp_path / "who.py").write_text(
        "import os, socket\n"
        "def who(value):\n"
        "    try: open('x', 'w')\n"
        "    except OSError as error: why = error.strerror\n"
        "    return [os.getuid(), why, socket.gethostname(), 'HOME' in os.environ]\n"
    )
    spec = {"bentod": 1, "name": "p", "services": {"w": {"target": "who.py"}}, "apis": {"who": {"service": "w"}}}
    (tmp_path / "bentofile.yaml").write_text(json.dumps(spec))
    return tmp_path


def verb(project, *words, environ=None, also=""):
    command = [sys.executable, "-P", "-m", "bentod", *words]
    return subprocess.run(**confined(project, command, environ or {}, also), capture_output=True, text=True, timeout=60)


@contextmanager
def up(project, environ):
    command = [sys.executable, "-P", "-m", "bentod", "up"]
    with (project.parent / "log").open("wb") as log:
        process = subprocess.Popen(**confined(project, command, environ), stdout=log, stderr=log)
    with process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def test_it_serves_and_stops(project, tmp_path_factory):
    state = tmp_path_factory.mktemp("state")
    with up(project, {"BENTOD_STATE": str(state)}) as process:
        healthy = eventually(
            lambda: process.poll() is not None or verb(project, "health").returncode == 0, 60, "it is healthy"
        )
        log = (project.parent / "log").read_text()
        assert healthy, log
        assert process.poll() is None, log
        status = json.loads(verb(project, "status", "--json").stdout)
        assert status["watch"] == {"state": "off", "reason": "BENTOD_WATCH=false"}
        assert status["url"].startswith("http://127.0.0.1:")
        called = verb(project, "call", "who", "null")
        assert json.loads(called.stdout) == [54321, "Read-only file system", "nobody-knows-me", False], called.stderr
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    assert not alive(process.pid)
    assert not [path for path in RUN.rglob("*") if path.is_socket()]
    assert not (project / ".bentod").exists()


@pytest.mark.parametrize(
    ("environ", "also", "wrong", "hint"),
    [
        ({"BENTOD_STATE": "/tmp/s"}, "/tmp", "the run folder /tmp/bentod-54321", "BENTOD_RUN"),
        ({}, "", "the state folder", "BENTOD_STATE names another"),
    ],
    ids=["no tmp", "no state"],
)
def test_where_nothing_can_be_written_is_said(project, environ, also, wrong, hint):
    done = verb(project, "up", environ=environ, also=also)
    assert done.returncode == 3
    assert wrong in done.stderr
    assert hint in done.stderr
    assert "Traceback" not in done.stderr


FORMS = [["render", form] for form in ("dockerfile", "compose", "kubernetes")]


@pytest.mark.parametrize("words", [["validate"], ["config"], ["build-image", "--check"], *FORMS])
def test_other_verbs_need_neither_a_home_nor_a_name_nor_a_place_to_write(project, words):
    done = verb(project, *words, also="/tmp")
    assert done.returncode == 0, done.stderr


def test_models_need_a_place(project):
    done = verb(project, "models", "list", also="/tmp")
    assert (done.returncode, "BENTOD_MODELS" in done.stderr) == (3, True), done.stderr
    done = verb(project, "models", "list", environ={"BENTOD_MODELS": "/nowhere"}, also="/tmp")
    assert done.returncode == 0, done.stderr
