"""The process that fetches: it ends with its parent, is ended, is killed, and goes on where another one ended."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from bentod.models import fetching
from bentod.models.fetching import fetch, fetch_now, listing_now
from bentod.models.home import Home, ModelError
from bentod.models.orders import Limits
from bentod.models.records import Records
from bentod.plan.models import ModelPlan
from tests.support.daemon import eventually
from tests.support.fetches import QUICK, Host, hf
from tests.support.hub import Fault, forbidden

WEIGHTS = "model.safetensors"
ROOT = Path(__file__).parents[2]
PARENT = """
import json, sys
from pathlib import Path
from bentod.models.fetching import fetch_now
from bentod.models.home import Home
from bentod.models.orders import Limits
from bentod.plan.models import ModelPlan
root, environ = json.loads(sys.argv[1])
limits = Limits(retries=2, delay_s=0.01, silence_s=20)
found = fetch_now([ModelPlan("m", "hf", "org/model")], Home(Path(root)), environ, lambda one: print(one.state), limits)
print(json.dumps(found["m"].path))
"""


@pytest.fixture
def held(hub):
    """The hub's large file stops in the middle, until this is set."""
    event = threading.Event()
    hub.faults = [Fault("cdn", hub.weights, after=100_000, held=event)]
    yield event
    event.set()


def parent(host):
    """A process that fetches, as a daemon would."""
    text = json.dumps([str(host.home.root), host.environ])
    return subprocess.Popen([sys.executable, "-c", PARENT, text], cwd=ROOT, stdout=subprocess.PIPE, text=True)


def children(pid):
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def came(host, size):
    return any(one.stat().st_size >= size for one in host.partial())


def test_models_of_all_kinds(host, hub, files, tmp_path):
    (tmp_path / "local.bin").write_bytes(b"weights")
    local = ModelPlan("local", "path", str(tmp_path / "local.bin"))
    found = host.fetch(local, hf(), hf("again", include=("*.md",)))
    assert list(found) == ["local", "m", "again"]
    assert (found["m"].commit, found["m"].files) == (hub.commit, 4)
    assert Path(found["m"].path, "config.json").read_bytes() == files["config.json"]
    assert found["local"].path == str(tmp_path / "local.bin")
    assert {(one.model, one.state) for one in host.told} >= {(name, "ready") for name in found}
    assert hub.asked("unknown") == []  # nobody is told what runs here


def test_what_is_pinned_and_complete_takes_no_network_and_no_process(host, hub, monkeypatch):
    host.pull()
    monkeypatch.setattr(asyncio, "create_subprocess_exec", None)
    with forbidden() as other:
        found = host.fetch(hf(commit=hub.commit), hf("n", revision=hub.commit), HF_ENDPOINT=other.url)
    assert {one.commit for one in found.values()} == {hub.commit}
    assert [one.state for one in host.told[-2:]] == ["ready", "ready"]


def test_a_model_that_cannot_be_fetched_is_named_before_anything_is_fetched(host, hub, tmp_path):
    gone = ModelPlan("gone", "path", str(tmp_path / "nothing"))
    with pytest.raises(ModelError, match=r"model `gone`: .*nothing does not exist"):
        host.fetch(hf(), gone)
    with pytest.raises(ModelError, match=r"model `s`: the store .* has no model llm"):
        host.fetch(ModelPlan("s", "store", "llm"))
    assert hub.requests == []


def test_a_hub_that_sends_something_else_for_a_locked_commit_is_refused(host, hub):
    other = "sha256:" + "0" * 64
    with pytest.raises(ModelError, match=f"and {other} is locked: the hub sends something else"):
        host.fetch(hf(commit=hub.commit, locked=other))
    digest = host.fetch(hf(commit=hub.commit))["m"].digest
    assert host.fetch(hf(commit=hub.commit, locked=digest))["m"].digest == digest


def test_an_error_of_the_child_is_one_line_without_the_token(host, hub):
    hub.repositories["org/model"].token = "hf_right"
    with pytest.raises(ModelError, match="model `m`: hf://org/model") as raised:
        host.fetch(hf(), HF_TOKEN="hf_wrong_one")
    assert "hf_wrong_one" not in str(raised.value)
    assert {one.headers["authorization"] for one in hub.asked("revision")} == {"Bearer hf_wrong_one"}


