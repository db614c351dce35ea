"""Changes as the daemon makes them: judged once, recorded before they are told of, and silent about secrets."""

from __future__ import annotations

import asyncio
import json
import shutil
from dataclasses import asdict, replace
from types import SimpleNamespace

import pytest

from bentod.daemon import git, patterns
from bentod.daemon.history import History
from bentod.daemon.journal import Journal, UnknownGeneration
from bentod.daemon.order import Order
from bentod.daemon.reload import Reload
from bentod.errors import PlanError, Problem, SpecError
from bentod.lock.apis import api_digests
from bentod.lock.file import LockFile, lock_path, written
from bentod.supervise.state import ServiceState
from tests.support.children import Events
from tests.support.loops import run
from tests.support.sources import Project

APPLY = Order("apply", allow_breaking=True)
CANARY = "canary-4711"


class Running:
    """A daemon that runs generation 1 of a project, but for its processes."""

    def __init__(self, project, failing=(), *, locked=False):
        self.project = project
        self.stage = project.stage(failing=failing)
        self.events = Events()
        self.sources = project.sources(locked=locked)
        self.journal = Journal(project.folders, project.environ, self.events)
        self.reload = Reload(self.stage, project.environ, self.journal, self.sources, self.events)
        self.history = History(project.folders.history)

    async def begin(self):
        number = await self.journal.begin(self.stage.desired, "up")
        await self.journal.live(number, 0.1, self.stage.routing.pools)
        await self.sources.begin(self.stage.desired, self.stage.routing.pools.values())
        assert (await self.reload.consider([])).outcome == "unchanged"
        self.keep()
        return self

    def keep(self):
        """What workers keep of what they import."""
        objects = self.project.folders.objects
        objects.mkdir(parents=True, exist_ok=True)
        for name, content in self.project.imports().items():
            shutil.copyfile(self.project.folder / name, objects / content)

    @property
    def note(self):
        return self.reload.note.state

    def told(self, event):
        return [keys for name, keys in self.events.all if name == event]


@pytest.fixture(autouse=True)
def no_git(monkeypatch):
    monkeypatch.setattr(git, "describe", lambda *_: None)


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


def test_an_edit_is_applied_once(project):
    async def main():
        one = await Running(project).begin()
        project.write("part.py", "WORD = 2\n")
        found = await one.reload.consider(["part.py"])
        assert (found.outcome, found.generation, one.note) == ("applied", 2, "idle")
        assert await one.reload.consider(["part.py"]) is None
        assert (await one.reload.apply(APPLY)).outcome == "unchanged"
        assert one.told("generation.starting")[0]["reason"] == "changed: part.py"

    run(main())


def lock(project):
    """What `bentod lock` does."""
    found = api_digests(project.read().loaded.spec)
    lock_path(project.path).write_text(written(LockFile(apis=found)))


def test_what_is_edited_under_a_lock_must_be_what_is_locked(project):
    async def main():
        lock(project)
        one = await Running(project, locked=True).begin()
        project.write("part.py", "WORD = 2\n")
        assert (await one.reload.consider(["part.py"])).outcome == "applied"
        project.spec(apis={"say": {"service": "one", "input": {"type": "null"}}})
        refused = await one.reload.consider([])
        assert (refused.outcome, refused.generation, one.note) == ("failed", 2, "failed")
        [problem] = refused.problems
        assert (problem.file, problem.code) == (str(lock_path(project.path)), "drift")
        assert problem.line > 0
        assert "`bentod lock`" in problem.hint
        with pytest.raises(SpecError):
            await one.reload.plan(None, None)
        assert await one.reload.consider([]) is None
        lock(project)
        assert (await one.reload.consider([])).outcome == "applied", "the lock file is watched"
        lock_path(project.path).unlink()
        assert (await one.reload.consider([])).problems[0].code == "no-lock"
        assert (await one.reload.apply(Order("rollback", generation=1))).outcome == "applied"

    run(main())


