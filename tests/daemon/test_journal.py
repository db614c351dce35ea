"""What is written down of generations: one record for each attempt, whatever the disk and git do meanwhile."""

from __future__ import annotations

import os
import threading
import time

import pytest

from bentod.daemon import git, history, journal
from bentod.daemon.journal import Journal, UnknownGeneration
from tests.support.children import Events
from tests.support.loops import run, until
from tests.support.sources import Project, digest


class Kept:
    """A journal of a project, with what it logs."""

    def __init__(self, folder):
        self.project = Project(folder)
        self.events = Events()
        self.journal = Journal(self.project.folders, {}, self.events)
        self.desired = self.project.read()
        self.pools = self.project.stage().routing.pools
        self.history = history.History(self.project.folders.history)

    async def lived(self, reason="up"):
        number = await self.journal.begin(self.desired, reason)
        await self.journal.live(number, 1.5, self.pools)
        return number

    def keep(self, *contents):
        self.project.folders.objects.mkdir(parents=True, exist_ok=True)
        for content in contents:
            (self.project.folders.objects / digest(content)).write_text(content)


@pytest.fixture
def kept(tmp_path, monkeypatch):
    monkeypatch.setattr(git, "describe", lambda *_: None)
    return Kept(tmp_path)


def test_an_attempt_has_one_record_from_its_beginning_to_its_end(kept):
    async def main():
        number = await kept.journal.begin(kept.desired, "apply", {"base": 0})
        begun = kept.history.get(number)
        assert (begun.outcome, begun.reason, begun.difference, begun.seconds) == (
            "starting",
            "apply",
            {"base": 0},
            None,
        )
        assert begun.files == {str(kept.project.path): kept.project.path.read_text()}
        await kept.journal.live(number, 1.2345, kept.pools)
        live = kept.history.get(number)
        assert (live.outcome, live.seconds) == ("live", 1.234)
        assert live.services["one"].files == kept.project.imports()
        failing = await kept.journal.begin(kept.desired, "apply")
        await kept.journal.failed(failing, 0.1, "it broke")
        assert (failing, kept.history.get(failing).outcome, kept.history.get(failing).error) == (
            2,
            "failed",
            "it broke",
        )
        assert kept.history.last_live().number == 1

    run(main())


def test_numbers_are_never_used_twice_even_if_nothing_can_be_written(kept, monkeypatch):
    async def main():
        def full(*_):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(history, "create_whole", full)
        monkeypatch.setattr(history, "write_whole", full)
        assert [await kept.lived() for _ in range(3)] == [1, 2, 3]
        monkeypatch.undo()
        monkeypatch.setattr(git, "describe", lambda *_: None)
        assert await kept.lived() == 4
        assert kept.events.names.count("history.failed") == 9
        assert "No space left on device" in kept.events.all[0][1]["reason"]
        assert [record.number for record in kept.history.records()] == [4]
        await kept.journal.close()

    run(main())


def test_what_is_imported_later_is_added(kept):
    async def main():
        number = await kept.lived()
        [pool] = kept.pools.values()
        pool.files = {**pool.files, "late.py": digest("x")}
        await kept.journal.grown(number, kept.pools)
        found = kept.history.get(number)
        assert (found.outcome, found.services["one"].files["late.py"]) == ("live", digest("x"))
        path = kept.project.folders.history / f"{number}.json"
        written = path.stat()
        await kept.journal.grown(number, kept.pools)
        assert path.stat().st_ino == written.st_ino  # not for every worker that starts again
        await kept.journal.grown(99, kept.pools)
        assert kept.events.names == []

    run(main())


