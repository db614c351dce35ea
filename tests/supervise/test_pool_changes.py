"""A pool that goes live, and what is changed of it while it runs."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bentod.supervise.pool import Pool
from bentod.supervise.state import ServiceState, WorkerState
from bentod.wire.messages import Drain, Failed, Imported, Ready, Setup
from tests.support.children import Events, FakeLauncher, plan, policy
from tests.support.loops import run, turns, until

S = WorkerState


@asynccontextmanager
async def pooled(workers=2, launcher=None, *, live=True, given=None, **changed):
    """A pool that is ready, and live if it shall be, with its launcher and its events."""
    launcher, events = launcher or FakeLauncher(ready=True), Events()
    pool = Pool(plan(workers, **changed), Path("/project"), launcher, lambda: None, events, **(given or {}))
    pool.start()
    assert await pool.settled()
    if live:
        pool.accept()
    try:
        yield pool, launcher, events
    finally:
        await asyncio.wait_for(pool.stop(1.0), 10)
    assert all(child.exit_code is not None for child in launcher.children)


def states(pool):
    return [worker.state for worker in pool.status().workers]


def orders(child):
    [setup] = [message for message in child.channel.sent if isinstance(message, Setup)]
    return setup


# ── files ────────────────────────────────────────────────────────────────────────────────────────


def test_a_live_pool_starts_its_workers_with_the_files_that_it_has():
    async def main():
        async with pooled(1, live=False, given={"objects": "/objects", "pins": {"old.py": "0"}}) as (pool, launcher, _):
            first = launcher.children[0]
            assert (orders(first).objects, orders(first).pins) == ("/objects", {"old.py": "0"})
            first.say(Imported({"a.py": "1"}))
            await until(lambda: pool.files)
            first.end(-9)
            await until(lambda: len(launcher.children) == 2 and launcher.children[1].channel.sent)
            assert orders(launcher.children[1]).pins == {"old.py": "0"}
            assert await pool.settled()
            launcher.children[1].say(Imported({"a.py": "2"}))
            await until(lambda: pool.files == {"a.py": "2"})
            pool.accept()
            launcher.children[1].say(Imported({"a.py": "2", "late.py": "3"}))
            await until(lambda: len(pool.files) == 2)
            launcher.children[1].end(-9)
            await until(lambda: len(launcher.children) == 3 and launcher.children[2].channel.sent)
            assert orders(launcher.children[2]).pins == {"old.py": "0", "a.py": "2", "late.py": "3"}
            assert pool.files == {"a.py": "2", "late.py": "3"}

    run(main())


def test_workers_that_imported_different_contents_are_found_out():
    async def main():
        launcher = FakeLauncher()
        pool = Pool(plan(2), Path("/project"), launcher, lambda: None, Events())
        pool.start()
        await until(lambda: len(launcher.children) == 2)
        for number, child in enumerate(launcher.children):
            child.say(Ready((), 0.1, {"same.py": "1", "edited.py": str(number)}))
        assert await pool.settled()
        assert pool.inconsistent == ("edited.py",)
        assert pool.files["edited.py"] == "0"
        await pool.stop(1.0)

    run(main())


def test_what_a_worker_that_cannot_start_has_imported_is_known():
    async def main():
        launcher = FakeLauncher()
        pool = Pool(plan(), Path("/project"), launcher, lambda: None, Events())
        pool.start()
        [child] = await until(lambda: launcher.children)
        child.say(Failed("import", "SyntaxError: x", "trace", {"broken.py": "1"}))
        assert not await pool.settled()
        assert pool.files == {"broken.py": "1"}
        await pool.stop(1.0)

    run(main())


# ── other values, more and fewer workers ─────────────────────────────────────────────────────────


def test_more_workers_are_started_and_waited_for():
    async def main():
        launcher = FakeLauncher()
        async with pooled(0, launcher) as (pool, launcher, _):
            pool.adopt(plan(2))
            await until(lambda: len(launcher.children) == 2)
            settled = asyncio.create_task(pool.settled())
            launcher.children[0].say()
            await turns()
            assert not settled.done()
            launcher.children[1].say()
            assert await settled
            assert [worker.index for worker in pool.route().workers] == [0, 1]

    run(main())


def test_more_workers_do_not_wait_for_one_that_is_in_trouble_already():
    async def main():
        async with pooled(2, restart=policy(delay_s=600.0, max_delay_s=600.0)) as (pool, launcher, _):
            launcher.children[0].end(-9)
            await until(lambda: S.BACKOFF in states(pool))
            pool.adopt(plan(3, restart=policy(delay_s=600.0, max_delay_s=600.0)))
            assert await asyncio.wait_for(pool.settled(), 10)
            assert states(pool) == [S.BACKOFF, S.READY, S.READY]

    run(main())


def test_one_of_more_workers_that_cannot_start_has_failed_and_is_taken_back():
    async def main():
        launcher = FakeLauncher()
        pool = Pool(plan(1), Path("/project"), launcher, lambda: None, Events())
        pool.start()
        await until(lambda: launcher.children)
        launcher.children[0].say()
        assert await pool.settled()
        pool.accept()
        pool.adopt(plan(2))
        await until(lambda: len(launcher.children) == 2)
        launcher.children[1].say(Failed("construct", "no such device"))
        assert not await pool.settled()
        assert pool.failure()[0] == "construct: no such device"
        pool.adopt(plan(1))
        await pool.shrink()
        assert await pool.settled()
        assert pool.status().state is ServiceState.READY
        await pool.stop(1.0)

    run(main())


def test_fewer_workers_leave_the_route_first_and_are_drained_then():
    async def main():
        async with pooled(3) as (pool, launcher, _):
            pool.adopt(plan(1))
            assert pool.surplus == (1, 2)
            assert [worker.index for worker in pool.route().workers] == [0]
            status = pool.status()
            assert (status.ready, status.wanted, status.state) == (1, 1, ServiceState.READY)
            assert len(status.workers) == 3
            assert all(child.exit_code is None for child in launcher.children)
            await pool.shrink()
            assert pool.surplus == ()
            assert [child.exit_code for child in launcher.children] == [None, 0, 0]
            assert isinstance(launcher.children[1].channel.sent[-1], Drain)
            assert len(pool.status().workers) == 1

    run(main())


def test_workers_that_are_too_many_are_taken_back():
    async def main():
        async with pooled(3) as (pool, launcher, _):
            pool.adopt(plan(1))
            pool.adopt(plan(3))
            await pool.shrink()
            assert await pool.settled()
            assert len(pool.route().workers) == 3
            assert len(launcher.children) == 3

    run(main())


def test_workers_that_are_wanted_back_while_they_drain_start_again():
    async def main():
        async with pooled(2, FakeLauncher(ready=True, stubborn=True)) as (pool, launcher, _):
            pool.adopt(plan(1))
            shrinking = asyncio.create_task(pool.shrink())
            await until(lambda: S.DRAINING in states(pool))
            pool.adopt(plan(2))
            launcher.children[1].end(0)
            await shrinking
            await until(lambda: len(pool.route().workers) == 2)
            assert len(launcher.children) == 3

    run(main())


def test_a_worker_that_waits_for_its_start_waits_no_longer_than_it_may_now():
    async def main():
        async with pooled(1, restart=policy(delay_s=600.0, max_delay_s=600.0)) as (pool, launcher, _):
            launcher.children[0].end(-9)
            await until(lambda: S.BACKOFF in states(pool))
            pool.adopt(plan(1, restart=policy(max_delay_s=0.01)))
            await until(lambda: len(launcher.children) == 2)
            await until(lambda: pool.route().workers)

    run(main())


def test_new_values_are_those_of_the_next_start():
    async def main():
        async with pooled(1) as (pool, launcher, _):
            pool.adopt(plan(1, stop_timeout_s=3.0, start_timeout_s=0.01))
            assert pool.route().stop_timeout_s == 3.0
            launcher.gate.clear()
            launcher.ready = False
            launcher.children[0].end(-9)
            launcher.gate.set()
            await until(lambda: "0.01 s (start_timeout)" in pool.status().reason)

    run(main())


# ── single workers ───────────────────────────────────────────────────────────────────────────────


def test_workers_are_started_and_stopped_one_by_one():
    async def main():
        launcher = FakeLauncher(ready=True)
        pool = Pool(plan(2), Path("/project"), launcher, lambda: None, Events())
        assert states(pool) == [S.STOPPED, S.STOPPED]
        pool.start([1])
        assert await pool.settled()
        assert states(pool) == [S.STOPPED, S.READY]
        assert (pool.status().state, pool.status().wanted) == (ServiceState.DEGRADED, 2)
        pool.start([0])
        pool.start([0])
        assert await pool.settled()
        pool.accept()
        await pool.stop_workers([0], 1.0)
        assert states(pool) == [S.STOPPED, S.READY]
        assert [worker.index for worker in pool.route().workers] == [1]
        assert await pool.settled()
        pool.start([0])
        assert await pool.settled()
        assert states(pool) == [S.READY, S.READY]
        assert len(launcher.children) == 3
        await pool.stop(1.0)

    run(main())


def test_a_worker_that_starts_again_in_a_live_pool_is_tried_until_it_does():
    async def main():
        launcher = FakeLauncher(ready=True)
        async with pooled(1, launcher) as (pool, launcher, _):
            await pool.stop_workers([0], 1.0)
            launcher.failing += [OSError("not now"), OSError("nor now")]
            pool.start()
            assert await pool.settled()
            assert pool.status().workers[0].restarts == 2

    run(main())


def test_a_pool_may_be_live_before_it_starts():
    async def main():
        launcher = FakeLauncher(ready=True)
        launcher.failing.append(OSError("not now"))
        pool = Pool(plan(), Path("/project"), launcher, lambda: None, Events())
        pool.accept()
        pool.start()
        assert pool.route().admit
        assert await pool.settled()
        await pool.stop(1.0)

    run(main())


def test_a_pool_that_retires_shows_its_workers_until_they_have_gone():
    async def main():
        launcher = FakeLauncher(ready=True, stubborn=True)
        async with pooled(2, launcher, given={"key": "s@7"}) as (pool, launcher, _):
            route = pool.route(retiring=True)
            assert (route.pool, route.retiring, len(route.workers)) == ("s@7", True, 2)
            stopping = asyncio.create_task(pool.stop(20.0))
            await until(lambda: states(pool) == [S.DRAINING, S.DRAINING])
            assert (len(pool.route(retiring=True).workers), pool.route().workers) == (2, ())
            assert not pool.replace(launcher.children[0].pid, "no gateway can reach it")
            launcher.children[0].end(0)
            await until(lambda: len(pool.route(retiring=True).workers) == 1)
            launcher.children[1].end(0)
            await stopping
            route = pool.route(retiring=True)
            assert (route.workers, route.admit) == ((), False)

    run(main())


# ── failing, and coming back ─────────────────────────────────────────────────────────────────────


async def exhaust(launcher, pool):
    """End every process as soon as it is there, until the pool gives up."""
    while pool.status().state is not ServiceState.FAILED:
        for child in launcher.children:
            child.end(-9)
        await asyncio.sleep(0)


def test_a_service_that_has_failed_is_said_once_and_so_is_that_it_is_back():
    async def main():
        async with pooled(2, restart=policy(limit=1)) as (pool, launcher, events):
            await asyncio.wait_for(exhaust(launcher, pool), 10)
            [(_, keys)] = [(name, keys) for name, keys in events.all if name == "service.failed"]
            assert "gave up after 1 restarts: killed by SIGKILL" in keys["reason"]
            assert not pool.route().admit
            count = len(launcher.children)
            assert pool.revive()
            assert await pool.settled()
            assert len(launcher.children) == count + 2
            assert [worker.restarts for worker in pool.status().workers] == [0, 0]
            assert events.names.count("service.recovered") == 1
            assert not pool.revive()

    run(main())


def test_a_pool_that_is_not_live_says_nothing_of_the_service():
    async def main():
        async with pooled(1, live=False, restart=policy(limit=0)) as (pool, launcher, events):
            launcher.children[0].end(-9)
            await until(lambda: pool.status().state is ServiceState.FAILED)
            assert not await pool.settled()
            assert "service.failed" not in events.names

    run(main())


def test_one_worker_that_has_failed_leaves_the_others_alone():
    async def main():
        async with pooled(2, restart=policy(limit=0)) as (pool, launcher, events):
            launcher.children[0].end(-9)
            await until(lambda: S.FAILED in states(pool))
            assert pool.status().state is ServiceState.DEGRADED
            assert "service.failed" not in events.names
            assert await pool.settled()
            assert pool.revive()
            assert await pool.settled()
            assert states(pool) == [S.READY, S.READY]

    run(main())


def test_how_a_process_ended_is_known_and_logged():
    async def main():
        kills = iter([5, 6])
        async with pooled(1, given={"kills": lambda: next(kills, 6)}) as (pool, launcher, events):
            launcher.children[0].peak = 700 * 2**20
            launcher.children[0].end(-9)
            await until(lambda: "worker.lost" in events.names)
            [(_, keys)] = [(name, keys) for name, keys in events.all if name == "worker.lost"]
            assert keys["kind"] == "oom"
            assert keys["reason"] == "killed by the kernel: out of memory (it had 700 MiB)"
            await until(lambda: pool.route().workers)
            assert pool.status().workers[0].exit.kind == "oom"

    run(main())


def test_others_that_the_kernel_killed_long_ago_are_no_reason():
    async def main():
        count = [5]
        async with pooled(1, given={"kills": lambda: count[0]}) as (pool, launcher, events):
            count[0] = 6
            pool.observe({}, lambda _: None)
            pool.observe({}, lambda _: None)
            launcher.children[0].end(-9)
            await until(lambda: "worker.lost" in events.names)
            [(_, keys)] = [(name, keys) for name, keys in events.all if name == "worker.lost"]
            assert (keys["kind"], keys["reason"]) == ("signal", "killed by SIGKILL")

    run(main())


def test_a_kill_of_ours_is_never_the_kernels():
    async def main():
        count = iter(range(100))
        async with pooled(1, given={"kills": lambda: next(count)}) as (pool, launcher, events):
            pool.replace(launcher.children[0].pid, "it holds a call")
            await until(lambda: "worker.lost" in events.names)
            [(_, keys)] = [(name, keys) for name, keys in events.all if name == "worker.lost"]
            assert (keys["kind"], keys["reason"]) == ("stuck", "it holds a call")

    run(main())


def test_two_stops_take_the_shorter_time():
    async def main():
        async with pooled(1, FakeLauncher(ready=True, stubborn=True)) as (pool, launcher, _):
            first = asyncio.create_task(pool.stop(600.0))
            await until(lambda: states(pool) == [S.DRAINING])
            await asyncio.wait_for(pool.stop(0.05), 5)
            await asyncio.wait_for(first, 5)
            assert launcher.children[0].killed
            assert [type(one) for one in launcher.children[0].channel.sent].count(Drain) == 1

    run(main())


def test_nothing_starts_in_a_pool_that_has_been_stopped():
    async def main():
        async with pooled(2, restart=policy(limit=0)) as (pool, launcher, _):
            launcher.children[0].end(-9)
            await until(lambda: S.FAILED in states(pool))
            await pool.stop(1.0)
            pool.start()
            pool.adopt(plan(5))
            pool.revive()
            await turns()
            assert len(launcher.children) == 2

    run(main())


@pytest.mark.parametrize("error", [OSError(11, "x"), FileNotFoundError(2, "x", "/project")])
def test_a_process_that_cannot_be_had_is_tried_again_in_a_live_pool(error):
    async def main():
        async with pooled(1) as (pool, launcher, events):
            launcher.failing.append(error)
            launcher.children[0].end(-9)
            await until(lambda: pool.route().workers and len(launcher.children) == 2)
            reasons = [keys["reason"] for name, keys in events.all if name == "worker.backing_off"]
            assert reasons[1] in {
                "cannot be started: no more processes are allowed",
                "cannot be started: the project's folder /project is gone",
            }
            assert pool.status().workers[0].restarts == 2

    run(main())