def test_who_hears_that_a_generation_is_live_finds_its_record(project):
    async def main():
        one = await Running(project).begin()
        seen = []

        def look():
            if one.stage.routing.number == 2 and (one.note == "idle" or one.told("generation.ready")):
                seen.append(one.history.get(2).outcome)

        one.journal.live, live = None, one.journal.live

        async def recorded(*args):
            assert (one.note, one.told("generation.ready")) == ("applying", [])
            await live(*args)

        one.journal.live = recorded
        project.write("part.py", "WORD = 2\n")
        assert (await one.reload.consider([])).outcome == "applied"
        look()
        assert seen == ["live"]

    run(main())


def test_a_failed_attempt_is_tried_again_by_an_edit_or_an_order_only(project):
    async def main():
        one = await Running(project, {("start", 1), ("start", 2), ("start", 3)}).begin()
        project.write("part.py", "WORD = 2\n")
        failed = await one.reload.consider(["part.py"])
        assert (failed.outcome, failed.error, failed.traceback) == ("failed", "service one: it broke", "Traceback …")
        assert one.reload.note.reason == (
            "service one: it broke\nIt is tried again as soon as a file changes, or with `bentod apply`."
        )
        assert one.told("generation.failed") == [
            {"level": "error", "generation": 2, "error": failed.error, "traceback": failed.traceback}
        ]
        assert one.history.get(2).error == failed.error
        assert await one.reload.consider([]) is None
        assert (await one.reload.apply(APPLY)).outcome == "failed"
        assert await one.reload.consider(["part.py"]) is None, "the order has tried it"
        project.write("part.py", "WORD = 3\n")
        assert (await one.reload.consider(["part.py"])).outcome == "failed"
        project.write("part.py", "WORD = 1\n")
        assert (await one.reload.consider(["part.py"])).outcome == "unchanged"
        assert one.note == "idle"
        assert one.stage.routing.number == 1

    run(main())


def test_an_edit_while_a_change_starts_has_it_tried_once_more(project):
    async def main():
        one = await Running(project).begin()
        project.write("part.py", "WORD = 2\n")

        words = iter((3, 5))

        def edit():
            one.stage.on_tick = lambda: None
            project.write("part.py", f"WORD = {next(words)}\n")

        one.stage.on_tick = edit
        assert (await one.reload.apply(APPLY)).outcome == "applied"
        assert "part.py was edited" in one.told("generation.failed")[0]["error"]
        assert one.stage.routing.pools["one"].files == project.imports()
        one.stage.on_tick = edit
        project.write("part.py", "WORD = 4\n")
        assert (await one.reload.consider(["part.py"])).outcome == "applied"
        assert len(one.told("generation.failed")) == 2
        assert one.stage.routing.pools["one"].files == project.imports()

    run(main())


def test_after_a_rollback_the_files_are_known_and_not_wanted_until_they_are_edited(project):
    async def main():
        one = await Running(project).begin()
        project.write("part.py", "WORD = 2\n")
        project.spec(version="2")
        assert (await one.reload.consider([])).generation == 2
        one.keep()
        one.stage.imports = lambda _: dict(one.history.get(1).services["one"].files)
        back = await one.reload.apply(Order("rollback to 1", generation=1, allow_breaking=True))
        assert (back.outcome, back.generation) == ("applied", 3)
        assert one.stage.pools[-1].pins == one.history.get(1).services["one"].files
        one.stage.imports = project.imports
        project.write("part.py", "WORD = 2\n")
        (project.folder / "one.py").touch()
        assert await one.reload.consider(["part.py", "one.py", "bentofile.yaml"]) is None
        project.write("one.py", "import part\n\n\ndef say(): return 1\n")
        assert (await one.reload.consider(["one.py"])).outcome == "applied"
        assert one.stage.plan.version == "2"

    run(main())


def test_orders_that_cannot_be_carried_out_change_nothing(project):
    async def main():
        one = await Running(project).begin()
        with pytest.raises(UnknownGeneration):
            await one.reload.apply(Order("rollback", generation=7))
        project.spec(version="2")
        refused = await one.reload.apply(Order("apply", state="another"))
        assert (refused.outcome, one.note) == ("refused", "refused")
        assert refused.plan["state"]
        assert (await one.reload.apply(Order("apply", state=refused.plan["state"]))).outcome == "applied"

    run(main())


