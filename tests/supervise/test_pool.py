"""The workers of one service together."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bentod.supervise.pool import Pool
from bentod.supervise.state import ServiceState, WorkerState
from bentod.wire.messages import Failed, Probed, WorkerRoute
from tests.support.children import READY, Events, FakeLauncher, plan, policy
from tests.support.loops import run, turns, until


@asynccontextmanager
async def pooled(workers=2, launcher=None, **changed):
    """A started pool with its launcher."""
    launcher = launcher or FakeLauncher()
    changes: list[ServiceState] = []
    pool = Pool(
        plan(workers, **changed), Path("/project"), launcher, lambda: changes.append(pool.status().state), Events()
    )
    pool.start()
    await until(lambda: len(launcher.children) == workers or not launcher.gate.is_set() or launcher.failing)
    yield pool, launcher, changes
    await asyncio.wait_for(pool.stop(1.0), 10)
    assert {worker.state for worker in pool.status().workers} <= {WorkerState.STOPPED, WorkerState.FAILED}
    assert all(child.exit_code is not None for child in launcher.children)


def test_a_pool_has_settled_when_every_worker_is_ready():
    async def main():
        async with pooled(3) as (pool, launcher, changes):
            settled = asyncio.create_task(pool.settled())
            for child in launcher.children:
                await turns()
                assert not settled.done()
                child.say()
            assert await settled
            status = pool.status()
            assert (status.state, status.ready, status.wanted, status.reason) == (ServiceState.READY, 3, 3, "")
            assert pool.methods == READY.methods
            assert changes[-1] is ServiceState.READY
            assert ServiceState.DEGRADED in changes

    run(main())


def test_a_pool_has_settled_when_one_worker_has_failed():
    async def main():
        async with pooled(2) as (pool, launcher, _):
            launcher.children[0].say()
            launcher.children[1].say(Failed("import", "ImportError: x", "trace"))
            assert not await pool.settled()
            assert pool.failure() == ("import: ImportError: x", "trace")
            assert pool.status().reason == "import: ImportError: x"

    run(main())


def test_the_route_names_the_workers_that_are_ready():
    async def main():
        async with pooled(2) as (pool, launcher, _):
            assert pool.route().workers == ()
            assert not pool.route().admit
            assert pool.route().reason
            for child in launcher.children:
                child.say()
            assert await pool.settled()
            route = pool.route()
            assert (route.name, route.state, route.wanted, route.admit, route.reason) == ("s", "ready", 2, True, "")
            assert route.methods == READY.methods
            assert [(worker.index, worker.threads, worker.concurrency) for worker in route.workers] == [
                (0, 2, 7),
                (1, 2, 7),
            ]
            assert {worker.pid for worker in route.workers} == {child.pid for child in launcher.children}
            assert all(isinstance(worker, WorkerRoute) and worker.socket for worker in route.workers)

    run(main())


def test_calls_may_wait_for_a_worker_that_is_about_to_be_back():
    async def main():
        async with pooled(1, restart=policy(delay_s=0.0)) as (pool, launcher, _):
            launcher.children[0].say()
            assert await pool.settled()
            launcher.children[0].end(-9)
            await until(lambda: len(launcher.children) == 2)
            route = pool.route()
            assert (route.state, route.workers, route.admit) == ("recovering", (), True)
            assert "SIGKILL" in route.reason
            launcher.children[1].say()
            await until(lambda: pool.route().workers)
            assert pool.status().workers[0].restarts == 1

    run(main())


def test_calls_are_refused_where_the_next_start_is_far():
    async def main():
        async with pooled(1, restart=policy(delay_s=600.0, max_delay_s=600.0)) as (pool, launcher, _):
            launcher.children[0].say()
            assert await pool.settled()
            launcher.children[0].end(-9)
            await until(lambda: pool.status().workers[0].state is WorkerState.BACKOFF)
            assert not pool.route().admit

    run(main())


def test_a_worker_that_says_no_leaves_the_route():
    async def main():
        async with pooled(2, hooks={"ready": "ok"}) as (pool, launcher, _):
            for child in launcher.children:
                child.say()
                child.say(Probed(ok=True))
            assert await pool.settled()
            launcher.children[0].say(Probed(ok=False, reason="full"))
            await until(lambda: len(pool.route().workers) == 1)
            assert pool.status().state is ServiceState.DEGRADED
            assert pool.route().reason == "full"

    run(main())


def test_replacing_finds_the_worker_by_its_process():
    async def main():
        async with pooled(2) as (pool, launcher, _):
            for child in launcher.children:
                child.say()
            assert await pool.settled()
            first, second = launcher.children
            assert pool.replace(first.pid, "stuck")
            assert not pool.replace(123, "nobody")
            await until(lambda: len(launcher.children) == 3)
            assert (first.killed, second.killed) == (True, False)
            assert not pool.replace(first.pid, "gone already")

    run(main())


@pytest.mark.parametrize("state", ["starting", "ready", "launching", "dead"])
def test_a_pool_can_be_stopped_whatever_its_workers_do(state):
    async def main():
        launcher = FakeLauncher()
        if state == "launching":
            launcher.gate.clear()
        async with pooled(2, launcher) as (pool, _, _):
            for child in launcher.children if state in {"ready", "dead"} else ():
                child.say()
            await turns()
            if state == "dead":
                launcher.children[0].end(-9, silent=True)
            stopping = asyncio.create_task(pool.stop(1.0))
            await turns()
            launcher.gate.set()
            if state == "dead":
                launcher.children[0].channel.say(None)
            await asyncio.wait_for(stopping, 10)

    run(main())
