"""Manifests are strict: what is unknown, impossible or untrue is refused, with the file's name and what to do."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentod.models import manifest
from bentod.models.digest import File, FileSet
from bentod.models.home import ModelError
from bentod.models.manifest import About, Context
from bentod.models.tags import Tag

FILES = FileSet((File("a", 1, "0" * 64), File("sub/b", 2, "1" * 64)))
ADVICE = "do something"


def made(**about):
    return manifest.made(Tag("m", "1"), FILES, None, About(**about))


def changed(**keys):
    return json.dumps({**json.loads(manifest.encoded(made())), **keys}).encode()


def refused(data):
    with pytest.raises(ModelError, match=r"where is damaged: .*; do something") as caught:
        manifest.parse(data, "where", ADVICE)
    assert str(caught.value).isprintable()
    return str(caught.value)


def test_what_is_written_is_read():
    about = {
        "labels": {"team": "öps"},
        "metadata": {"accuracy": 0.97, "nested": [{"a": None}, "text\nwith lines"]},
        "context": Context(framework="torch", versions={"torch": "2.13"}, python="3.11", bentod="0.1"),
        "signatures": {"predict": {"batchable": True}},
        "created": "2026-01-02T03:04:05.000+00:00",
    }
    one = made(**about)
    data = manifest.encoded(one)
    assert manifest.parse(data, "where", ADVICE) == one
    assert manifest.encoded(manifest.parse(data, "where", ADVICE)) == data
    assert one.size == 3
    assert one.digest == FILES.digest
    assert one.tag == Tag("m", "1")


@pytest.mark.parametrize(
    "keys",
    [
        {"unknown": 1},
        {"format": 2},
        {"name": "../m"},
        {"name": "M"},
        {"version": "latest"},
        {"version": ""},
        {"created": "yesterday"},
        {"created": "2026-01-02T03:04:05"},
        {"created": "2026-01-02T03:04:05+02:00"},
        {"created": 1},
        {"size": 4},
        {"size": "3"},
        {"size": -1},
        {"digest": "sha256:" + "0" * 64},
        {"digest": "md5:0"},
        {"single": "a"},
        {"single": "../../etc/passwd"},
        {"labels": {"a": 1}},
        {"labels": {"a\nb": "1"}},
        {"labels": {"a": "FROM x\nRUN y"}},
        {"labels": {"": "1"}},
        {"labels": []},
        {"metadata": []},
        {"context": {"framework": "x\x00"}},
        {"context": {"unknown": ""}},
        {"signatures": {"predict": 1}},
        {"files": []},
        {"files": {}},
        {"files": None},
    ],
)
def test_what_is_wrong_is_refused(keys):
    refused(changed(**keys))


@pytest.mark.parametrize(
    "path", ["../a", "/a", "a/../b", "./a", "a//b", "a/", "", ".", "a\\b", "a\nb", "x" * 5000, "a\u2028"]
)
def test_paths_of_files_stay_within_the_model(path):
    files = [File(path, 1, "0" * 64)]
    digest = FileSet(tuple(files)).digest
    refused(changed(files=[file._asdict() for file in files], size=1, digest=digest))


@pytest.mark.parametrize("paths", [("a", "a"), ("a", "a/b"), ("a/b/c", "a/b"), ("a/b", "a")])
def test_files_can_lie_beside_each_other(paths):
    files = FileSet(tuple(File(path, 1, "0" * 64) for path in paths))
    said = refused(changed(files=[file._asdict() for file in files.files], size=2, digest=files.digest))
    assert "twice" in said


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\x00\xff",
        b"[" * 100_000,
        b'{"a":' * 5000 + b"1" + b"}" * 5000,
        b'{"name": "\xff"}',
        manifest.encoded(made())[:-20],
    ],
)
def test_what_is_no_manifest_is_refused(data):
    refused(data)


def test_numbers_that_json_does_not_have_are_refused():
    data = manifest.encoded(made(metadata={"x": 2.5}))
    refused(data.replace(b"2.5", b"NaN"))
    refused(data.replace(b"2.5", b"[Infinity]"))
    with pytest.raises(ModelError, match="cannot be described so"):
        made(metadata={"x": [float("nan")]})
    deep = []
    for _ in range(200):
        deep = [deep]
    with pytest.raises(ModelError, match="cannot be described so"):
        made(metadata={"x": deep})


def test_a_file_that_is_too_large_or_not_there_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(manifest, "LARGEST", 100)
    path = tmp_path / "manifest.json"
    with pytest.raises(ModelError, match="No such file"):
        manifest.read(path, ADVICE)
    path.write_bytes(b" " * 101)
    with pytest.raises(ModelError, match=r"manifest\.json is damaged: it is larger than any manifest; do something"):
        manifest.read(path, ADVICE)
    with pytest.raises(ModelError, match="too large"):
        manifest.encoded(made())


@given(st.binary(max_size=60), st.integers(0, 900))
def test_damage_is_told_or_harmless(noise, place):
    data = manifest.encoded(made(created="2026-01-02T03:04:05.000+00:00"))
    damaged = data[:place] + noise + data[place + len(noise) :]
    with contextlib.suppress(ModelError):
        manifest.parse(damaged, "where", ADVICE)