def test_other_files_are_planned_and_applied_and_count_from_then_on(project):
    async def main():
        one = await Running(project).begin()
        over = project.folder / "over.yaml"
        over.write_text("version: '2'\n")
        planned = await one.reload.plan([project.path, over], None)
        assert [cause["name"] for cause in planned["documents"]] == ["version"]
        assert one.sources.files == (project.path,)
        assert (await one.reload.apply(Order("apply", (project.path, over)))).outcome == "applied"
        assert one.sources.files == (project.path, over)
        assert await one.reload.consider([]) is None
        over.write_text("version: '3'\n")
        assert (await one.reload.consider([])).outcome == "applied"
        elsewhere = Project(project.folder / "elsewhere")
        with pytest.raises(SpecError, match="this daemon serves"):
            await one.reload.plan([elsewhere.path], None)

    run(main())


def test_patterns_that_mean_too_many_files_are_a_problem_before_anything_starts(project, monkeypatch):
    async def main():
        one = await Running(project).begin()
        monkeypatch.setattr(patterns, "MAX_FILES", 1)
        project.spec(version="2", reload={"include": ["*.py"]})
        found = await one.reload.consider([])
        [problem] = one.reload.note.problems
        assert (found.outcome, problem.code, problem.path) == ("failed", "unusable-pattern", "reload")
        assert (problem.file, problem.line) == (str(project.path), 1)
        assert one.stage.log == []
        with pytest.raises(SpecError, match="too many files"):
            await one.reload.plan(None, None)
        project.spec(version="2")
        assert (await one.reload.consider([])).outcome == "applied"

    run(main())


def test_orders_wait_for_each_other(project):
    async def main():
        one = await Running(project).begin()
        project.spec(version="2")
        async with one.reload.turn:
            orders = [asyncio.create_task(one.reload.apply(APPLY)) for _ in range(2)]
            await asyncio.sleep(0)
            assert one.stage.routing.number == 1
        assert [found.outcome for found in await asyncio.gather(*orders)] == ["applied", "unchanged"]

    run(main())


def test_a_service_that_has_failed_starts_again_with_an_order(project):
    async def main():
        one = await Running(project).begin()
        [pool] = one.stage.routing.pools.values()
        failed = replace(pool.status(), state=ServiceState.FAILED)
        pool.status = lambda: failed
        assert (await one.reload.plan(None, None))["services"]["one"]["action"] == "restart"
        assert (await one.reload.apply(APPLY)).outcome == "applied"
        assert one.stage.routing.pools["one"] is not pool

    run(main())


# ── secrets ──────────────────────────────────────────────────────────────────────────────────────

CLASS = "import part\n\n\nclass One:\n    def __init__(self, token=''): ...\n    def say(self): ...\n"
TARGET = {"target": "one.py:One"}
API = {"service": "one", "method": "say"}
SECRET = {
    "env": {"env": {"TOKEN": "${SECRET}"}},
    "env of a service": {"services": {"one": {**TARGET, "env": {"TOKEN": "x${SECRET}"}}}},
    "init": {"services": {"one": {**TARGET, "init": {"token": "${SECRET}"}}}},
    "a number that is none": {"services": {"one": {**TARGET, "threads": "${SECRET}"}}},
    "a duration that is none": {"reload": {"debounce": "${SECRET}"}},
    "an unknown target": {"services": {"one": {"target": "${SECRET}.py"}}},
    "an address that is none": {"server": {"listen": "${SECRET}"}},
    "a prefix": {"server": {"path_prefix": "/${SECRET}"}},
    "a label": {"labels": {"a": "${SECRET}"}},
    "a version": {"version": "${SECRET}"},
    "a description": {"description": "${SECRET}"},
    "an API's words": {"apis": {"say": {**API, "summary": "${SECRET}", "tags": ["${SECRET}"]}}},
    "a schema": {"apis": {"say": {**API, "input": {"properties": {"x": {"const": "${SECRET}"}}}}}},
    "a route": {"apis": {"say": {**API, "route": "/${SECRET}"}}},
    "a pattern": {"reload": {"include": ["${SECRET}/*"]}},
    "a pattern that is none": {"reload": {"include": ["${SECRET}[["]}},
    "an env file that is none": {"env_files": ["${SECRET}"]},
}


