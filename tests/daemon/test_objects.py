"""The store of sources keeps what a record names and what is new, and says what it has not."""

from __future__ import annotations

import hashlib
import os
import time

import pytest

from bentod.daemon.objects import Objects

A, B = "a" * 64, "b" * 64


@pytest.fixture
def folder(tmp_path):
    for name in (A, B, ".b.tmp"):
        (tmp_path / name).write_text("x")
    (tmp_path / "folder").mkdir()
    return tmp_path


def later() -> float:
    return time.time() + 4000


def test_what_no_record_names_is_removed_once_it_is_old(folder):
    assert Objects(folder).collect({A}) == 0
    assert Objects(folder, later).collect({A}) == 2
    assert sorted(path.name for path in folder.iterdir()) == [A, "folder"]


def test_what_was_touched_just_now_is_kept(folder):
    """A worker has found there what it was about to put there: no record can name it yet."""
    found = Objects(folder)
    os.utime(folder / A, (1, 1))
    assert found.collect([]) == 0


def test_what_is_missing_is_named(folder):
    digest = hashlib.sha256(b"x").hexdigest()
    (folder / digest).write_text("x")
    pins = {"a.py": digest, "damaged.py": A, "gone.py": "c" * 64, "folder.py": "folder"}
    assert Objects(folder).missing(pins, folder) == ("damaged.py", "folder.py", "gone.py")
    assert Objects(folder).missing({}, folder) == ()


def test_what_is_not_kept_but_in_the_project_still_is_not_missing(folder, tmp_path):
    (tmp_path / "fast.so").write_bytes(b"code")
    pins = {"fast.so": hashlib.sha256(b"code").hexdigest(), "slow.so": "c" * 64}
    assert Objects(folder).missing(pins, tmp_path) == ("slow.so",)
    (tmp_path / "fast.so").write_bytes(b"other code")
    assert Objects(folder).missing(pins, tmp_path) == ("fast.so", "slow.so")


def test_a_store_that_is_not_there_is_empty(tmp_path):
    found = Objects(tmp_path / "nowhere")
    assert found.collect([]) == 0
    assert found.missing({"a.py": A}, tmp_path) == ("a.py",)