def test_a_listing(host, hub, files):
    listing = listing_now(hf(exclude=("*.bin",)), host.home, host.environ, QUICK)
    assert listing.commit == hub.commit
    assert {file.path: file.size for file in listing.files} == {p: len(d) for p, d in files.items() if p[-4:] != ".bin"}
    with pytest.raises(ModelError, match="hf://org/none"):
        listing_now(hf(source="org/none"), host.home, host.environ, QUICK)


def test_a_child_that_is_killed_leaves_no_record_and_the_next_goes_on(host, hub, files, held):
    process = parent(host)
    eventually(lambda: came(host, 100_000))
    os.kill(children(process.pid)[0], signal.SIGKILL)
    out, _ = process.communicate(timeout=20)
    assert process.returncode == 1
    assert "ready" not in out
    goes_on(host, hub, files)


def test_a_child_ends_with_its_parent_and_the_next_goes_on(host, hub, files, held):
    process = parent(host)
    eventually(lambda: came(host, 100_000))
    (child,) = children(process.pid)
    process.kill()
    process.communicate(timeout=20)
    eventually(lambda: not alive(child))
    goes_on(host, hub, files)


def goes_on(host, hub, files):
    assert Records(host.home).all() == []
    hub.requests.clear()
    record = host.pull()
    assert host.files(record) == files
    assert "bytes=100000-" in [one.headers.get("range") for one in hub.asked("cdn")]
    assert host.partial() == []


def test_a_fetch_that_is_cancelled_ends_its_child(host, hub, files, held):
    async def cancelled():
        before = set(children(os.getpid()))
        task = asyncio.create_task(fetch([hf()], host.home, host.environ, host.told.append, QUICK))
        while not came(host, 100_000):
            await asyncio.sleep(0.01)
        started = set(children(os.getpid())) - before
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return started

    for child in asyncio.run(cancelled()):
        assert not alive(child)
    goes_on(host, hub, files)


def test_two_daemons_that_fetch_the_same_fetch_it_once(host, hub, held):
    first = parent(host)
    eventually(lambda: came(host, 100_000))
    second = parent(host)
    for line in second.stdout:
        if line.strip() == "waiting":
            break
    held.set()
    outs = [process.communicate(timeout=30)[0].splitlines() for process in (first, second)]
    assert outs[0][-1] == outs[1][-1]
    assert [one[-2] for one in outs] == ["ready", "ready"]
    assert len(hub.asked("cdn")) == 2  # one for each large file


def test_a_child_that_dies_is_told(host, monkeypatch, tmp_path):
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "huggingface_hub.py").write_text("raise RuntimeError('no such thing')")
    monkeypatch.setattr(fetching, "_environment", lambda environ: {**environ, "PYTHONPATH": f"{broken}:{ROOT}"})
    with pytest.raises(ModelError, match=r"models `m` .hf://org/model.: .* ended with status 1.*no such thing"):
        host.fetch(hf())


def test_a_child_that_dies_before_its_order_comes_has_last_words(tmp_path):
    (tmp_path / "huggingface_hub.py").write_text("raise RuntimeError('no such thing')")
    environ = {**os.environ, "PYTHONPATH": f"{tmp_path}:{ROOT}"}
    words = [sys.executable, "-P", "-m", "bentod.models"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=environ, text=True) as child:
        assert child.wait(30) == 1
        assert child.stderr.read().endswith("RuntimeError: no such thing\n")


def test_a_disk_that_is_really_full(tmp_path, hub, files):
    """On a file system of its own that is too small for one of two files: it is told beforehand what is missing; and
    what fills up meanwhile is told, too."""
    folder = tmp_path / "small"
    folder.mkdir()
    host = Host(folder, hub.url)
    text = json.dumps([str(tmp_path / "home"), host.environ])
    fill = f"mount -t tmpfs -o size=200k none {folder} && exec {sys.executable} -c \"$0\" '{text}'"
    if subprocess.run(["unshare", "-rm", "mount", "-t", "tmpfs", "none", folder], capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    done = subprocess.run(["unshare", "-rm", "sh", "-c", fill, PARENT], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert "are to be fetched, and" in done.stderr
    assert Records(Home(tmp_path / "home")).all() == []


def test_patience_is_not_for_ever():
    assert Limits().retries * Limits().longest_wait_s <= 300


def test_no_process_is_left(host):
    assert fetch_now([], host.home, host.environ, host.told.append) == {}
