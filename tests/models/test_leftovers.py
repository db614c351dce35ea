"""What fetches have left that nobody repeated: it goes after a week, and sooner if somebody wants that."""

from __future__ import annotations

import fcntl
import os
import time

import pytest

from bentod.models import leftovers
from tests.support.fetches import hf

DAY_S = 24 * 3600
NOW_S = 1_000_000_000.0


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "hub"


def part(cache, source="org/model", age_s=8 * DAY_S, name="ab", end=".bentod.incomplete"):
    path = cache / f"models--{source.replace('/', '--')}" / "blobs" / f"{name}{end}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * 100)
    os.utime(path, (NOW_S - age_s, NOW_S - age_s))
    return path


def test_what_is_a_week_old_goes_and_nothing_else_does(cache):
    old = part(cache)
    stay = [
        part(cache, age_s=6 * DAY_S, name="new"),
        part(cache, source="org/wanted"),
        part(cache, end=""),
        part(cache, end=".incomplete"),
        part(cache.parent / "elsewhere"),
    ]
    outside = part(cache.parent / "other")
    link = old.with_name("link.bentod.incomplete")
    link.symlink_to(outside)
    os.mkfifo(old.with_name("pipe.bentod.incomplete"))
    assert leftovers.collect(cache, NOW_S, {"org/wanted"}) == 100
    assert not old.exists()
    assert all(path.exists() for path in (*stay, outside))
    assert link.is_symlink()


def test_what_somebody_writes_stays(cache):
    path = part(cache)
    with path.open("r+b") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        assert leftovers.collect(cache, NOW_S, ()) == leftovers.forget(cache, "org/model") == 0
    assert leftovers.forget(cache, "org/model") == 100
    assert not path.exists()


def test_a_cache_that_is_not_there_or_cannot_be_read_is_no_trouble(cache):
    assert leftovers.collect(cache, NOW_S, ()) == leftovers.forget(cache, "../x") == 0
    cache.write_text("a file")
    assert leftovers.collect(cache, NOW_S, ()) == leftovers.forget(cache, "org/model") == 0


def test_a_fetch_removes_what_other_fetches_left(host, hub):
    gone, own = part(host.cache, "org/other"), part(host.cache, name="0" * 64)
    fresh = part(host.cache, "org/third")
    os.utime(fresh, (time.time(), time.time()))
    host.fetch(hf())
    assert (gone.exists(), own.exists(), fresh.exists()) == (False, True, True)
