"""Nothing ends a watch: no folder that vanishes, no link that is switched, no kernel without a watch left."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
from pathlib import Path

import pytest

from bentod.daemon import places, watch
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


def unlink_and_create(path: Path) -> None:
    path.unlink()
    path.write_text("2\n")


def git(project: Path, *arguments: str) -> None:
    settings = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main")
    subprocess.run(["git", *settings, *arguments], cwd=project, check=True, capture_output=True)


def test_a_folder_that_git_removes_and_makes_again_is_seen_and_watched_again(project):
    git(project, "init")
    git(project, "add", ".")
    git(project, "commit", "-m", "with lib")
    git(project, "checkout", "-b", "without")
    git(project, "rm", "-r", "lib")
    git(project, "commit", "-m", "without lib")
    git(project, "checkout", "main")

    async def main():
        async with watching(project, wants(project, "lib/model.py")) as seen:
            for _ in range(3):
                seen.hints.clear()
                git(project, "checkout", "-f", "without")
                await seen.hinted()
                seen.hints.clear()
                git(project, "checkout", "-f", "main")
                await seen.hinted()
                seen.hints.clear()
                await until(lambda: in_place(project / "lib" / "model.py") or "lib/model.py" in seen.names)

    run(main())


def test_a_project_that_vanishes_and_comes_back_is_watched_again(project):
    async def main():
        async with watching(project, wants(project, "app.py", "lib/model.py")) as seen:
            shutil.rmtree(project)
            await until(lambda: seen.logged("watch.failed"))
            assert seen.logged("watch.failed")[0]["reason"] == f"there is no folder {project}"
            seen.hints.clear()
            (project / "lib").mkdir(parents=True)
            (project / "app.py").write_text("3")
            await seen.begun()
            (project / "app.py").write_text("4")
            await seen.names_it("app.py")
            assert len(seen.logged("watch.failed")) == 1

    run(main())


def test_a_project_that_is_moved_away_and_replaced_is_watched_again(project, monkeypatch):
    monkeypatch.setattr(watch, "_ROUND_S", 0.1)

    async def main():
        async with watching(project, wants(project, "app.py")) as seen:
            old = project.rename(project.with_name("old"))
            shutil.copytree(old, project)
            await seen.hinted()
            seen.hints.clear()
            await until(lambda: in_place(project / "app.py") or "app.py" in seen.names)

    run(main())


def test_links_are_followed_and_each_link_on_the_way_counts(project, tmp_path):
    """As in a mounted ConfigMap: `app.yaml` leads to `..data/app.yaml`, and `..data` to the newest folder."""
    mount = tmp_path / "mount"
    for version in ("v1", "v2"):
        (mount / version).mkdir(parents=True)
        (mount / version / "app.yaml").write_text(version)
    (mount / "..data").symlink_to("v1")
    (mount / "app.yaml").symlink_to("..data/app.yaml")
    (project / "bentofile.yaml").symlink_to(mount / "app.yaml")

    async def main():
        async with watching(project, wants(project, "bentofile.yaml")) as seen:
            (mount / "v1" / "app.yaml").write_text("other")
            await seen.names_it("bentofile.yaml")
            (mount / "..tmp").symlink_to("v2")
            seen.hints.clear()
            (mount / "..tmp").replace(mount / "..data")
            await seen.names_it("bentofile.yaml")
            seen.hints.clear()
            await until(lambda: (mount / "v2" / "app.yaml").write_text("more") and "bentofile.yaml" in seen.names)

    run(main())


def test_a_project_behind_a_link_that_is_switched_is_watched_at_its_new_place(tmp_path):
    for version in ("v1", "v2"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "app.py").write_text(version)
    current = tmp_path / "current"
    current.symlink_to("v1")

    async def main():
        async with watching(current, wants(current, "app.py")) as seen:
            (tmp_path / "new").symlink_to("v2")
            (tmp_path / "new").replace(current)
            await seen.names_it("app.py")
            seen.hints.clear()
            await until(lambda: (tmp_path / "v2" / "app.py").write_text("more") and "app.py" in seen.names)

    run(main())


def test_a_burst_of_a_thousand_files_is_few_hints_and_names_all_that_count(project):
    names = [f"lib/f{number}.py" for number in range(1_000)]

    async def main():
        async with watching(project, wants(project, *names), debounce_s=0.5) as seen:
            for name in names:
                (project / name).write_text("x")
            await seen.names_it(*names)
            assert len(seen.hints) < 20

    run(main())


def test_nothing_is_said_while_a_file_is_being_written_but_not_for_ever(project):
    stop = threading.Event()

    def write() -> None:
        with (project / "app.py").open("w") as stream:
            while not stop.wait(0.001):
                stream.write("x")
                stream.flush()

    async def main():
        async with watching(project, wants(project, "app.py"), debounce_s=0.2) as seen:
            writer = threading.Thread(target=write)
            begun = time.monotonic()
            writer.start()
            try:
                await seen.hinted()
                took_s = time.monotonic() - begun
            finally:
                stop.set()
                writer.join()
            assert took_s >= 0.2

    run(main())


def test_a_name_that_is_no_text_does_not_end_the_watch(project):
    async def main():
        async with watching(project, wants(project, "app.py")) as seen:
            Path(os.fsdecode(os.fsencode(project) + b"/\xff\xfe")).write_text("")
            await seen.begun()  # for it had to start again
            (project / "app.py").touch()
            await seen.hinted()

    run(main())


def test_a_pattern_that_cannot_be_used_is_said_and_the_watch_goes_on_after_it_is_mended(project):
    async def main():
        async with watching(project, wants(project, "app.py", include=("!",)), begun=False) as seen:
            await until(lambda: seen.logged("watch.failed"))
            assert seen.logged("watch.failed")[0]["reason"].startswith("`!` is no pattern")
            seen.wanted = wants(project, "app.py")
            seen.watch.refresh()
            await seen.begun()
            (project / "app.py").touch()
            await seen.names_it("app.py")

    run(main())


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError('OS file watch limit reached. about ["/p"] (Error { … })'), "OS file watch limit reached"),
        (RuntimeError("Too many open files (os error 24)"), "Too many open files (os error 24)"),
    ],
    ids=["watches", "instances"],
)
def test_without_a_watch_of_the_kernel_we_look_ourselves(project, monkeypatch, error, reason):
    made = watch._watching

    def limited(folders, *, polling):
        if not polling:
            raise error
        return made(folders, polling=True)

    monkeypatch.setattr(watch, "_watching", limited)
    monkeypatch.setattr(watch, "_POLL_S", 0.05)

    async def main():
        async with watching(project, wants(project, "app.py", "lib/model.py")) as seen:
            (project / "app.py").write_text("changed")
            await seen.names_it("app.py")
            unlink_and_create(project / "lib" / "model.py")
            await seen.names_it("lib/model.py")
            assert [one["reason"] for one in seen.logged("watch.polling")] == [reason]

    run(main())


def test_what_the_kernel_does_not_tell_is_found_out_all_the_same(project, monkeypatch):
    monkeypatch.setattr(watch, "_ROUND_S", 0.1)
    monkeypatch.setattr(places.Places, "_counts", lambda self, path: None)

    async def main():
        async with watching(project, wants(project, "app.py")) as seen:
            (project / "app.py").write_text("changed")
            await seen.names_it("app.py")

    run(main())


def test_more_folders_than_can_be_watched_are_said(project, monkeypatch):
    monkeypatch.setattr(places, "MAX_FOLDERS", 5)
    for number in range(10):
        (project / str(number)).mkdir()

    async def main():
        async with watching(project, wants(project, "app.py", include=("*.txt",))) as seen:
            assert seen.logged("watch.limited") == [{"level": "warning", "folders": 5}]
            (project / "app.py").touch()
            await seen.names_it("app.py")

    run(main())


def test_a_watch_stops_at_once_and_says_nothing_afterwards(project):
    async def main():
        async with watching(project, wants(project, "app.py"), debounce_s=1) as seen:
            (project / "app.py").touch()
            begun = time.monotonic()
            await seen.watch.stop()
            assert time.monotonic() - begun < 5
            assert seen.hints == []
        async with watching(project / "nowhere", wants(project), begun=False) as seen:
            await until(lambda: seen.logged("watch.failed"))

        await until(lambda: not [thread for thread in threading.enumerate() if thread.name.startswith("watch")])

    run(main())
