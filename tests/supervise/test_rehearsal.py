"""Workers that answer the examples before they serve."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bentod.supervise.pool import Pool
from bentod.supervise.state import WorkerState
from bentod.wire.messages import Imported, Probed, Ready
from tests.support.children import READY, Events, FakeLauncher, plan
from tests.support.loops import run, turns, until

S = WorkerState


class Stage:
    """Where workers answer examples: each waits until the test gives a verdict."""

    def __init__(self):
        self.asked = []
        self.verdicts = asyncio.Queue()
        self.given_up = 0

    async def __call__(self, service, route):
        self.asked.append((service, route))
        try:
            return await self.verdicts.get()
        except asyncio.CancelledError:
            self.given_up += 1
            raise


@asynccontextmanager
async def rehearsed(workers=1, **changed):
    """A started pool with its launcher, its stage and its events."""
    launcher, stage, events = FakeLauncher(ready=True), Stage(), Events()
    pool = Pool(plan(workers, **changed), Path("/project"), launcher, lambda: None, events, key="s@1", rehearse=stage)
    pool.start()
    try:
        yield pool, launcher, stage, events
    finally:
        await asyncio.wait_for(pool.stop(1.0), 10)
    assert all(child.exit_code is not None for child in launcher.children)


def states(pool):
    return [worker.state for worker in pool.status().workers]


def test_a_worker_is_tried_alone_before_it_is_ready():
    async def main():
        async with rehearsed(2) as (pool, launcher, stage, events):
            await until(lambda: len(stage.asked) == 2)
            assert states(pool) == [S.STARTING, S.STARTING]
            assert pool.route().workers == ()
            for child, (service, route) in zip(launcher.children, stage.asked, strict=True):
                assert service is pool.plan
                assert (route.name, route.pool, route.wanted, route.methods) == ("s", "s@1", 1, READY.methods)
                assert [worker.pid for worker in route.workers] == [child.pid]
            stage.verdicts.put_nowait("")
            await until(lambda: S.READY in states(pool))
            stage.verdicts.put_nowait("")
            assert await pool.settled()
            assert pool.start_s is not None
            assert events.names.count("worker.ready") == 2

    run(main())


def test_a_pool_that_is_not_live_has_failed_with_the_example():
    async def main():
        async with rehearsed() as (pool, launcher, stage, _):
            stage.verdicts.put_nowait("ada: 1 is not 2")
            assert not await pool.settled()
            assert pool.failure() == ("examples: ada: 1 is not 2", "")
            assert launcher.children[0].killed
            found = pool.status().workers[0].exit
            assert (found.kind, found.text) == ("examples", "examples: ada: 1 is not 2")
            assert len(launcher.children) == 1

    run(main())


def test_in_a_pool_that_is_live_it_is_a_warning():
    async def main():
        async with rehearsed() as (pool, launcher, stage, events):
            stage.verdicts.put_nowait("")
            assert await pool.settled()
            pool.accept()
            launcher.children[0].end(-9)
            await until(lambda: len(stage.asked) == 2)
            assert pool.route().admit
            stage.verdicts.put_nowait("ada: 1 is not 2")
            await until(lambda: pool.route().workers)
            [(_, keys)] = [(name, keys) for name, keys in events.all if name == "worker.rehearsal_failed"]
            assert keys["reason"] == "ada: 1 is not 2"
            assert keys["pid"] == launcher.children[1].pid
            assert events.names[-1] == "service.recovered"

    run(main())


def test_a_worker_that_a_live_pool_gets_besides_must_answer():
    async def main():
        async with rehearsed() as (pool, launcher, stage, _):
            stage.verdicts.put_nowait("")
            assert await pool.settled()
            pool.accept()
            pool.adopt(plan(2))
            stage.verdicts.put_nowait("bob: no")
            assert not await pool.settled()
            assert pool.failure()[0] == "examples: bob: no"
            assert len(pool.route().workers) == 1
            pool.adopt(plan(1))
            await pool.shrink()
            assert await pool.settled()
            assert len(pool.status().workers) == 1
            assert len(launcher.children) == 2

    run(main())


@pytest.mark.parametrize("late", [False, True])
def test_one_that_dies_meanwhile_says_so(late):
    """Also where the gateway sees it first."""

    async def main():
        async with rehearsed() as (pool, launcher, stage, _):
            await until(lambda: stage.asked)
            if late:
                stage.verdicts.put_nowait("the worker is gone")
                await turns()
            launcher.children[0].end(-11)
            assert not await pool.settled()
            assert pool.failure()[0] == (
                "died while it answered the examples: killed by SIGSEGV: it crashed in native code"
            )
            assert pool.status().workers[0].exit.kind == "signal"
            assert stage.given_up == (not late)

    run(main())


def test_one_that_is_stopped_meanwhile_ends_at_once():
    async def main():
        async with rehearsed(2) as (pool, launcher, stage, events):
            await until(lambda: len(stage.asked) == 2)
            await asyncio.wait_for(pool.stop(600.0), 5)
            assert states(pool) == [S.STOPPED, S.STOPPED]
            assert stage.given_up == 2
            assert all(child.killed for child in launcher.children)
            assert "worker.lost" not in events.names
            assert not await pool.settled()

    run(main())


def test_one_that_is_replaced_meanwhile_is_started_again_if_it_has_served():
    async def main():
        async with rehearsed() as (pool, launcher, stage, _):
            stage.verdicts.put_nowait("")
            assert await pool.settled()
            assert pool.replace(launcher.children[0].pid, "stuck")
            await until(lambda: len(stage.asked) == 2)
            assert pool.replace(launcher.children[1].pid, "stuck again")
            await until(lambda: len(stage.asked) == 3)
            assert "stuck again" in pool.status().reason
            assert pool.status().workers[0].exit.kind == "stuck"

    run(main())


def test_what_goes_wrong_in_the_trial_itself_ends_the_worker():
    async def main():
        launcher = FakeLauncher(ready=True)

        async def broken(*_):
            raise RuntimeError("no gateway")

        pool = Pool(plan(), Path("/p"), launcher, lambda: None, Events(), rehearse=broken)
        pool.start()
        assert not await asyncio.wait_for(pool.settled(), 10)
        assert "no gateway" in pool.failure()[0]
        await pool.stop(1.0)

    run(main())


def test_the_hook_says_yes_before_the_examples_and_after():
    async def main():
        async with rehearsed(hooks={"ready": "ok"}) as (pool, launcher, stage, _):
            [child] = await until(lambda: launcher.children)
            child.say(Probed(ok=False, reason="loading"))
            await turns()
            assert stage.asked == []
            child.say(Probed(ok=True))
            await until(lambda: stage.asked)
            child.say(Probed(ok=False, reason="busy"))
            stage.verdicts.put_nowait("")
            await turns()
            assert states(pool) == [S.STARTING]
            child.say(Probed(ok=True))
            assert await pool.settled()
            assert len(stage.asked) == 1

    run(main())


def test_examples_may_take_longer_than_a_start():
    async def main():
        async with rehearsed(hooks={"ready": "ok"}, start_timeout_s=0.05) as (pool, launcher, stage, _):
            [child] = await until(lambda: launcher.children)
            child.say(Probed(ok=True))
            await until(lambda: stage.asked)
            for _ in range(10):
                await asyncio.sleep(0.02)  # longer than start_timeout
                child.say(Probed(ok=True))
            stage.verdicts.put_nowait("")
            assert await pool.settled()

    run(main())


def test_a_hook_that_never_says_yes_ends_the_start():
    async def main():
        async with rehearsed(hooks={"ready": "ok"}, start_timeout_s=0.05) as (pool, launcher, stage, _):
            [child] = await until(lambda: launcher.children)
            answered = asyncio.create_task(say_no(child))
            assert not await pool.settled()
            answered.cancel()
            assert pool.failure()[0] == "loading after 0.05 s (start_timeout)"
            assert pool.status().workers[0].exit.kind == "start"
            assert stage.asked == []

    run(main())


async def say_no(child):
    while True:
        child.say(Probed(ok=False, reason="loading"))
        await asyncio.sleep(0.005)  # as a hook that is asked again and again


def test_what_is_imported_while_it_answers_is_known():
    async def main():
        async with rehearsed() as (pool, launcher, stage, _):
            await until(lambda: stage.asked)
            launcher.children[0].say(Imported({"a.py": "1", "late.py": "2"}))
            await until(lambda: pool.files)
            stage.verdicts.put_nowait("")
            assert await pool.settled()
            assert pool.files == {"a.py": "1", "late.py": "2"}

    run(main())


def test_the_first_words_may_be_of_files():
    async def main():
        launcher = FakeLauncher()
        pool = Pool(plan(), Path("/p"), launcher, lambda: None, Events())
        pool.start()
        [child] = await until(lambda: launcher.children)
        child.say(Imported({"a.py": "1"}))
        await until(lambda: pool.files == {"a.py": "1"})
        child.say(Ready((), 0.1, {"a.py": "1", "b.py": "2"}))
        assert await pool.settled()
        assert pool.files == {"a.py": "1", "b.py": "2"}
        await pool.stop(1.0)

    run(main())
