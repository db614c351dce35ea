"""Models of a running daemon: fetched before its workers start, pinned, followed where they are paths, recorded."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from tests.support.daemon import eventually, running
from tests.support.edits import respec
from tests.support.hub import Fault, Hub, forbidden
from tests.support.project import api, project

pytestmark = [pytest.mark.e2e, pytest.mark.beside, pytest.mark.timeout(200)]

MAIN = """
import pathlib

class Reader:
    def __init__(self, model):
        self.model = pathlib.Path(model)

    def read(self, name):
        return (self.model / name).read_text() if name else self.model.read_text()
"""
SOON = {"reload": {"debounce": "100ms"}}


def reader(folder, **models):
    return project(
        folder,
        files={"main.py": MAIN},
        models=models,
        services={"s": {"target": "main.py:Reader", "init": {"model": "${models.m.path}"}}},
        apis={"read": api("s", "read", "name")},
        **SOON,
    )


def says(app, name=""):
    status, _, body = app.post("/read", {"name": name})
    assert status == 200, body
    return body


def homes(folder):
    return {"BENTOD_MODELS": str(folder / "models"), "HF_HOME": str(folder / "hf"), "HF_HUB_DISABLE_TELEMETRY": "1"}


@pytest.fixture
def short():
    with tempfile.TemporaryDirectory(prefix="bt") as folder:
        yield Path(folder)


def test_a_model_that_is_a_path_is_followed_by_what_it_holds(tmp_path):
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights/a.txt").write_text("one")
    folder = reader(tmp_path / "p", m={"source": "../weights"})
    with running(folder) as app:
        assert says(app, "a.txt") == "one"
        [before] = app.pids()
        (tmp_path / "weights/a.txt").touch()
        (tmp_path / "weights/a.txt").write_text("two")
        eventually(lambda: app.control()["generation"] == 2)
        assert says(app, "a.txt") == "two"
        (tmp_path / "weights/b.txt").write_text("new")
        eventually(lambda: app.control()["generation"] == 3, what="a file that is added")
        assert before not in app.pids()
        shown = app.cli("show", "3").stdout
        assert "model m  sha256:" in shown
        assert "models.m" in shown
        back = app.cli("rollback", "1")
        assert back.returncode != 0
        assert "not what it was" in back.stdout + back.stderr
        assert says(app, "b.txt") == "new"


def test_a_model_of_a_hub_is_fetched_once_and_then_nobody_is_asked(tmp_path):
    with Hub() as hub:
        first = hub.add("org/m", {"a.txt": b"one", "big.bin": b"0" * 300_000})
        folder = reader(tmp_path / "p", m={"source": "hf://org/m", "endpoint": hub.url, "exclude": ["*.bin"]})
        with running(folder, env=homes(tmp_path)) as app:
            assert says(app, "a.txt") == "one"
            [ready] = app.events("model.ready")
            assert (ready["commit"], ready["files"], ready["bytes"]) == (first, 1, 3)
            asked = len(hub.requests)
            hub.add("org/m", {"a.txt": b"two"})
            respec(folder, lambda data: data["services"]["s"].update(threads=2))
            eventually(lambda: app.control()["generation"] == 2)
            assert says(app, "a.txt") == "one", "what runs stays at its commit"
            assert len(hub.requests) == asked
            [model] = json.loads(app.cli("show", "2", "--json").stdout)["models"].values()
            assert model["declared"]["commit"] == first
    with forbidden() as nobody:
        respec(folder, lambda data: data["models"]["m"].update(revision=first))
        with running(folder, env=homes(tmp_path) | {"HF_ENDPOINT": nobody.url}) as app:
            assert says(app, "a.txt") == "one"
            assert app.events("model.fetching") == []


def test_a_model_that_cannot_be_fetched_starts_nothing_and_harms_nothing(tmp_path, short):
    with Hub() as hub:
        hub.add("org/m", {"a.txt": b"one"})
        hub.faults = [Fault("revision", times=1000, status=404)]
        folder = reader(tmp_path / "p", m={"source": "hf://org/m", "endpoint": hub.url})
        command = [sys.executable, "-P", "-m", "bentod", "up", "-f", str(folder / "bentofile.yaml")]
        environ = {**os.environ, **homes(tmp_path), "BENTOD_RUN": str(short), "BENTOD_STATE": str(short)}
        done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60)
        assert done.returncode == 4, done.stderr
        assert "org/m" in done.stderr
        hub.faults = []
        with running(folder, env=homes(tmp_path)) as app:
            before = app.pids()
            respec(folder, lambda data: data["models"]["m"].update(revision="other"))
            change = eventually(lambda: (c := app.control()["change"])["state"] == "failed" and c, 60)
            assert "org/m" in change["reason"]
            assert says(app, "a.txt") == "one"
            assert app.pids() == before


def test_a_fetch_under_way_is_told_and_ends_with_the_daemon(tmp_path):
    with Hub() as hub:
        hub.add("org/m", {"big.bin": b"0" * 3_000_000})
        held = threading.Event()
        hub.faults = [Fault("cdn", times=1000, after=1_000_000, held=held)]
        folder = reader(tmp_path / "p", m={"source": "hf://org/m", "endpoint": hub.url})
        try:
            with running(folder, env=homes(tmp_path), ready=False) as app:
                eventually(lambda: app.events("model.fetching"))
                eventually(lambda: list(app.run.glob("*/control.sock")))
                eventually(lambda: app.control()["state"] == "starting")
                app.process.send_signal(signal.SIGTERM)
                assert app.process.wait(20) in {0, 4}
        finally:
            held.set()
