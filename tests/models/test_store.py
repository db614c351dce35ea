"""The store: a model is there whole or not at all, whoever adds, removes, dies or has no room meanwhile."""

import errno
import json
import multiprocessing
import os
import shutil
import signal
import stat
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from bentod.errors import Unknown
from bentod.models import copying, entry, staging
from bentod.models.adding import Source, add
from bentod.models.home import ModelError
from bentod.models.manifest import About, Context
from bentod.models.store import NoSuchModel, Store
from bentod.models.tags import Tag


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


@pytest.fixture
def model(tmp_path):
    """Makes a folder with files."""

    def make(**files):
        folder = tmp_path / f"model-{len(list(tmp_path.iterdir()))}"
        for name, text in (files or {"weights": "1", "config": "2"}).items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        return folder

    return make


def put(store, path, tag="m", **about):
    return add(store, Source(path), tag, About(**about))


def left(store):
    """All that is in the store but what belongs there always."""
    names = {str(path.relative_to(store.root)) for path in store.root.rglob("*")} if store.root.exists() else set()
    return names - {".lock", ".staging"}


def test_what_is_added_is_found(store, model):
    done = put(store, model(), labels={"a": "b"})
    assert done.new
    found = store.find("m")
    assert found == store.get(f"m:{done.entry.version}") == done.entry
    assert found.version == found.digest.removeprefix("sha256:")[:12]
    assert (found.size, found.files, found.name) == (2, 2, "m")
    assert {path.name: path.read_text() for path in found.path.iterdir()} == {"weights": "1", "config": "2"}
    assert found.manifest.labels == {"a": "b"}
    assert store.verify("m") == ()
    assert (store.root / "m" / "latest").read_text() == f"{found.version}\n"


def test_one_file_stays_one_file(store, model):
    done = put(store, model() / "weights", "one:1")
    assert done.entry.path.is_file()
    assert done.entry.path.name == "weights"
    assert done.entry.manifest.single == "weights"
    assert not put(store, model(weights="1") / "weights", "one:1").new
    with pytest.raises(ModelError, match="has another model as one:1"):  # a folder with that file is another model
        put(store, model(weights="1"), "one:1")


def test_what_is_in_the_store_is_not_written_again(store, model):
    found = put(store, model()).entry
    assert {stat.S_IMODE(path.stat().st_mode) & 0o222 for path in found.path.iterdir()} == {0}


def test_the_same_content_does_nothing(store, model, monkeypatch):
    first = put(store, model(), labels={"a": "b"})
    monkeypatch.setattr(copying, "copied", None)  # nothing is copied
    again = put(store, model())
    assert (again.new, again.entry) == (False, first.entry)
    assert not put(store, model(), f"m:{first.entry.version}").new
    for about in ({"labels": {"a": "c"}}, {"metadata": {"x": 1}}, {"context": Context(framework="torch")}):
        with pytest.raises(ModelError, match=r"already, with other (labels|metadata|framework)"):
            put(store, model(), **about)


def test_a_version_is_of_one_content(store, model):
    put(store, model(), "m:1")
    assert not put(store, model(), "m:1").new
    for other in ({"weights": "x", "config": "2"}, {"weights": "12", "config": "2"}, {"other": "1"}):
        with pytest.raises(ModelError, match="has another model as m:1: give another version"):
            put(store, model(**other), "m:1")
    assert store.verify("m:1") == ()
    assert put(store, model()).entry.version != "1"


def test_names_alone_mean_the_last_that_was_added(store, model):
    for version, text in (("a1", "1"), ("a2", "2"), ("b", "3")):
        put(store, model(weights=text), f"m:{version}")
    put(store, model(weights="1"), "m:a1")  # it is there already
    assert store.get("m").version == store.get("m:latest").version == "b"
    assert store.get("m:a1").version == "a1"
    with pytest.raises(ModelError, match="m:a may be each of a1, a2; write more"):
        store.get("m:a")
    assert [one.version for one in store.listing().entries] == ["b", "a2", "a1"]
    assert store.remove("m") == Tag("m", "b")
    assert store.get("m").version == "a2"
    store.remove("m:a1")
    assert store.get("m").version == "a2"
    store.remove("m:a2")
    assert left(store) == set()


