"""Contents are judged as they are, however files are saved, and are not read more often than they must be."""

from __future__ import annotations

import asyncio
import hashlib
import os
import threading
import time
from pathlib import Path

import pytest

from bentod.daemon import contents
from bentod.daemon.contents import Contents, changes
from bentod.plan.difference import Cause
from tests.support.loops import run, until

HOUR_NS = 3600 * 10**9


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.fixture
def path(tmp_path) -> Path:
    found = tmp_path / "a.py"
    found.write_text("one")
    return found


def counted(monkeypatch) -> list[Path]:
    """Every file that is read from now on."""
    read: list[Path] = []
    real = Contents._read
    monkeypatch.setattr(Contents, "_read", lambda self, path: (read.append(path), real(self, path))[1])
    return read


def test_a_digest_is_that_of_the_content(path):
    assert Contents().digest(path) == sha("one")


def test_what_cannot_be_read_has_an_empty_digest(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "circle").symlink_to("circle")
    (tmp_path / "astray").symlink_to("nowhere")
    for name in ("missing", "pipe", "circle", "astray", "a\0b"):
        assert Contents().digest(tmp_path / name) == "", name


def test_the_digest_of_a_folder_is_that_of_the_names_in_it(path):
    folder, found = path.parent, Contents()
    before = found.digest(folder)
    path.write_text("another")
    assert found.digest(folder) == before
    path.with_name("new").touch()
    assert found.digest(folder) != before != ""


def test_a_link_has_the_digest_of_what_it_leads_to(path):
    link = path.with_name("link")
    link.symlink_to(path)
    assert Contents().digest(link) == sha("one")


def test_what_was_touched_just_now_is_read_each_time(path, monkeypatch):
    """Written twice in one tick of the file system's clock, a file looks the same and holds something else."""
    found = Contents()
    before = path.stat()
    assert found.digest(path) == sha("one")
    path.write_text("two")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert found.digest(path) == sha("two")


def test_what_was_read_while_it_was_young_is_read_once_more(path, monkeypatch):
    read = counted(monkeypatch)
    now = time.time_ns()
    clock = iter([now, now + HOUR_NS, now + HOUR_NS])
    found = Contents(lambda: next(clock))
    for _ in range(5):
        found.digest(path)
    assert read == [path, path]


def test_what_has_been_left_alone_is_read_once(path, monkeypatch):
    read = counted(monkeypatch)
    found = Contents(lambda: time.time_ns() + HOUR_NS)
    assert {found.digest(path) for _ in range(5)} == {sha("one")}
    assert read == [path]
    other = path.with_name("other")
    other.write_text("two")
    other.replace(path)
    assert found.digest(path) == sha("two")
    path.unlink()
    assert found.digest(path) == ""


def test_a_time_in_the_future_is_not_trusted(path, monkeypatch):
    read = counted(monkeypatch)
    ahead = time.time_ns() + HOUR_NS
    os.utime(path, ns=(ahead, ahead))
    found = Contents()
    assert found.digest(path) == found.digest(path)
    assert len(read) == 2


def test_touch_and_chmod_change_no_digest(path):
    found = Contents(lambda: time.time_ns() + HOUR_NS)
    before = found.digests([path])
    path.touch()
    path.chmod(0o600)
    assert found.digests([path]) == before
    assert changes({"a.py": before[path]}, {"a.py": found.digest(path)}) == ()


def test_the_memory_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(contents, "_REMEMBERED", 3)
    found = Contents(lambda: time.time_ns() + HOUR_NS)
    for number in range(10):
        (tmp_path / str(number)).write_text("x")
        found.digest(tmp_path / str(number))
    assert len(found._known) <= 3


def test_what_is_at_rest_settles_at_once(path):
    assert run(Contents().settled([path, path.with_name("missing")])) == {
        path: sha("one"),
        path.with_name("missing"): "",
    }


def test_a_file_that_is_being_written_settles_when_it_is_complete(path):
    def write() -> None:
        with path.open("w") as stream:
            end = time.monotonic() + 1
            while time.monotonic() < end:
                stream.write("x")
                stream.flush()
            stream.write("the end")

    async def main():
        writer = threading.Thread(target=write)
        writer.start()
        await until(lambda: path.read_text().startswith("x"))
        found = await Contents().settled([path], limit_s=20)
        writer.join()
        assert found == {path: sha(path.read_text())}
        assert path.read_text().endswith("the end")

    run(main())


def test_what_never_rests_is_given_as_it_is_after_a_while(path):
    stop = threading.Event()

    def write() -> None:
        with path.open("w") as stream:
            while not stop.is_set():
                stream.write("x")
                stream.flush()

    async def main():
        writer = threading.Thread(target=write)
        writer.start()
        try:
            await until(path.read_text)
            begun = time.monotonic()
            assert (await Contents().settled([path], limit_s=0.3))[path] not in ("", sha("one"))
            assert time.monotonic() - begun < 10
        finally:
            stop.set()
            writer.join()

    run(main())


@pytest.mark.parametrize("gap", ["empty", "missing"])
def test_a_file_that_is_gone_or_empty_for_a_moment_is_waited_for(path, gap):
    """Between an editor's truncation, or removal, and its write, a file says nothing."""

    async def main():
        found = Contents()
        await found.settled([path])
        path.write_text("") if gap == "empty" else path.unlink()
        settling = asyncio.create_task(found.settled([path], pause_s=0.2))
        reads = 0
        real = found.digests

        def digests(paths):
            nonlocal reads
            reads += 1
            return real(paths)

        found.digests = digests
        await until(lambda: reads == 2)
        path.write_text("two")
        assert (await settling)[path] == sha("two")

    run(main())


def test_a_file_that_stays_away_is_believed_to_be(path):
    async def main():
        found = Contents()
        await found.settled([path])
        path.unlink()
        assert await found.settled([path]) == {path: ""}

    run(main())


def test_changes_are_named_and_sorted():
    before = {"same": "1", "changed": "1", "removed": "1", "vanished": "1", "never": ""}
    after = {"same": "1", "changed": "2", "vanished": "", "added": "1", "appeared": "1"}
    assert changes(before, after) == tuple(
        Cause("file", name, "", word)
        for name, word in (
            ("added", "added"),
            ("appeared", "added"),
            ("changed", "changed"),
            ("removed", "removed"),
            ("vanished", "removed"),
        )
    )


def test_names_are_from_the_project_where_that_can_be():
    assert contents.name(Path("/p/lib/a.py"), Path("/p")) == "lib/a.py"
    assert contents.name(Path("/q/a.py"), Path("/p")) == "/q/a.py"
