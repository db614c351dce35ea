"""Whether files say something new: by content, once, and of every file that counts; an attempt is repeated only after
something has changed that it did not know."""

from __future__ import annotations

import pytest

from bentod.daemon import patterns
from bentod.daemon.proposal import Running
from bentod.spec.patterns import UnusablePattern
from tests.support.loops import run
from tests.support.sources import Project, digest


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


def begun(project, check, **given):
    """Run `check` with sources that have considered what is there, and the running pools."""

    async def main():
        stage, sources = project.stage(**given), project.sources()
        pools = list(stage.routing.pools.values())
        await sources.begin(stage.desired, pools)
        assert await sources.news(), "what happened since the start is looked at once"
        assert not await sources.news()
        await check(sources, pools)

    run(main())


def running(pools):
    return Running(files={pool.plan.name: dict(pool.files) for pool in pools})


def test_the_same_content_is_no_news_and_another_one_is_once(project):
    async def check(sources, pools):
        text = (project.folder / "part.py").read_text()
        project.write("part.py", text)
        (project.folder / "one.py").touch()
        assert not await sources.news(["part.py", "one.py"])
        for name in ("part.py", "one.py", "bentofile.yaml"):
            project.write(name, "# edited\n")
            assert await sources.news()
            assert not await sources.news([name])
        (project.folder / "part.py").unlink()
        assert await sources.news()
        assert not await sources.news()

    begun(project, check)


def test_env_files_count_and_excluded_modules_do_not(tmp_path):
    (tmp_path / ".env").write_text("A=1\n")
    project = Project(tmp_path, env_files=[".env"], reload={"exclude": ["part.py", ".env", "*.yaml"]})

    async def check(sources, pools):
        assert {path.name for path in sources.wanted().files} == {"bentofile.yaml", ".env", "one.py"}
        project.write("part.py", "WORD = 2\n")
        assert not await sources.news()
        assert "part.py" not in (await sources.disk(project.read(), running(pools))).files
        project.write(".env", "A=2\n")
        assert await sources.news()

    begun(project, check)


def test_what_a_change_was_made_from_is_what_was_considered(project):
    """A save between "is there news" and reading the files: what was there before it is news once it is back."""

    async def check(sources, pools):
        project.write("part.py", "# halfway\n")
        assert await sources.news()
        project.write("part.py", "WORD = 2\n")
        sources.found(await sources.disk(project.read(), running(pools)))
        assert not await sources.news(), "it was made from this"
        project.write("part.py", "# halfway\n")
        assert await sources.news()

    begun(project, check)


def test_a_hint_of_a_file_that_appears_is_news_one_of_nothing_is_not(project):
    async def check(sources, pools):
        assert not await sources.news(["gone.py"])
        project.write("new.py", "")
        assert await sources.news(["new.py"])
        assert not await sources.news(["new.py"])

    begun(project, check)


def test_what_a_failed_attempt_imported_is_no_reason_to_try_it_again(project):
    async def check(sources, pools):
        [pool] = pools
        project.write("more.py", "X = 1\n")
        pool.files = {**pool.files, "more.py": digest("X = 1\n")}
        sources.failed(pools)
        assert sources.wanted().anything
        assert project.folder / "more.py" in sources.wanted().files
        assert not await sources.news()
        project.write("more.py", "X = 2\n")
        assert await sources.news()
        assert not await sources.news()

    begun(project, check)


def test_an_edit_while_an_attempt_starts_leads_to_another(project):
    """Also of a file that nobody knew before."""

    async def check(sources, pools):
        [pool] = pools
        pool.files = {**pool.files, "more.py": digest("X = 1\n")}
        project.write("more.py", "X = 2\n")
        sources.follow(project.read(), pools, await sources.disk(project.read(), running([])))
        assert await sources.news()
        assert not await sources.news()

    begun(project, check)


def test_pools_that_disagree_about_a_new_file_are_news(project):
    async def check(sources, pools):
        [one] = pools
        [other] = project.stage().pools
        project.write("more.py", "X = 2\n")
        one.files, other.files = (
            {**pool.files, "more.py": digest(f"X = {number}\n")} for number, pool in enumerate((one, other), 1)
        )
        sources.imported([one, other])
        assert await sources.news()

    begun(project, check)


def test_what_is_imported_later_counts_from_then_on(project):
    async def check(sources, pools):
        [pool] = pools
        assert not sources.imported(pools)
        project.write("late.py", "X = 1\n")
        pool.files = {**pool.files, "late.py": digest("X = 1\n")}
        assert sources.imported(pools)
        assert not sources.imported(pools)
        assert not await sources.news(["late.py"])
        project.write("late.py", "X = 2\n")
        assert await sources.news()

    begun(project, check)


