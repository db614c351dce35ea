"""Where models lie: on this host, in the store, in what was fetched, in an image. No hub is asked for any of it."""

from __future__ import annotations

import json
import os
import re
import time
from dataclasses import replace
from pathlib import Path

import pytest

from bentod.models import baked, digest
from bentod.models.adding import Source, add
from bentod.models.hashes import Hashes
from bentod.models.home import Home, default_home
from bentod.models.locate import locate
from bentod.models.manifest import About
from bentod.models.records import Fetched, Record, Records
from bentod.models.store import Store
from bentod.plan.models import Located, Missing, ModelPlan
from tests.support.fetches import hf

COMMIT = "a" * 40
ABOUT = About()
WRONG = "sha256:" + "0" * 64


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path / "home")


@pytest.fixture
def weights(tmp_path):
    folder = tmp_path / "weights"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.bin").write_bytes(b"aaa")
    (folder / "sub" / "b.json").write_bytes(b"{}")
    return folder


def local(path, **more):
    return ModelPlan("m", "path", str(path), **more)


def one(model, home, **more):
    return locate([model], home, **more)[model.name]


def recorded(home, folder, model, commit=COMMIT, names=("a.bin", "sub/b.json")):
    files = digest.of(folder, follow=True).files
    made = [
        Fetched(path=f.path, size=f.size, mtime_ns=(folder / f.path).stat().st_mtime_ns, sha256=f.sha256)
        for f in files
        if f.path in names
    ]
    record = Record.of(model, Records(home).hub(model), commit, folder, made)
    Records(home).put(record)
    return record


def test_a_folder_and_a_file_of_this_host(home, weights):
    found = one(local(weights), home)
    assert found == Located("m", str(weights), digest.of(weights).digest, size=5, files=2)
    assert one(local(weights / "a.bin"), home).digest == digest.of(weights / "a.bin").digest
    assert not home.root.exists()


def test_a_path_that_is_not_there_or_holds_nothing(home, weights, tmp_path):
    gone = one(local(weights / "none"), home)
    assert isinstance(gone, Missing)
    assert not gone.fetchable
    assert "none does not exist" in gone.reason
    (tmp_path / "empty").mkdir()
    assert "holds no file" in one(local(tmp_path / "empty"), home).reason
    os.mkfifo(weights / "pipe")
    assert "is a FIFO" in one(local(weights), home).reason


