"""What is known of a spec's models before anything starts, and what fetching makes of it."""

import asyncio
import os
import subprocess
import time
from dataclasses import replace

import pytest

from bentod.daemon import weights as module
from bentod.daemon.weights import NO_MODELS, Former, Weights, fetched, weights
from bentod.errors import SpecError, StartError
from bentod.models.hashes import Hashes
from bentod.models.home import ModelError
from bentod.models.progress import Progress
from bentod.plan.models import Located, Missing, ModelPlan

HUB = ModelPlan("m", "hf", "org/m", "main")
COMMIT = "a" * 40
FOUND = Located("m", "/m", "sha256:" + "0" * 64, commit=COMMIT, size=3, files=1)


@pytest.fixture
def environ(tmp_path):
    return {"BENTOD_MODELS": str(tmp_path / "models"), "HF_HOME": str(tmp_path / "hf")}


def locked(folder, text):
    path = folder / "bentofile.lock"
    path.write_text(text)
    return path


def test_without_models_nothing_is_read(tmp_path):
    assert weights((), locked(tmp_path, "broken = "), (), {}) is NO_MODELS


def test_the_lock_file_pins_before_what_runs_does(tmp_path, environ):
    carried = [replace(HUB, commit="c" * 40)]
    text = f'version = 1\n[models.m]\nsource = "hf://org/m"\nrevision = "main"\ncommit = "{COMMIT}"\n'
    lock = locked(tmp_path, text)
    assert weights([HUB], lock, carried, environ).declared[0].commit == COMMIT
    assert weights([HUB], tmp_path / "none.lock", carried, environ).declared == tuple(carried)
    other = replace(HUB, revision="v2")
    assert weights([other], lock, carried, environ).declared == (other,), "another revision is another model"
    lock.write_text("version = 1\nnonsense = 2\n")
    with pytest.raises(SpecError, match=r"problem"):
        weights([HUB], lock, carried, environ)


def test_a_model_that_is_a_path_is_found_and_watched_and_one_that_is_not_there_is_said(tmp_path, environ):
    (tmp_path / "w/in").mkdir(parents=True)
    (tmp_path / "w/in/a.bin").write_bytes(b"1")
    here, gone = (ModelPlan(name, "path", str(tmp_path / name)) for name in ("w", "gone"))
    found = weights([here, gone], tmp_path / "x.lock", (), environ)
    assert (found.located["w"].files, found.located["w"].path) == (1, str(tmp_path / "w"))
    assert set(found.watched) == {tmp_path / name for name in ("w", "w/in", "w/in/a.bin", "gone")}
    with pytest.raises(StartError, match="model gone"):
        asyncio.run(fetched(found, environ, lambda *_, **__: None))


def test_a_model_in_a_very_deep_folder_is_watched_too(tmp_path, environ):
    deep = tmp_path / "w"
    deep.mkdir()
    for _ in range(1200):
        deep /= "a"
        deep.mkdir()
    (deep / "x").write_bytes(b"1")
    try:
        found = weights([ModelPlan("w", "path", str(tmp_path / "w"))], None, (), environ)
    finally:
        subprocess.run(["rm", "-r", str(tmp_path / "w")], check=True)  # pytest would not get to its end
    assert deep / "x" in found.watched
    assert found.located["w"].files == 1


def test_files_that_were_read_are_not_read_again_for_the_next_change(tmp_path, environ, monkeypatch):
    (tmp_path / "w").write_bytes(b"1")
    os.utime(tmp_path / "w", (1, 1))
    model, hashes = ModelPlan("w", "path", str(tmp_path / "w")), Hashes(lambda: time.time_ns() + 60_000_000_000)
    first = weights([model], None, (), environ, hashes)
    monkeypatch.setattr("bentod.models.digest.pieces", None)
    assert weights([model], None, (), environ, hashes) == first


@pytest.fixture
def fetching(monkeypatch):
    """What `fetch` was asked for; it finds FOUND, after some progress, or raises `error`."""

    class Fetching:
        asked: tuple = ()
        error: Exception | None = None
        progress: tuple = ()

        async def fetch(self, models, home, environ, report):
            self.asked += tuple(models)
            for one in self.progress:
                report(one)
            if self.error:
                raise self.error
            return {"m": FOUND}

    made = Fetching()
    monkeypatch.setattr("bentod.models.fetching.fetch", made.fetch)
    return made


def run(found, **more):
    told = []
    done = asyncio.run(fetched(found, {}, lambda event, **keys: told.append((event, keys)), **more))
    return done, told


def test_what_is_pinned_and_there_needs_nobody(fetching):
    here = Weights((replace(HUB, commit=COMMIT),), {"m": FOUND})
    assert run(here) == (here, [])
    baked = Weights((HUB,), {"m": FOUND}, baked=True)
    assert run(baked) == (baked, [])
    assert fetching.asked == ()


def test_what_is_open_is_asked_for_and_pinned_by_what_came(fetching):
    done, told = run(Weights((HUB,), {}, {"m": Missing("m", "it was never fetched", fetchable=True)}))
    assert fetching.asked == (HUB,)
    assert done.pinned == (replace(HUB, commit=COMMIT),)
    assert (done.located, done.missing) == ({"m": FOUND}, {})
    assert [event for event, _ in told] == ["model.fetching", "model.ready"]
    assert done.wanted == (HUB,), "nobody but what runs pins it"


def test_what_comes_for_a_generation_of_old_must_be_what_it_was(fetching):
    gone = Weights((replace(HUB, commit=COMMIT),), {}, {"m": Missing("m", "it is gone", fetchable=True)})
    assert run(replace(gone, former=Former(3, {"m": FOUND.digest, "other": "x"})))[0].located == {"m": FOUND}
    with pytest.raises(StartError, match="the model m is not what it was in generation 3"):
        run(replace(gone, former=Former(3, {"m": "sha256:" + "1" * 64})))


def test_what_goes_wrong_starts_nothing(fetching):
    fetching.error = ModelError("the model m: no")
    with pytest.raises(StartError, match="the model m: no"):
        run(Weights((HUB,)))


def test_progress_is_told_seldom_and_warnings_always(fetching, monkeypatch):
    clock = iter(range(100))
    monkeypatch.setattr(module.time, "monotonic", lambda: next(clock))
    fetching.progress = (
        Progress("m", state="listing", note="the hub is away"),
        *[Progress("m", 1, 9, state="fetching")] * 7,
    )
    _, told = run(Weights((HUB,)))
    counts = [event for event, _ in told]
    assert counts.count("model.note") == 1
    assert 2 <= counts.count("model.progress") <= 4
    seen = []
    _, told = run(Weights((HUB,)), shown=seen.append)
    assert len(seen) == 8
    assert "model.progress" not in [event for event, _ in told]