@pytest.mark.parametrize("spec", SECRET.values(), ids=SECRET.keys())
def test_a_value_of_the_environment_is_told_to_nobody(tmp_path, spec):
    async def main():
        project = Project(tmp_path, {"SECRET": CANARY})
        project.write("one.py", CLASS)
        usual = {"services": {"one": TARGET}, "apis": {"say": API}}
        project.spec(**usual)
        one = await Running(project).begin()
        said = []
        for wanted in ({**usual, **spec}, usual):
            project.spec(**wanted)
            try:
                said.append(await one.reload.plan(None, None))
            except SpecError as error:
                said.append([asdict(problem) for problem in error.problems])
            said.append((await one.reload.consider([])).document())
            said.append(one.reload.note.document())
        said += [path.read_text() for path in project.folders.history.iterdir()]
        assert CANARY not in json.dumps([said, one.events.all], default=str)

    run(main())


def test_a_plan_shows_what_is_written_for_a_value_of_the_environment(tmp_path):
    async def main():
        project = Project(tmp_path, {"SECRET": CANARY}, version="1")
        one = await Running(project).begin()
        project.spec(version="${SECRET}-x")
        [cause] = (await one.reload.plan(None, None))["documents"]
        assert (cause["before"], cause["after"]) == ("1", "${SECRET}-x")
        await one.reload.apply(APPLY)
        project.environ["SECRET"] = "another"
        [cause] = (await Reload.plan(_with(one, project.environ), None, None))["documents"]
        assert (cause["before"], cause["after"]) == ("", "changed")

    run(main())


def _with(one, environ):
    """The same with another environment."""
    return Reload(one.stage, environ, one.journal, one.sources, one.events)


def test_placing_what_runs_anew_looks_at_no_file_and_forgets_no_news(project):
    async def main():
        one = await Running(project).begin()
        project.write("part.py", "WORD = 2\n")
        found = await one.reload.apply(Order("GPU 0 is out: Xid 79", anew=True))
        assert (found.outcome, found.generation, one.note) == ("unchanged", 1, "idle")
        assert one.stage.desired.pins == {}
        found = await one.reload.consider(["part.py"])
        assert (found.outcome, found.generation) == ("applied", 2)
        project.write("bentofile.yaml", "no: spec\n")
        assert (await one.reload.consider(["bentofile.yaml"])).outcome == "failed"
        before = one.reload.note
        assert (await one.reload.apply(Order("GPU 0 is out: Xid 79", anew=True))).outcome == "unchanged"
        assert one.reload.note == before, "the files are as wrong as they were"

    run(main())


def test_a_generation_of_old_is_compared_as_it_would_be_placed_here(project, monkeypatch):
    async def main():
        one = await Running(project).begin()
        project.spec(services={"one": {"target": "one.py", "workers": "auto", "resources": {"cpus": 0.25}}})
        assert (await one.reload.apply(Order("apply"))).generation == 2
        assert (await one.reload.plan(None, 2))["empty"]
        monkeypatch.setattr("bentod.inventory.here.cpus", lambda root: (0.1, (0,)))
        project.spec()
        found = await one.reload.plan(None, 2)
        assert found["services"]["one"]["action"] == "restart", "also if it does not fit any more"

    run(main())


def test_what_does_not_fit_any_more_goes_on_and_the_reason_is_told(project, monkeypatch):
    async def main():
        one = await Running(project).begin()

        def full(*_):
            raise PlanError([Problem("does-not-fit", "s wants 1 GPU, but GPU 0 is taken out")])

        monkeypatch.setattr(type(one.stage.desired), "anew", full)
        one.sources.failed([SimpleNamespace(files={"only_tried.py": "1"})])
        watched = one.sources.wanted()
        found = await one.reload.apply(Order("GPU 0 is out: Xid 79", anew=True))
        assert one.sources.wanted() == watched, "it is still known which file may mend the last change"
        assert (found.outcome, one.stage.routing.number, one.note) == ("failed", 1, "failed")
        assert one.reload.note.reason.startswith("GPU 0 is out: Xid 79; ")
        assert "s wants 1 GPU" in one.reload.note.reason
        assert one.stage.events("start", "retire") == []

    run(main())