@pytest.mark.parametrize("kind", ["path", "store", "hf"])
def test_the_digest_that_the_spec_demands_is_that_of_the_files_as_they_are(home, weights, kind):
    right = digest.of(weights).digest
    model = {"path": local(weights), "store": ModelPlan("m", "store", "w"), "hf": hf(commit=COMMIT)}[kind]
    if kind == "store":
        add(Store(home.store), Source(weights), "w:1", ABOUT)
    if kind == "hf":
        recorded(home, weights, model)
    found = one(replace(model, digest=right), home)
    assert isinstance(found, Located), found
    wrong = one(replace(model, digest=WRONG), home)
    assert (wrong.fetchable, right in wrong.reason, WRONG in wrong.reason) == (False, True, True)
    changed = Path(found.path, "a.bin")
    times = changed.stat()
    changed.chmod(0o600)
    changed.write_bytes(b"bbb")
    os.utime(changed, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert isinstance(one(replace(model, digest=right), home), Missing)


def test_a_model_of_the_store(home, weights):
    add(Store(home.store), Source(weights), "w:1", ABOUT)
    found = one(ModelPlan("m", "store", "w"), home)
    assert (found.version, found.digest, found.files) == ("1", digest.of(weights).digest, 2)
    assert one(ModelPlan("m", "store", "w", version="1"), home) == found
    assert one(ModelPlan("m", "store", "w:1", ABOUT), home) == found
    for missing in (ModelPlan("m", "store", "w:2"), ModelPlan("m", "store", "w", version="2")):
        assert "has no model w:2; `bentod models add`" in one(missing, home).reason
    (Path(found.path) / "a.bin").unlink()
    assert "damaged" in one(ModelPlan("m", "store", "w"), home).reason


@pytest.mark.parametrize("source", ["../w", "w/../../x", "..", "", "w:..", "w:../1"])
def test_a_name_that_leads_out_of_the_store(home, weights, source):
    add(Store(home.store), Source(weights), "w:1", ABOUT)
    assert isinstance(one(ModelPlan("m", "store", source), home), Missing)


def test_a_fetch_is_found_by_its_commit_and_by_its_last_revision(home, weights):
    record = recorded(home, weights, hf(commit=COMMIT))
    assert one(hf(commit=COMMIT), home) == record.located("m")
    assert one(hf(revision=COMMIT), home) == record.located("m")
    unpinned = one(hf(), home)
    assert (unpinned.fetchable, unpinned.reason) == (True, "hf://org/model at main was not fetched yet")
    Records(home).point(hf(), COMMIT)
    assert one(hf(), home) == record.located("m")
    assert one(hf(revision="main"), home) == record.located("m")
    for other in (
        hf(commit="b" * 40),
        hf(revision="v1"),
        hf(include=("*",)),
        hf(exclude=("a",)),
        hf(endpoint="http://x"),
        hf(source="org/other"),
    ):
        assert one(other, home).fetchable


def test_a_fetch_of_a_locked_commit_that_holds_something_else_is_not_used(home, weights):
    record = recorded(home, weights, hf(commit=COMMIT))
    assert one(hf(commit=COMMIT, locked=record.digest), home) == record.located("m")
    refused = one(hf(commit=COMMIT, locked=WRONG), home)
    assert not refused.fetchable
    assert f"{WRONG} is locked" in refused.reason


def test_a_fetch_whose_files_are_not_what_they_were_is_fetched_again(home, weights):
    model = hf(commit=COMMIT)
    recorded(home, weights, model)
    os.utime(weights / "a.bin", (1, 1))
    assert "was written since it was fetched" in one(model, home).reason
    (weights / "a.bin").write_bytes(b"a")
    assert "has 1 bytes instead of 3" in one(model, home).reason
    (weights / "a.bin").unlink()
    assert "No such file" in one(model, home).reason
    assert one(model, home).fetchable


def test_files_beside_those_of_a_fetch_do_not_count(home, weights):
    model = hf(commit=COMMIT, include=("*.bin",))
    record = recorded(home, weights, model, names=("a.bin",))
    (weights / "more.bin").write_bytes(b"of another fetch")
    assert one(replace(model, digest=record.digest), home) == record.located("m")


def broken(record, **changes):
    return json.dumps({**json.loads(record.model_dump_json()), **changes})


@pytest.mark.parametrize(
    "text",
    [
        lambda _: "",
        lambda _: "null",
        lambda _: "\0" * 100,
        lambda record: record.model_dump_json()[:-20],
        lambda record: broken(record, more=1),
        lambda record: broken(record, format=2),
        lambda record: broken(record, commit="b" * 40),
        lambda record: broken(record, files=[]),
        lambda record: broken(record, digest=WRONG),
        lambda record: broken(
            record, files=[{"path": "../a", "size": 1, "mtime_ns": 1, "sha256": "0" * 64}], digest=WRONG
        ),
    ],
)
def test_a_record_that_is_damaged_is_as_if_it_were_not_there(home, weights, text):
    model = hf(commit=COMMIT)
    record = recorded(home, weights, model)
    path = home.hub / f"{record.key}.json"
    path.write_text(text(record))
    assert one(model, home).fetchable
    assert "its record is damaged" in one(model, home).reason
    records = Records(home)
    assert (records.all(), records.damaged) == ([], (path,))


def test_a_pointer_that_is_damaged_is_as_if_it_were_not_there(home, weights):
    recorded(home, weights, hf())
    Records(home).point(hf(), COMMIT)
    (pointer,) = (home.hub / "revisions").iterdir()
    pointer.write_text('{"commit": "../../x"}')
    assert one(hf(), home).fetchable


def test_records_are_listed_and_forgotten(home, weights):
    first = recorded(home, weights, hf(commit=COMMIT))
    second = recorded(home, weights, hf(commit="b" * 40), commit="b" * 40)
    records = Records(home)
    assert {one.commit for one in records.all()} == {first.commit, second.commit}
    records.remove(first)
    assert records.all() == [second]
    assert one(hf(commit=COMMIT), home).fetchable
    assert (weights / "a.bin").exists()


def test_what_was_read_once_is_not_read_again(home, weights, monkeypatch):
    hashes, read = Hashes(lambda: time.time_ns() + 60_000_000_000), []
    real = digest.hashed
    monkeypatch.setattr(
        digest, "hashed", lambda files, **more: real(read.extend(files := list(files)) or files, **more)
    )
    first = one(local(weights), home, hashes=hashes)
    assert [file.path for file in read] == ["a.bin", "sub/b.json"]
    assert one(local(weights), home, hashes=hashes) == first
    assert len(read) == 2
    (weights / "a.bin").write_bytes(b"new")
    (weights / "c").write_bytes(b"c")
    assert one(local(weights), home, hashes=hashes).digest == digest.of(weights).digest != first.digest
    assert [file.path for file in read[2:4]] == ["a.bin", "c"]


def test_what_was_written_just_now_is_read_again_however_it_looks(home, weights, monkeypatch):
    """Within one tick of the clock a file may be written once more, and look as before."""
    hashes, now = Hashes(), time.time_ns()
    monkeypatch.setattr("bentod.models.hashes._look", lambda path: (0, 0, 3, now, now))
    one(local(weights), home, hashes=hashes)
    (weights / "a.bin").write_bytes(b"bbb")
    assert one(local(weights), home, hashes=hashes).digest == digest.of(weights).digest


# ── in an image ──────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def image(home, weights, tmp_path):
    """A folder as an image has it, with a model of a hub and one of the project."""
    folder = tmp_path / "image"
    (folder / "own").mkdir(parents=True)
    weights.rename(folder / "m")
    (folder / "own" / "w.bin").write_bytes(b"own")
    sizes = digest.of(folder / "m")
    models = {"m": (hf(revision="main", commit=COMMIT), "m"), "own": (own(), "own/w.bin")}
    told = {
        name: baked.baked(model, Located(name, "/x", sizes.digest, commit=model.commit), path)
        for name, (model, path) in models.items()
    }
    (folder / "baked.json").write_bytes(baked.encode(told))
    return folder


def own(path="/home/me/project/w.bin", **more):
    return ModelPlan("own", "path", path, **more)


def test_a_model_of_the_image_is_used_from_there(home, image):
    found = locate([hf(revision="main"), own("/app/w.bin")], home, image)
    assert (found["m"].path, found["m"].commit, found["m"].size) == (str(image / "m"), COMMIT, 5)
    assert found["own"].path == str(image / "own" / "w.bin")
    assert one(hf(revision="main", commit=COMMIT), home, baked=image) == found["m"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"revision": "v2"}, "other keys or another source"),
        ({"include": ("*",)}, "other keys or another source"),
        ({"source": "org/other"}, "other keys or another source"),
        ({"commit": "b" * 40}, f"with the commit {COMMIT}, and the spec wants {'b' * 40}"),
        ({"digest": WRONG}, "with the digest sha256:.*, and the spec wants sha256:0"),
    ],
)
def test_a_model_that_differs_from_that_of_the_image_is_an_error(home, image, change, words):
    found = one(replace(hf(revision="main"), **change), home, baked=image)
    assert isinstance(found, Missing)
    assert not found.fetchable
    assert re.search(words, found.reason)