def test_what_is_not_there_is_told_with_what_is(store, model):
    assert store.find("m") is None
    with pytest.raises(NoSuchModel, match="has no model m; `bentod models list` shows"):
        store.get("m")
    assert not store.root.exists()  # asking makes nothing
    put(store, model(), "minilm:1")
    for ask in (store.get, store.remove, store.verify):
        with pytest.raises(Unknown, match=r"did you mean minilm\?"):
            ask("minilm2")
        with pytest.raises(NoSuchModel, match="has no minilm:2; it has minilm:1"):
            ask("minilm:2")


@pytest.mark.parametrize("tag", ["../m", "m:..", "M", "m:\n", "é", ".hub", "m/../../x"])
def test_bad_tags_touch_nothing(store, model, tag):
    for ask in (store.find, store.remove, store.verify, lambda tag: put(store, model(), tag)):
        with pytest.raises(ModelError, match="no tag of a model"):
            ask(tag)
    assert not store.root.exists()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("manifest.json", ""),
        ("manifest.json", "{}"),
        ("manifest.json", "[" * 5000),
        ("manifest.json", None),
        ("files/weights", None),
        ("files/weights", "longer"),
    ],
)
def test_a_damaged_model_is_told_and_can_be_removed(store, model, name, text):
    good = put(store, model(weights="x"), "good").entry
    bad = put(store, model(), "bad:1").entry
    path = bad.folder / name
    path.unlink()
    if text is not None:
        path.write_text(text)
    with pytest.raises(ModelError, match="bentod models rm bad:1") as caught:
        store.get("bad")
    assert str(path) in str(caught.value)
    with pytest.raises(ModelError, match="bentod models rm bad:1"):
        put(store, model(), "bad:1")
    listed = store.listing()
    assert good in listed.entries
    assert len(listed.damaged) == (name == "manifest.json")
    store.remove("bad:1")
    assert put(store, model(), "bad:1").new
    assert store.verify("bad") == ()


def test_a_manifest_of_another_model_is_damage(store, model):
    one, two = put(store, model(), "one:1").entry, put(store, model(), "two:1").entry
    (one.folder / "manifest.json").unlink()
    (one.folder / "manifest.json").write_bytes((two.folder / "manifest.json").read_bytes())
    with pytest.raises(ModelError, match="it is the manifest of two:1"):
        store.get("one")


def test_a_link_in_place_of_a_file_is_damage(store, model, tmp_path):
    found = put(store, model()).entry
    (tmp_path / "other").write_text("1")
    (found.path / "weights").unlink()
    (found.path / "weights").symlink_to(tmp_path / "other")
    with pytest.raises(ModelError, match="is not the file of 1 bytes that was added"):
        store.get("m")
    assert "a link" in store.verify("m")[0]


def test_verify_names_every_file_that_is_wrong(store, model):
    found = put(store, model(a="1", b="2", c="3", d="4")).entry
    (found.path / "a").unlink()
    for name, text in (("b", "x"), ("c", "longer"), ("new", "")):
        (found.path / name).unlink(missing_ok=True)
        (found.path / name).write_text(text)
    assert store.verify("m") == ("a is missing", "new was not added", "b was changed", "c was changed")


def test_a_fifo_is_not_waited_for(store, model):
    found = put(store, model(), "m:1").entry
    for path in (store.root / "m" / "latest", found.folder / "manifest.json"):
        path.unlink()
        os.mkfifo(path)
    with pytest.raises(ModelError, match="it is no regular file; remove it with `bentod models rm m:1`"):
        store.get("m")


@pytest.mark.parametrize("latest", [None, "", "nothing", "../../etc", "\x00", "x" * 10_000])
def test_a_damaged_latest_is_the_newest(store, model, latest):
    for version, moment in (("1", "2026-01-02"), ("2", "2026-01-03"), ("0", "2026-01-01")):
        put(store, model(weights=version), f"m:{version}", created=f"{moment}T00:00:00+00:00")
    path = store.root / "m" / "latest"
    path.unlink()
    if latest is not None:
        path.write_text(latest)
    assert store.get("m").version == "2"


