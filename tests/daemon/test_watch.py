"""Whatever way a file changes, the watch says so; what does not count, it never names."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bentod.daemon.watch import Wanted
from tests.support.loops import run, until
from tests.support.watching import watching


@pytest.fixture
def project(tmp_path) -> Path:
    folder = tmp_path / "project"
    (folder / "lib").mkdir(parents=True)
    (folder / "app.py").write_text("1\n")
    (folder / "lib" / "model.py").write_text("1\n")
    return folder


def wants(project, *names, **keys) -> Wanted:
    return Wanted(files=frozenset(project / name for name in names), **keys)


def in_place(path: Path) -> None:
    with path.open("r+") as stream:
        stream.write("2\n")


def truncate_and_write(path: Path) -> None:
    path.write_text("")
    path.write_text("2\n")


def rename_over(path: Path) -> None:
    new = path.with_name(".app.py.new")
    new.write_text("2\n")
    new.replace(path)


def rename_over_from_elsewhere(path: Path) -> None:
    new = path.parent.parent / "made elsewhere"
    new.write_text("2\n")
    new.replace(path)


def swap_file(path: Path) -> None:
    """As vim does with `backupcopy=no`: a test file, a swap file, the old one aside, the new one written, all gone."""
    (path.parent / "4913").write_text("")
    (path.parent / "4913").unlink()
    (path.parent / ".app.py.swp").write_text("b0VIM")
    path.rename(path.with_name("app.py~"))
    path.write_text("2\n")
    path.with_name("app.py~").unlink()
    (path.parent / ".app.py.swp").unlink()


def unlink_and_create(path: Path) -> None:
    path.unlink()
    path.write_text("2\n")


def link_over(path: Path) -> None:
    new = path.with_name("app.py.new")
    new.write_text("2\n")
    path.unlink()
    path.hardlink_to(new)
    new.unlink()


def append(path: Path) -> None:
    with path.open("a") as stream:
        stream.write("2\n")


def mapped(path: Path) -> None:
    """A write through a descriptor that was opened before, as some tools keep one."""
    number = os.open(path, os.O_RDWR)
    os.pwrite(number, b"2\n", 0)
    os.close(number)


SAVES = [
    in_place,
    truncate_and_write,
    rename_over,
    rename_over_from_elsewhere,
    swap_file,
    unlink_and_create,
    link_over,
    append,
    mapped,
    Path.unlink,
    Path.touch,
]


@pytest.mark.parametrize("save", SAVES, ids=lambda save: save.__name__)
def test_each_way_to_save_a_file_is_seen_and_names_only_that_file(project, save):
    async def main():
        async with watching(project, wants(project, "app.py", "lib/model.py")) as seen:
            save(project / "app.py")
            await seen.names_it("app.py")
            in_place(project / "lib" / "model.py")
            await seen.names_it("lib/model.py")
            assert seen.names == {"app.py", "lib/model.py"}

    run(main())


def test_a_file_that_is_saved_again_and_again_is_seen_each_time(project):
    async def main():
        async with watching(project, wants(project, "app.py")) as seen:
            for save in (rename_over, in_place, unlink_and_create, swap_file, rename_over, append, link_over, in_place):
                seen.hints.clear()
                save(project / "app.py")
                await seen.names_it("app.py")

    run(main())


def test_what_does_not_count_is_never_named(project):
    ignored = project / "state"
    ignored.mkdir()
    wanted = wants(project, "app.py", include=("*.txt",), exclude=("notes/",), ignored=(ignored,))

    async def main():
        async with watching(project, wanted) as seen:
            (project / "other.py").write_text("")
            (project / "lib" / "new.py").write_text("")
            (ignored / "record.txt").write_text("")
            for folder in ("notes", ".git", "__pycache__", "node_modules", ".bentod"):
                (project / folder).mkdir()
                (project / folder / "a.txt").write_text("")
            (project / "app.py").touch()
            await seen.names_it("app.py")
            assert seen.names == {"app.py"}

    run(main())


def test_files_that_patterns_include_count_and_so_do_new_ones_in_new_folders(project):
    async def main():
        async with watching(project, wants(project, "app.py", include=("conf/**/*.json", "!conf/x.json"))) as seen:
            (project / "conf").mkdir()
            (project / "conf" / "deep").mkdir()
            (project / "conf" / "deep" / "a.json").write_text("{}")
            await seen.hinted()  # it need not be named, for it may be older than the watch on its folder
            (project / "conf" / "x.json").write_text("{}")
            await until(lambda: (project / "conf" / "deep" / "a.json").touch() or "conf/deep/a.json" in seen.names)
            assert "conf/x.json" not in seen.names

    run(main())


def test_after_a_failed_attempt_any_python_file_counts(project):
    async def main():
        async with watching(project, wants(project, "app.py")) as seen:
            seen.wanted = wants(project, "app.py", anything=True)
            seen.watch.refresh()
            await seen.begun()
            (project / "lib" / "deep").mkdir()
            await seen.hinted()
            (project / "text.txt").write_text("")
            new = project / "lib" / "deep" / "fix.py"
            await until(lambda: new.write_text("") == 0 and "lib/deep/fix.py" in seen.names)
            assert seen.names == {"lib/deep/fix.py"}

    run(main())


def test_what_is_wanted_later_is_seen_and_a_hint_comes_for_what_was_missed(project):
    async def main():
        async with watching(project, wants(project, "app.py")) as seen:
            seen.wanted = wants(project, "app.py", "other.py")  # in the same folder
            seen.watch.refresh()
            await seen.begun()
            (project / "other.py").write_text("")
            await seen.names_it("other.py")
            seen.wanted = wants(project, "app.py", "far/away/x.py")  # in a folder that there is not yet
            seen.watch.refresh()
            await seen.begun()
            (project / "far" / "away").mkdir(parents=True)
            await seen.hinted()
            await until(lambda: (project / "far/away/x.py").write_text("") == 0 and "far/away/x.py" in seen.names)

    run(main())


def test_a_refresh_that_changes_nothing_says_nothing(project):
    async def main():
        async with watching(project, wants(project, "app.py")) as seen:
            for _ in range(5):
                seen.watch.refresh()
            (project / "app.py").touch()
            await seen.hinted()
            assert seen.hints == [{"app.py"}]

    run(main())