def test_a_model_that_the_image_does_not_hold_is_looked_for_as_usual(home, image, tmp_path):
    assert one(hf("other"), home, baked=image).fetchable
    (image / "baked.json").unlink()  # they are fetched or mounted
    assert one(hf(revision="main"), home, baked=image).fetchable


def test_an_image_that_is_damaged(home, image):
    (image / "m" / "a.bin").unlink()
    (image / "m" / "sub" / "b.json").unlink()
    assert "holds no file" in one(hf(revision="main"), home, baked=image).reason
    (image / "baked.json").write_text("{")
    assert "is damaged" in one(hf(revision="main"), home, baked=image).reason
    outside = baked.Baked(source="hf://org/model", revision="main", path="../..")
    (image / "baked.json").write_bytes(baked.encode({"m": outside}))
    assert "which is outside of it" in one(hf(revision="main"), home, baked=image).reason


def test_the_digest_of_a_model_in_an_image_is_read_if_the_spec_demands_it(home, image):
    right = digest.of(image / "m").digest
    assert isinstance(one(hf(revision="main", digest=right), home, baked=image), Located)
    (image / "m" / "a.bin").write_bytes(b"bbb")
    assert isinstance(one(hf(revision="main", digest=right), home, baked=image), Missing)


@pytest.mark.parametrize(
    ("environ", "root"),
    [
        ({"BENTOD_MODELS": "/m", "HOME": "/h"}, "/m"),
        ({"XDG_DATA_HOME": "/data", "HOME": "/h"}, "/data/bentod/models"),
        ({"XDG_DATA_HOME": "relative", "HOME": "/h"}, "/h/.local/share/bentod/models"),
        ({"HOME": "/h", "BENTOD_MODELS": ""}, "/h/.local/share/bentod/models"),
    ],
)
def test_where_models_are(environ, root):
    home = default_home(environ)
    assert (str(home.store), str(home.hub)) == (root, f"{root}/.hub")
