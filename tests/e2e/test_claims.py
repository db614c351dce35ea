"""Several daemons on one host: what one has given to its workers, the others do not give again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import ExitStack

import pytest

from tests.support.daemon import running
from tests.support.edits import put
from tests.support.nvml import StandIn

pytestmark = [pytest.mark.e2e, pytest.mark.beside]

CODE = """
import os

def seen():
    return [os.environ.get("CUDA_VISIBLE_DEVICES"), sorted(os.sched_getaffinity(0))]
"""


@pytest.fixture
def host(tmp_path):
    """The environment of all daemons of a host with two GPUs."""
    return {**StandIn(tmp_path, gpus=2).environ, "BENTOD_CLAIMS": str(tmp_path / "claims")}


def project(folder, **resources):
    folder.mkdir(exist_ok=True)
    put(folder / "main.py", CODE)
    text = {
        "bentod": 1,
        "name": folder.name,
        "services": {"s": {"target": "main.py", "resources": resources}},
        "apis": {"seen": {"service": "s", "input": {"type": "object", "properties": {}}}},
        "reload": {"watch": False},
    }
    put(folder / "bentofile.yaml", json.dumps(text))
    return folder


def gpu(app):
    """The one that the worker sees."""
    return app.post("/seen", {})[2][0]


def test_each_daemon_has_its_gpu_though_nobody_computes_yet(tmp_path, host, short_folder):
    with running(project(tmp_path / "one", gpus=1), env=host) as one, ExitStack() as later:
        second = later.enter_context(running(project(tmp_path / "two", gpus=1), env=host))
        assert gpu(one) != gpu(second)
        third = project(tmp_path / "three", gpus=1)
        refused = up(third, tmp_path, {**host, "BENTOD_RUN": str(short_folder)})
        assert refused.returncode == 3
        assert "2 of 2 GPUs are given to s of" in refused.stderr
        assert f"{tmp_path}/one/bentofile.yaml" in refused.stderr
        project(tmp_path / "one", gpus=2)
        assert one.cli("apply").returncode == 3
        project(tmp_path / "two", gpus=0)
        assert second.cli("apply").returncode == 0, "it gives its GPU back"
        assert one.cli("apply").returncode == 0
        assert len(gpu(one).split(",")) == 2


def up(folder, tmp_path, host):
    environ = {**os.environ, **host, "BENTOD_STATE": str(tmp_path / "st")}
    command = [sys.executable, "-P", "-m", "bentod", "up", "-f", str(folder / "bentofile.yaml")]
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60)


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one CPU is not enough for two")
def test_workers_of_two_daemons_run_on_cpus_of_their_own(tmp_path, host):
    with (
        running(project(tmp_path / "one", cpus=1), env=host) as one,
        running(project(tmp_path / "two", cpus=1), env=host) as two,
    ):
        first, second = (app.post("/seen", {})[2][1] for app in (one, two))
        assert len(first) == len(second) == 1
        assert first != second


def test_daemons_that_start_at_once_share_out_what_there_is(tmp_path, host, short_folder):
    folders = [project(tmp_path / name, gpus=1) for name in ("one", "two")]
    commands = []
    for folder in folders:
        environ = {
            **os.environ,
            **host,
            "BENTOD_RUN": str(short_folder),
            "BENTOD_STATE": str(tmp_path / f"st{folder.name}"),
        }
        overlay = folder / "over.yaml"
        put(overlay, json.dumps({"server": {"listen": f"unix:{short_folder}/{folder.name}.sock"}}))
        words = ["-f", str(folder / "bentofile.yaml"), "-f", str(overlay)]
        commands.append(([sys.executable, "-P", "-m", "bentod"], words, environ))
    starting = [
        subprocess.Popen([*command, "up", "-d", "--wait", *words], env=environ) for command, words, environ in commands
    ]
    try:
        assert [one.wait(60) for one in starting] == [0, 0]
        seen = [
            json.loads(subprocess.check_output([*command, "call", *words, "seen", "{}"], env=environ))[0]
            for command, words, environ in commands
        ]
        assert len({*seen}) == 2
    finally:
        for command, words, environ in commands:
            subprocess.run([*command, "down", *words], env=environ, check=False, timeout=60)
