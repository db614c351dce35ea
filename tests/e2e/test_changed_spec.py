"""A daemon whose spec has changed on disk since it started: it must still be found, and it alone."""

import subprocess
import sys

import pytest

from tests.support.daemon import eventually, running
from tests.support.project import api, project

pytestmark = [pytest.mark.e2e, pytest.mark.beside]

TARGET = "import os\n\nVALUE = os.environ['FROM_FILE']\n\n\ndef value() -> str:\n    return VALUE\n"
HOOK = "import threading\n\n\ndef ready() -> bool:\n    threading.Event().wait()\n\n\ndef f(x):\n    return x\n"


@pytest.fixture
def folder(tmp_path):
    return project(
        tmp_path,
        files={"plain.py": TARGET, "values.env": "FROM_FILE=here\n"},
        env_files=["values.env"],
        services={"plain": {"target": "plain.py"}},
        apis={"value": {**api("plain", "value"), "output": {"type": "string"}}},
    )


def rewritten(folder, old, new):
    spec = folder / "bentofile.yaml"
    assert old in spec.read_text()
    spec.write_text(spec.read_text().replace(old, new))


def test_a_daemon_is_found_and_stopped_although_its_spec_is_broken_by_now(folder):
    with running(folder) as app:
        rewritten(folder, "services", "servcies")
        assert app.cli("validate").returncode == 2
        assert app.status()["services"]["plain"]["ready"] == 1
        called = app.cli("call", "value", "{}")
        assert called.stdout == '"here"\n', called.stderr
        assert "plain/0 ready" in app.cli("logs", "plain").stdout
        down = app.cli("down")
        assert (down.returncode, "is down" in down.stdout) == (0, True), down.stderr
        assert app.process.wait(30) == 0


def test_another_name_makes_no_second_daemon(folder):
    with running(folder) as app:
        name = app.status()["name"]
        rewritten(folder, name, "other")
        second = app.cli("up")
        assert second.returncode == 3
        assert "already runs" in second.stderr
        eventually(lambda: app.status()["name"] == "other", what="the new name, in the same daemon")


def test_validate_imports_with_the_env_files(folder):
    command = [sys.executable, "-m", "bentod", "validate", "-f", str(folder / "bentofile.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout


def test_a_ready_hook_that_never_answers_is_a_start_that_failed(tmp_path):
    folder = project(
        tmp_path,
        files={"hook.py": HOOK},
        services={"hook": {"target": "hook.py", "hooks": {"ready": "ready"}, "start_timeout": "3s"}},
        apis={"f": {"service": "hook"}},
    )
    with running(folder, ready=False, code=4) as app:
        assert app.process.wait(60) == 4
        assert "the ready hook does not answer" in app.text()
