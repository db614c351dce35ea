"""A daemon under a real systemd: what `bentod render systemd` writes starts, reloads, upgrades and stops it."""

import json
import os
import subprocess
import sys

import pytest

from tests.support.daemon import alive, eventually, free_port
from tests.support.http import Connection, request
from tests.support.load import load
from tests.support.project import api, project
from tests.support.systemd import manager, possible

pytestmark = pytest.mark.e2e

UNIT = "bentod-e2e.service"
WORD = "WORD = 'one'\n\n\ndef say() -> str:\n    return WORD\n"


@pytest.fixture
def served(tmp_path):
    """A project with an odd name, its units, and the address that it serves."""
    if not possible():
        pytest.skip("no systemd as a user's manager here")
    port = free_port()
    folder = project(
        tmp_path / 'a "b" %h $x',
        files={"word.py": WORD},
        services={"word": {"target": "word.py"}},
        apis={"say": api("word", "say")},
        server={"listen": f"127.0.0.1:{port}"},
        reload={"watch": False},
    )
    return folder, f"http://127.0.0.1:{port}"


def units(folder, *words):
    where = folder.parent / "units"
    command = [sys.executable, "-P", "-m", "bentod", "render", "systemd", "--user", "-o", str(where), *words]
    environ = {name: value for name, value in os.environ.items() if not name.startswith("BENTOD_")}
    subprocess.run([*command, "-f", str(folder / "bentofile.yaml")], env=environ, check=True, timeout=60)
    return where


def bentod(found, folder, *words):
    done = found.run(sys.executable, "-P", "-m", "bentod", *words, "-f", str(folder / "bentofile.yaml"), timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def says(url):
    with Connection(url) as connection:
        return connection.ask(request("/say", {})).json


def main_pid(found):
    return int(found.show(UNIT, "MainPID"))


def test_a_unit_starts_reloads_upgrades_and_stops(served):
    folder, url = served
    with manager(units(folder)) as found:
        found.systemctl("start", UNIT)
        assert says(url) == "one"
        first = main_pid(found)
        assert json.loads(bentod(found, folder, "status", "--json"))["daemon"]["pid"] == first
        assert "generation 1 at" in found.show(UNIT, "StatusText")
        (folder / "word.py").write_text(WORD.replace("one", "two"))
        found.systemctl("reload", UNIT)
        eventually(lambda: says(url) == "two", 60, "the reload")
        with load(url, "/say", {}, clients=3) as clients:
            clients.more()
            bentod(found, folder, "upgrade")
            clients.more()
        assert set(clients.answers) == {"200"}
        second = eventually(lambda: (pid := main_pid(found)) != first and pid, 30, "another main process")
        eventually(lambda: not alive(first), 60, "the old one has ended")
        assert found.show(UNIT, "ActiveState") == "active"
        assert found.show(UNIT, "NRestarts") == "0"
        found.systemctl("restart", UNIT)
        assert says(url) == "two"
        assert not alive(second)
        found.systemctl("stop", UNIT)
        assert found.show(UNIT, "Result") == "success"


def test_systemd_may_open_the_sockets(served):
    folder, url = served
    with manager(units(folder, "--socket")) as found:
        found.systemctl("start", "bentod-e2e.socket")
        assert main_pid(found) == 0
        assert says(url) == "one"  # which starts the service
        first = eventually(lambda: main_pid(found), 30)
        bentod(found, folder, "upgrade")
        assert says(url) == "one"
        eventually(lambda: main_pid(found) != first and not alive(first), 60, "the old one has ended")
        found.systemctl("stop", UNIT)
        assert says(url) == "one"  # which starts it again
        found.systemctl("stop", "bentod-e2e.socket", UNIT)
