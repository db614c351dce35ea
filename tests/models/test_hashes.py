"""What a later process knows of the files of a model that is a path."""

import json
import time

import pytest

from bentod.models import digest, hashes
from bentod.models.hashes import Hashes


def later():
    return time.time_ns() + 60_000_000_000


@pytest.fixture
def model(tmp_path, monkeypatch):
    monkeypatch.setattr(hashes, "_LARGE", 10)
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "a.bin").write_bytes(b"a" * 20)
    (folder / "é.bin").write_bytes(b"b")
    return folder


@pytest.fixture
def read(monkeypatch):
    """The files that were read."""
    names, hashed = [], digest.hashed

    def spied(found, **more):
        found = list(found)
        names.extend(one.path for one in found)
        return hashed(found, **more)

    monkeypatch.setattr(digest, "hashed", spied)
    return names


def of(model, clock_ns=later):
    return Hashes(clock_ns, model.parent / "kept").of(model).digest


def test_what_took_long_to_read_is_known_to_later_processes(model, read):
    first = of(model)
    assert sorted(read) == ["a.bin", "é.bin"]
    assert of(model) == first == digest.of(model).digest
    read.clear()
    assert of(model) == first
    assert read == []
    (model / "a.bin").write_bytes(b"c" * 20)
    assert of(model) == digest.of(model).digest != first
    [kept] = (model.parent / "kept").iterdir()
    assert kept.stat().st_mode & 0o777 == 0o600


def test_what_is_small_or_was_written_just_now_is_read_each_time(model, read, monkeypatch):
    of(model, time.time_ns)
    of(model, time.time_ns)
    assert len(read) == 4
    monkeypatch.setattr(hashes, "_LARGE", 1000)
    model.rename(model.with_name("moved"))
    of(model.with_name("moved"))
    assert len(list((model.parent / "kept").iterdir())) == 1, "only of the other place"


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", "{", "9" * 5000),
        *(f'{{"a.bin": {one}}}' for one in ("1", "[]", '[1,2,3,4,5,"x"]', '["x",2,3,4,5,""]')),
    ],
)
def test_what_was_kept_and_cannot_be_read_is_as_if_it_were_not_there(model, text):
    first = of(model)
    [kept] = (model.parent / "kept").iterdir()
    kept.write_text(text)
    assert of(model) == first
    assert json.loads(kept.read_text())


def test_a_folder_that_cannot_be_written_is_no_trouble(model):
    (model.parent / "kept").write_text("a file")
    assert of(model) == digest.of(model).digest