def test_old_code_that_runs_again_makes_no_news_of_what_is_there(project):
    """After a rollback the files are known, and not wanted, until somebody edits them."""

    async def check(sources, pools):
        desired = project.read()
        pinned = type(desired)(desired.loaded, desired.plan, desired.texts, {"one": {"one.py": "0", "late.py": "0"}})
        [pool] = pools
        pool.files = {"one.py": "0"}
        sources.follow(pinned, pools, await sources.disk(pinned, running([])))
        await sources.news()
        assert not await sources.news(["one.py"])
        project.write("late.py", "X = 1\n")
        pool.files = {"one.py": "0", "late.py": "0"}
        assert sources.imported(pools)
        assert not await sources.news()
        project.write("late.py", "X = 2\n")
        assert await sources.news()

    begun(project, check)


def test_a_file_that_moved_meanwhile_is_named_and_news(project):
    async def check(sources, pools):
        assert await sources.moved(pools) == ""
        project.write("part.py", "WORD = 2\n")
        assert await sources.moved(pools) == "part.py"
        assert await sources.news()
        project.write("bentofile.yaml", "bentod: 1\n")
        assert await sources.moved([]) == "bentofile.yaml"

    begun(project, check)


def test_what_was_read_is_known_whatever_was_found_a_moment_before(project):
    async def check(sources, pools):
        file = project.folder / "bentofile.yaml"
        found = file.read_bytes()
        sources.read([file], {})
        assert await sources.news(), "it was gone for a moment: what was made of that is not what it says"
        file.write_bytes(found + b"\n")
        sources.read([file], {file: found + b"\n"})
        assert await sources.moved([]) == ""
        assert not await sources.news()
        sources.read([file], {file: found})
        assert await sources.moved([]) == "bentofile.yaml"

    begun(project, check)


def test_files_that_are_about_to_be_read_are_known(project):
    async def check(sources, pools):
        project.write("other.yaml", "name: q\n")
        other = project.folder / "other.yaml"
        await sources.news(files=[other])
        sources.files = (*sources.files, other)
        assert not await sources.news()

    begun(project, check)


# ── reload.include ───────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def data(tmp_path):
    project = Project(tmp_path, reload={"include": ["data/**"]})
    project.write("data/a.txt", "1")
    return project


def test_included_files_count_when_they_come_change_and_go(data):
    async def check(sources, pools):
        assert sources.included == {"data/a.txt": digest("1")}
        for edit in (
            lambda: data.write("data/a.txt", "2"),
            lambda: data.write("data/b.txt", "2"),
            (data.folder / "data/a.txt").unlink,
        ):
            edit()
            assert await sources.news()
            assert not await sources.news()
        assert sources.included == {"data/a.txt": digest("1")}, "what runs was made of that"
        disk = await sources.disk(data.read(), running(pools))
        assert disk.included == {"data/b.txt": digest("2")}

    begun(data, check)


def test_an_included_file_that_is_edited_while_a_change_starts_is_news(data):
    async def check(sources, pools):
        disk = await sources.disk(data.read(), running(pools))
        data.write("data/a.txt", "2")
        sources.follow(data.read(), pools, disk)
        assert sources.included == {"data/a.txt": digest("1")}
        assert await sources.news()

    begun(data, check)


def test_other_patterns_that_went_live_are_no_news(data):
    async def check(sources, pools):
        data.write("more/x.txt", "1")
        data.spec(reload={"include": ["more/**"]})
        await sources.news()
        sources.follow(data.read(), pools, await sources.disk(data.read(), running(pools)))
        assert not await sources.news()

    begun(data, check)


def test_patterns_that_mean_too_many_files_are_refused_before_anything_is_made_of_them(data, monkeypatch):
    async def check(sources, pools):
        monkeypatch.setattr(patterns, "MAX_FILES", 1)
        data.write("data/b.txt", "2")
        assert await sources.news(), "so that it is said"
        assert not await sources.news(), "once"
        with pytest.raises(UnusablePattern):
            await sources.disk(data.read(), running(pools))
        data.spec()
        assert await sources.news(), "whoever mends the spec is heard"

    begun(data, check)


def test_a_daemon_that_starts_with_unusable_patterns_still_looks_at_its_spec(data, monkeypatch):
    monkeypatch.setattr(patterns, "MAX_FILES", 0)

    async def main():
        stage, sources = data.stage(), data.sources()
        with pytest.raises(UnusablePattern):
            await sources.begin(stage.desired, stage.pools)
        assert {path.name for path in sources.wanted().files} == {"bentofile.yaml", "one.py", "part.py"}
        assert sources.wanted().include == ()
        await sources.news()
        data.spec()
        assert await sources.news()

    run(main())