def test_strange_things_in_the_store_are_left_alone(store, model):
    put(store, model(), "m:1")
    (store.root / "Strange Name").mkdir()
    (store.root / "file").write_text("")
    (store.root / ".hub").mkdir()
    (store.root / "m" / "note").write_text("")
    (store.root / "m" / "empty").mkdir()
    assert [one.version for one in store.listing().entries] == ["1"]
    assert "m/empty/manifest.json" in store.listing().damaged[0]
    store.remove("m:empty")
    store.remove("m:1")
    assert left(store) == {"Strange Name", "file", ".hub", "m", "m/note"}
    assert store.find("m") is None


def test_a_folder_of_something_else_is_no_model_and_is_not_removed_as_one(store, model):
    """The cache of huggingface_hub may lie beside the models, in a folder that is mounted into containers."""
    put(store, model(), "m:1")
    blob = store.root / "huggingface" / "hub" / "models--org--m" / "blobs" / "ab"
    blob.parent.mkdir(parents=True)
    blob.write_text("weights")
    assert store.versions("huggingface") == []
    assert store.listing().damaged == ()
    with pytest.raises(NoSuchModel):
        store.remove("huggingface:hub")
    assert blob.exists()
    assert put(store, model(), "huggingface:1").new
    store.remove("huggingface:1")
    assert blob.exists()


def test_the_store_cannot_be_added_to_itself(store, model, tmp_path):
    found = put(store, model()).entry
    for path in (store.root, tmp_path):
        with pytest.raises(ModelError, match="cannot be added to it"):
            put(store, path, "other")
    assert put(store, found.path, "copy").new
    with pytest.raises(ModelError, match="add it without --move"):
        add(store, Source(found.path, move=True), "other", About())


def test_moving_leaves_nothing_and_copies_nothing(store, model):
    folder = model(**{"a": "1", "sub/b": "2"})
    number = (folder / "sub" / "b").stat().st_ino
    found = add(store, Source(folder, move=True), "m", About()).entry
    assert not folder.exists()
    assert (found.path / "sub" / "b").stat().st_ino == number
    assert (found.path / "sub" / "b").stat().st_mode & 0o222 == 0
    assert store.verify("m") == ()
    again = model(**{"a": "1", "sub/b": "2"})
    assert not add(store, Source(again, move=True), "m", About()).new
    assert not again.exists()
    one = model(a="x") / "a"
    add(store, Source(one, move=True), "one", About())
    assert not one.exists()


def test_moving_to_another_file_system_copies(store, model, monkeypatch):
    def never(*_):
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", never)
    folder = model()
    assert add(store, Source(folder, move=True), "m", About()).new
    assert not folder.exists()
    assert store.verify("m") == ()


def test_what_was_not_added_is_still_there_after_a_move(store, model, monkeypatch):
    monkeypatch.setattr(os, "fsync", no_room)
    folder = model()
    with pytest.raises(ModelError, match="No space left"):
        add(store, Source(folder, move=True), "m", About())
    assert {path.name for path in folder.iterdir()} == {"weights", "config"}
    assert left(store) == set()


def no_room(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("call", ["fsync", "rename", "replace", "mkdir"])
@pytest.mark.parametrize("nth", range(4))
def test_a_full_disk_leaves_the_store_as_it_was(store, model, monkeypatch, call, nth):
    """Whenever the disk becomes full."""
    put(store, model(weights="x"), "m:1")
    before, folder, calls, real = left(store), model(weights="y"), [], getattr(os, call)

    def full_then(*args, **more):
        calls.append(args)
        return no_room() if len(calls) == nth + 1 else real(*args, **more)

    for tag in ("m:2", "other:1"):
        calls.clear()
        with monkeypatch.context() as patched:
            patched.setattr(os, call, full_then)
            try:
                put(store, folder, tag)
            except ModelError as error:
                said = str(error)
            else:
                assert store.verify(tag) == ()  # it did not come to that, or a folder was there already
                return
        assert f"{tag} cannot be added to the store {store.root}: No space left on device" in said
        assert left(store) == before
        assert store.get("m").version == "1"


def test_what_does_not_fit_is_not_begun(store, model, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1))
    with pytest.raises(ModelError, match=r"the model has 2 bytes, and .* has room for 1: make room"):
        put(store, model())
    assert left(store) == set()


