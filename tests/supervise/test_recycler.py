"""Workers that are replaced although nothing is wrong with them."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bentod.plan.model import RecyclePolicy
from bentod.supervise.pool import Pool
from bentod.supervise.state import ServiceState, WorkerState
from bentod.wire.messages import Drain, Failed, Imported
from tests.support.children import Events, FakeLauncher, plan, policy
from tests.support.loops import run, turns, until

S = WorkerState
MANY = RecyclePolicy(max_calls=10, max_age_s=None, max_memory=None)


class Recycled:
    """A live pool, and what it did."""

    def __init__(self, launcher, workers, **changed):
        self.launcher, self.events = launcher, Events()
        self.routes = []
        self.pool = Pool(
            plan(workers, **({"recycle": MANY} | changed)), Path("/project"), launcher, self.note, self.events
        )

    def note(self):
        self.routes.append(tuple(worker.pid for worker in self.pool.route().workers))

    def pids(self):
        return [worker.pid for worker in self.pool.route().workers]

    def calls(self, *counts, memory=None):
        """Tell the pool how many calls its first, second … process has answered."""
        pids = [child.pid for child in self.launcher.children]
        self.pool.observe(dict(zip(pids, counts, strict=False)), lambda _: memory)

    def keys(self, name):
        return [keys for event, keys in self.events.all if event == name]


@asynccontextmanager
async def recycled(workers=1, launcher=None, **changed):
    launcher = launcher or FakeLauncher(ready=True)
    one = Recycled(launcher, workers, **changed)
    one.pool.start()
    await until(lambda: len(launcher.children) == workers)
    for child in launcher.children if not launcher.ready else ():
        child.say()
    assert await one.pool.settled()
    one.pool.accept()
    try:
        yield one
    finally:
        await asyncio.wait_for(one.pool.stop(1.0), 10)
    assert all(child.exit_code is not None for child in launcher.children)
    assert sorted(launcher.removed) == sorted(set(launcher.removed))


def test_the_successor_is_ready_before_the_old_one_leaves():
    async def main():
        launcher = FakeLauncher(stubborn=True)
        async with recycled(2, launcher) as one:
            old, other = launcher.children
            one.calls(9, 9)
            await turns()
            assert len(launcher.children) == 2
            one.calls(10, 9)
            successor = (await until(lambda: launcher.children[2:]))[0]
            await turns()
            assert one.pids() == [old.pid, other.pid]
            assert one.pool.status().state is ServiceState.READY
            assert [worker.state for worker in one.pool.status().workers] == [S.READY, S.READY, S.STARTING]
            successor.say()
            await until(lambda: one.pids() == [successor.pid, other.pid])
            await until(lambda: any(isinstance(message, Drain) for message in old.channel.sent))
            assert old.channel.sent[-1] == Drain(20.0)
            assert [worker.state for worker in one.pool.status().workers] == [S.READY, S.READY, S.DRAINING]
            assert one.events.names.count("worker.recycled") == 0
            old.end(0)
            [keys] = await until(lambda: one.keys("worker.recycled"))
            assert (keys["worker"], keys["pid"], keys["successor"]) == (0, old.pid, successor.pid)
            assert all(len(route) == 2 for route in one.routes[one.routes.index((old.pid, other.pid)) :])
            assert one.keys("worker.recycling")[0]["reason"] == "it has answered 10 calls (max_calls)"
            first = one.pool.status().workers[0]
            assert (first.recycled, first.restarts) == (1, 0)
            assert "worker.lost" not in one.events.names

    run(main())


def test_one_at_a_time():
    async def main():
        launcher = FakeLauncher()
        async with recycled(3, launcher) as one:
            one.calls(10, 10, 10)
            await until(lambda: len(launcher.children) == 4)
            one.calls(10, 10, 10)
            await turns()
            assert len(launcher.children) == 4
            launcher.children[3].say()
            await until(lambda: one.keys("worker.recycled"))
            one.calls(10, 10, 10, 0)
            await until(lambda: len(launcher.children) == 5)
            assert [keys["worker"] for keys in one.keys("worker.recycling")] == [0, 1]

    run(main())


def test_memory_and_age_are_reasons_and_memory_is_asked_only_then():
    async def main():
        async with recycled(1, recycle=RecyclePolicy(None, None, 1000)) as one:
            one.calls(memory=999)
            one.calls(memory=1000)
            assert "max_memory" in (await until(lambda: one.keys("worker.recycling")))[0]["reason"]
        async with recycled(1, recycle=RecyclePolicy(5, 0.05, None)) as one:

            def never(_):
                raise AssertionError("asked for memory")

            def aged():
                one.pool.observe({}, never)
                return one.keys("worker.recycling")

            assert "max_age" in (await until(aged))[0]["reason"]

    run(main())


def test_a_pool_that_is_not_live_or_has_no_limits_recycles_nothing():
    async def main():
        async with recycled(1, recycle=None) as one:
            one.calls(10**9)
            one.pool.adopt(plan(1, recycle=MANY))
            assert one.keys("worker.recycling") == []
            one.calls(10)
            await until(lambda: one.keys("worker.recycled"))

    run(main())


@pytest.mark.parametrize("end", ["failed", "dies", "no process"])
def test_if_the_successor_does_not_start_the_old_one_goes_on(end):
    async def main():
        launcher = FakeLauncher()
        async with recycled(1, launcher, restart=policy(max_delay_s=600.0)) as one:
            if end == "no process":
                launcher.failing.append(OSError("no memory"))
            one.calls(10)
            if end != "no process":
                await until(lambda: len(launcher.children) == 2)
                launcher.children[1].say(Failed("import", "x")) if end == "failed" else launcher.children[1].end(-11)
            [keys] = await until(lambda: one.keys("worker.recycle_failed"))
            assert keys["reason"].startswith("its replacement cannot start, it goes on: ")
            assert keys["delay_s"] == 600.0
            assert one.pids() == [launcher.children[0].pid]
            count = len(launcher.children)
            one.calls(11)
            await turns()
            assert len(launcher.children) == count
            assert "worker.failed" not in one.events.names
            assert len(one.pool.status().workers) == 1

    run(main())


def test_it_is_tried_again_after_a_while():
    async def main():
        launcher = FakeLauncher()
        async with recycled(1, launcher, restart=policy(max_delay_s=0.01)) as one:
            one.calls(10)
            await until(lambda: len(launcher.children) == 2)
            launcher.children[1].end(1)
            await until(lambda: one.keys("worker.recycle_failed"))
            await until(lambda: one.calls(10) or len(launcher.children) == 3)
            launcher.children[2].say()
            await until(lambda: one.keys("worker.recycled"))

    run(main())


def test_an_old_one_that_dies_meanwhile_is_succeeded_or_starts_again():
    async def main():
        launcher = FakeLauncher()
        async with recycled(1, launcher) as one:
            one.calls(10)
            await until(lambda: len(launcher.children) == 2)
            launcher.children[0].end(-9)
            await until(lambda: len(launcher.children) == 3)
            launcher.children[1].say()
            await until(lambda: one.pids() == [launcher.children[1].pid])
            await until(lambda: launcher.children[2].killed)
            assert one.pool.status().workers[0].restarts == 1

    run(main())


def test_a_successor_that_dies_right_away_is_no_successor_or_starts_again():
    async def main():
        launcher = FakeLauncher()
        async with recycled(1, launcher, restart=policy(max_delay_s=600.0, delay_s=0.0)) as one:
            one.calls(10)
            await until(lambda: len(launcher.children) == 2)
            launcher.children[1].say()
            launcher.children[1].end(-11)
            await until(lambda: one.pids() and (one.keys("worker.recycle_failed") or one.keys("worker.lost")))
            if len(launcher.children) == 3:
                launcher.children[2].say()
            await until(lambda: len(one.pids()) == 1)

    run(main())


# ── where there is no room for two ───────────────────────────────────────────────────────────────


def test_where_it_must_stop_first_there_are_never_two():
    async def main():
        launcher = FakeLauncher(stubborn=True)
        async with recycled(1, launcher, reload="stop_first") as one:
            [old] = launcher.children
            one.calls(10)
            await until(lambda: isinstance(old.channel.sent[-1], Drain))
            await turns()
            assert len(launcher.children) == 1
            assert (one.pids(), one.pool.route().admit, one.pool.route().state) == ([], True, "recovering")
            old.end(0)
            successor = (await until(lambda: launcher.children[1:]))[0]
            assert (one.pids(), one.pool.route().admit) == ([], True)
            assert len(one.pool.status().workers) == 1
            successor.say()
            await until(lambda: one.pids() == [successor.pid])
            [keys] = await until(lambda: one.keys("worker.recycled"))
            assert keys["successor"] == successor.pid
            assert one.pool.status().workers[0].recycled == 1
            assert "service.recovered" not in one.events.names

    run(main())


def test_where_it_has_stopped_first_the_next_is_tried_until_it_starts():
    async def main():
        launcher = FakeLauncher(ready=True)
        async with recycled(1, launcher, reload="stop_first") as one:
            launcher.failing += [OSError("x"), OSError("y")]
            one.calls(10)
            await until(lambda: one.keys("worker.recycled"))
            assert one.pool.status().workers[0].restarts == 2

    run(main())


# ── together with other changes ──────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("mode", ["overlap", "stop_first"])
@pytest.mark.parametrize("moment", ["at once", "starting", "draining"])
def test_the_pool_can_be_stopped_meanwhile(mode, moment):
    async def main():
        launcher = FakeLauncher(stubborn=True)
        async with recycled(2, launcher, reload=mode) as one:
            one.calls(10, 0)
            if moment != "at once":
                await turns(20)
            if moment == "draining":
                for child in launcher.children[2:]:
                    child.say()
                await until(lambda: isinstance(launcher.children[0].channel.sent[-1], Drain))
            await asyncio.wait_for(one.pool.stop(0.05), 5)
            states = {worker.state for worker in one.pool.status().workers}
            assert states == {S.STOPPED}
            assert len(one.pool.status().workers) == 2
            assert len(launcher.children) <= 3
            assert "worker.recycle_failed" not in one.events.names

    run(main())


@pytest.mark.parametrize("mode", ["overlap", "stop_first"])
def test_a_worker_that_is_stopped_meanwhile_stays_so(mode):
    async def main():
        launcher = FakeLauncher()
        async with recycled(2, launcher, reload=mode) as one:
            one.calls(10, 0)
            await turns(1)
            await one.pool.stop_workers([0], 1.0)
            await turns(20)
            assert one.pids() == [launcher.children[1].pid]
            assert "worker.recycle_failed" not in one.events.names
            alive = [child for child in launcher.children if child.exit_code is None]
            assert len(alive) == 1

    run(main())


@pytest.mark.parametrize("mode", ["overlap", "stop_first"])
def test_fewer_workers_meanwhile(mode):
    async def main():
        launcher = FakeLauncher(ready=True)
        async with recycled(2, launcher, reload=mode) as one:
            one.calls(0, 10)
            one.pool.adopt(plan(1, recycle=MANY, reload=mode))
            await one.pool.shrink()
            await turns(20)
            assert one.pids() == [launcher.children[0].pid]
            await until(lambda: len([child for child in launcher.children if child.exit_code is None]) == 1)
            assert len(one.pool.status().workers) == 1

    run(main())


def test_a_successor_imports_the_files_that_the_pool_has():
    async def main():
        launcher = FakeLauncher()
        async with recycled(1, launcher) as one:
            launcher.children[0].say(Imported({"a.py": "1", "late.py": "2"}))
            await until(lambda: one.pool.files)
            one.calls(10)
            await until(lambda: len(launcher.children) == 2 and launcher.children[1].channel.sent)
            assert launcher.children[1].channel.sent[0].pins == {"a.py": "1", "late.py": "2"}
            launcher.children[1].say()
            await until(lambda: one.pids() == [launcher.children[1].pid])
            assert one.pool.files == {"a.py": "1", "late.py": "2"}

    run(main())