def test_git_that_is_slow_holds_up_nothing_and_is_added_later(kept, monkeypatch):
    go_on = threading.Event()

    def slow(*_):
        go_on.wait(20)
        return git.Git("abc", "main", dirty=False)

    async def main():
        monkeypatch.setattr(git, "describe", slow)
        monkeypatch.setattr(journal, "_GIT_S", 0.01)
        number = await kept.lived()
        assert kept.history.get(number).outcome == "live"
        assert kept.history.get(number).git is None
        [pool] = kept.pools.values()
        pool.files = {"late.py": "1"}
        await kept.journal.grown(number, kept.pools)
        go_on.set()
        await until(lambda: kept.history.get(number).git)
        found = kept.history.get(number)
        assert (found.git.commit, found.services["one"].files, found.outcome) == ("abc", {"late.py": "1"}, "live")

    run(main())


def test_a_daemon_that_ends_waits_for_no_git(kept, monkeypatch):
    go_on = threading.Event()

    async def main():
        monkeypatch.setattr(git, "describe", lambda *_: go_on.wait(20))
        monkeypatch.setattr(journal, "_GIT_S", 0.01)
        await kept.lived()
        await kept.journal.begin(kept.desired, "apply")
        before = time.monotonic()
        await kept.journal.close()
        assert time.monotonic() - before < 10
        go_on.set()

    run(main())


def test_git_that_fails_in_a_new_way_costs_no_record(kept, monkeypatch):
    def broken(*_):
        raise ValueError("what?")

    async def main():
        monkeypatch.setattr(git, "describe", broken)
        assert kept.history.get(await kept.lived()).outcome == "live"

    run(main())


def test_code_that_a_record_or_a_running_pool_needs_is_kept(kept):
    async def main():
        [pool] = kept.pools.values()
        pool.files = {"one.py": digest("recorded")}
        await kept.lived()
        for number in range(60):
            failing = await kept.journal.begin(kept.desired, str(number))
            await kept.journal.failed(failing, 0.0, "no")
        kept.keep("recorded", "running", "nobody's")
        objects = kept.project.folders.objects
        long_ago = time.time() - 9999
        for path in objects.iterdir():
            os.utime(path, (long_ago, long_ago))
        kept.journal._objects._clock = lambda: time.time() + 9999  # a change time cannot be set
        kept.journal._prune({digest("running")})
        assert {path.name for path in objects.iterdir()} == {digest("recorded"), digest("running")}
        assert len(kept.history.records()) == 51, "the last that was live stays, besides the newest fifty"

    run(main())


def test_a_generation_of_old_is_wanted_with_its_spec_and_its_code(kept):
    async def main():
        number = await kept.lived()
        for name in ("one.py", "part.py"):
            kept.keep((kept.project.folder / name).read_text())
        kept.project.spec(version="2")
        kept.project.write("part.py", "WORD = 2\n")
        found = await kept.journal.desired(number)
        assert found.plan == kept.desired.plan
        assert found.pins == {"one": kept.pools["one"].files}
        return number

    run(main())


def test_why_a_generation_of_old_cannot_be_had_is_said(kept):
    async def main():
        live = await kept.lived()
        failing = await kept.journal.begin(kept.desired, "apply")
        begun = await kept.journal.begin(kept.desired, "apply")
        await kept.journal.failed(failing, 0.0, "it broke")
        assert (await kept.journal.desired(live)).plan == kept.desired.plan, "the files are as they were"
        kept.project.write("one.py", "")
        kept.project.write("part.py", "")
        for number, why in (
            (99, "there is no record of a generation 99"),
            (failing, "generation 2 has never served: it broke"),
            (begun, "generation 3 has never served: starting"),
            (live, r"not all code of generation 1 is kept.* something else now: one\.py, part\.py; put them back"),
        ):
            with pytest.raises(UnknownGeneration, match=why):
                await kept.journal.desired(number)
        await kept.journal.close()

    run(main())


def test_what_a_killed_daemon_left_is_its_last_live_generation(kept):
    async def main():
        assert kept.journal.left() is None
        number = await kept.lived()
        assert kept.journal.left() is None, "this process runs it"
        history.Marker(kept.project.folders.state).set(number, 2**22 + 5)
        assert kept.journal.left().number == number
        await kept.journal.close()
        assert kept.journal.left() is None

    run(main())