def test_a_folder_that_cannot_be_written_is_told(model, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelError, match=r"cannot be added to the store .*: Not a directory"):
        put(Store(tmp_path / "file" / "store"), model())


def adding(root, folder, tag, count):
    for _ in range(count):
        add(Store(Path(root)), Source(Path(folder)), tag, About())


def churning(root, folder, tag, count):
    store = Store(Path(root))
    for _ in range(count):
        add(store, Source(Path(folder)), tag, About())
        store.remove(tag)


def run_together(*jobs):
    context = multiprocessing.get_context("forkserver")
    processes = [context.Process(target=target, args=args) for target, *args in jobs]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * len(jobs)


def test_several_processes_add_and_remove_at_once(store, model):
    same, one, two = model(), model(weights="a" * 100_000), model(weights="b" * 100_000)
    root = str(store.root)
    run_together(
        (adding, root, str(same), "same", 20),
        (adding, root, str(same), "same", 20),
        (churning, root, str(one), "m:1", 15),
        (churning, root, str(two), "m:2", 15),
    )
    assert [str(one.tag) for one in store.listing().entries] == [f"same:{store.get('same').version}"]
    assert store.verify("same") == ()
    assert not any((store.root / ".staging").iterdir())


STUCK = """
import sys, time
from pathlib import Path
from bentod.models import copying
from bentod.models.adding import Source, add
from bentod.models.manifest import About
from bentod.models.store import Store

def stuck(*_):
    print("copied", flush=True)
    sys.stdin.read()
copying.sync_tree = stuck
add(Store(Path(sys.argv[1])), Source(Path(sys.argv[2])), "killed", About())
"""


def test_an_add_that_is_killed_leaves_nothing_for_long(store, model):
    child = subprocess.Popen(
        [sys.executable, "-c", STUCK, str(store.root), str(model())],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with child:
        assert child.stdout.readline() == "copied\n"
        (staged,) = (store.root / ".staging").iterdir()
        put(store, model(weights="other"), "other")
        assert (staged / "model" / "files" / "weights").read_text() == "1"  # its owner lives
        child.send_signal(signal.SIGKILL)
    assert store.find("killed") is None
    assert staged.exists()
    put(store, model(weights="third"), "third")
    assert not any((store.root / ".staging").iterdir())
    assert store.listing().damaged == ()


def test_what_is_staged_goes_with_an_error(tmp_path):
    def interrupted():
        with staging.staged(tmp_path) as folder:
            (folder / "file").write_text("")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not any((tmp_path / ".staging").iterdir())


def test_a_reader_never_sees_half_a_model(store, model):
    """While another process adds and removes the same model."""
    context = multiprocessing.get_context("forkserver")
    process = context.Process(target=churning, args=(str(store.root), str(model()), "m:1", 40))
    process.start()
    seen = set()
    while process.is_alive():
        found = store.find("m:1")
        seen.add(found is not None)
        if found is not None:
            assert {"weights", "config"} == {file.path for file in found.manifest.files}
    process.join()
    assert process.exitcode == 0
    assert store.find("m:1") is None


def test_finding_reads_no_file(store, model, monkeypatch):
    put(store, model())
    monkeypatch.setattr(entry.digest, "hashed", None)
    assert store.find("m").files == 2


def test_a_read_only_store_can_be_read(store, model):
    put(store, model(), "m:1")
    (store.root / ".lock").unlink()
    (store.root / ".staging").rmdir()
    assert store.get("m").version == "1"
    assert len(store.listing().entries) == 1
    assert store.verify("m") == ()
    assert not (store.root / ".lock").exists()


def test_the_manifest_is_plain_json(store, model):
    found = put(store, model(), metadata={"é": 1}).entry
    assert json.loads((found.folder / "manifest.json").read_text())["metadata"] == {"é": 1}
