"""Real processes that do not keep to their CPUs or to their memory."""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from bentod.plan.grants import Grant, Needs
from bentod.plan.model import WorkerPlan
from bentod.supervise.limits import Limits
from bentod.supervise.processes import members, threads
from bentod.supervise.state import WorkerState
from tests.support.children import policy
from tests.support.loops import run, turns, until
from tests.support.real import READY, started

MIB = 1024 * 1024
OWN = tuple(sorted(os.sched_getaffinity(0)))
NEVER = 4000
"""A CPU that no machine here has."""
TWO_CPUS = pytest.mark.skipif(len(OWN) < 2, reason="needs two CPUs")
WAITS = READY + "channel.receive()"
THREADS = READY + (
    "[threading.Thread(target=time.sleep, args=(600,), daemon=True).start() for _ in range(3)]\n"
    "subprocess.Popen([sys.executable, '-c', 'import time; print(1, flush=True); time.sleep(600)'])\n"
    "channel.receive()"
)


def worker(*cpus):
    return WorkerPlan(0, {}, {}, Grant(cpus=cpus))


@asynccontextmanager
async def limited(code, tmp_path, *cpus, needs=None, live=True, **changed):
    """A live pool of one process with these limits, that is looked at all the time. No kernel keeps its memory."""
    given = {"limits": Limits(lambda: None, look_s=0.01)}
    values = {"needs": needs or Needs(cpus=len(cpus)), "reload": "overlap"}
    pool, launcher, events = started(code, tmp_path, grant=Grant(cpus=cpus), given=given, **values | changed)
    try:
        assert not live or await pool.settled(), pool.failure()
        if live:
            pool.accept()
        yield pool, launcher, events
    finally:
        await asyncio.wait_for(pool.stop(0.1), 20)
        await until(lambda: not any(members(launcher.pids).values()), what="their children to be gone")
        await turns()  # in which the ends of what they wrote are read
    assert given["limits"]._guards == set()


def places(pool):
    """Where each thread of the process and of its children may run."""
    [one] = pool.route().workers
    return {frozenset(os.sched_getaffinity(thread)) for thread in threads(members([one.pid])[one.pid])}


def keys(events, name):
    return [keys for event, keys in events.all if event == name]


def test_a_process_runs_on_its_cpus_before_it_gets_its_orders(tmp_path):
    async def main():
        said = "print(sorted(os.sched_getaffinity(0)), flush=True)"
        code = READY.replace("channel.receive()", f"channel.receive(); {said}") + THREADS.removeprefix(READY)
        async with limited(code, tmp_path, OWN[-1]) as (pool, launcher, events):
            await until(lambda: launcher.lines[1:])
            assert launcher.lines[0] == f"[{OWN[-1]}]"
            assert places(pool) == {frozenset({OWN[-1]})}
            assert [name for name in events.names if "pin" in name or "cpu" in name] == []

    run(main())


@TWO_CPUS
def test_other_cpus_are_adopted_by_all_threads_and_children_of_a_process_that_runs(tmp_path):
    async def main():
        async with limited(THREADS, tmp_path, OWN[0]) as (pool, launcher, events):
            await until(lambda: launcher.lines)
            [pid] = [one.pid for one in pool.route().workers]
            pool.adopt(replace(pool.plan, workers=(worker(OWN[1]),)))
            [said] = await until(lambda: keys(events, "worker.pinned"))
            assert places(pool) == {frozenset({OWN[1]})}
            assert (said["pid"], said["cpus"]) == (pid, f"CPU {OWN[1]}")
            pool.adopt(replace(pool.plan, needs=Needs(memory=1 << 40), workers=(worker(),)))
            await until(lambda: keys(events, "worker.pinned")[1:])
            assert places(pool) == {frozenset(OWN)}
            assert keys(events, "worker.pinned")[1]["cpus"] == "all CPUs"
            assert [one.pid for one in pool.route().workers] == [pid]
            assert keys(events, "worker.strayed") == []

    run(main())


@TWO_CPUS
def test_a_worker_that_leaves_its_cpus_is_brought_back_three_times_and_then_let_be(tmp_path):
    async def main():
        code = READY + f"while True:\n os.sched_setaffinity(0, {set(OWN)})\n time.sleep(0.001)"
        async with limited(code, tmp_path, OWN[0]) as (_, __, events):
            [said] = await until(lambda: keys(events, "worker.unpinned"))
            assert said["reason"] == "it has left them 4 times"
            assert [one["times"] for one in keys(events, "worker.strayed")] == [1, 2, 3]

    run(main())


@TWO_CPUS
def test_a_thread_and_a_child_that_leave_their_cpus_are_brought_back(tmp_path):
    async def main():
        leave = f"import os, time; os.sched_setaffinity(0, {set(OWN)}); print(1, flush=True); time.sleep(600)"
        code = READY + f"subprocess.Popen([sys.executable, '-c', {leave!r}])\nchannel.receive()"
        async with limited(code, tmp_path, OWN[0]) as (pool, launcher, events):
            await until(lambda: launcher.lines)
            await until(lambda: keys(events, "worker.strayed"))
            assert places(pool) == {frozenset({OWN[0]})}

    run(main())


def test_cpus_that_are_gone_are_a_warning(tmp_path):
    async def main():
        async with limited(WAITS, tmp_path, OWN[0], NEVER) as (pool, _, events):
            assert places(pool) == {frozenset({OWN[0]})}
            assert [one["cpus"] for one in keys(events, "worker.cpus_gone")] == [f"CPU {NEVER}"]
            pool.adopt(replace(pool.plan, workers=(worker(NEVER, NEVER + 1),)))
            await until(lambda: keys(events, "worker.cpus_gone")[1:])
            assert keys(events, "worker.cpus_gone")[1]["cpus"] == f"CPUs {NEVER}-{NEVER + 1}"
            assert pool.status().state.value == "ready"

    run(main())


def test_a_worker_none_of_whose_cpus_is_there_runs_where_it_may(tmp_path):
    async def main():
        async with limited(WAITS, tmp_path, NEVER) as (pool, _, events):
            assert places(pool) == {frozenset(OWN)}
            assert [one["level"] for one in keys(events, "worker.cpus_gone")] == ["warning"]
            assert "worker.unpinned" not in events.names

    run(main())


# ── memory ───────────────────────────────────────────────────────────────────────────────────────

SLOWLY = READY + "held = []\nwhile len(held) < 60: held.append(b'x' * 1_000_000); time.sleep(0.005)\nchannel.receive()"
FAST = READY + "held = b'x' * 200_000_000\nchannel.receive()"
CHILD = READY + (
    "code = 'import time; held = bytes([1]) * 200_000_000; time.sleep(600)'\n"
    "subprocess.Popen([sys.executable, '-c', code], stdout=-3)\nchannel.receive()"
)
SHARED = READY + (
    "held = bytes([1]) * 48_000_000\n"
    "if os.fork() == 0:\n    print(held.find(b'y'), flush=True)\n    time.sleep(600)\nchannel.receive()"
)


@pytest.mark.parametrize("mode", ["overlap", "stop_first"])
def test_a_worker_with_more_memory_than_it_was_promised_is_replaced(mode, tmp_path):
    async def main():
        needs = Needs(memory=50 * MIB)
        given = {"needs": needs, "reload": mode, "restart": policy(max_delay_s=100.0)}
        async with limited(SLOWLY, tmp_path, **given) as (pool, _, events):
            [old] = pool.route().workers
            await until(lambda: pool.status().workers[0].reason)
            words = pool.status().workers[0].reason
            assert words.endswith("MiB, more than its `resources.memory` of 50 MiB")
            pool.observe({}, lambda _: None)
            await until(lambda: keys(events, "worker.recycled"))
            [new] = pool.route().workers
            assert new.pid != old.pid
            assert "`resources.memory` of 50 MiB" in keys(events, "worker.recycling")[0]["reason"]
            found = pool.status().workers[0]
            assert (found.recycled, found.restarts, found.exit.kind) == (1, 0, "memory")
            assert found.exit.text.startswith("replaced: it has ")
            assert "worker.lost" not in events.names
            await until(lambda: pool.status().workers[0].reason)
            pool.observe({}, lambda _: None)
            assert len(keys(events, "worker.recycling")) == 1, "one that did not last is not replaced at once"

    run(main())


@pytest.mark.parametrize("code", [FAST, CHILD], ids=["itself", "its child"])
def test_a_worker_with_far_too_much_memory_is_killed_at_once(code, tmp_path):
    async def main():
        needs = Needs(memory=100 * MIB)
        async with limited(code, tmp_path, needs=needs, live=False, restart=policy(limit=0)) as (pool, _, events):
            await until(lambda: pool.status().workers[0].state is WorkerState.FAILED)
            [said] = keys(events, "worker.lost")
            assert said["kind"] == "memory"
            assert said["reason"].startswith("killed: it had ")
            assert said["reason"].endswith(" MiB, more than 1.5 times its `resources.memory` of 100 MiB")

    run(main())


def test_a_worker_that_is_too_large_from_the_start_does_not_start(tmp_path):
    code = "held = bytes([1]) * 60_000_000\n" + READY + "channel.receive()"

    async def main():
        needs = Needs(memory=50 * MIB)
        async with limited(code, tmp_path, needs=needs, live=False, restart=policy(limit=0)) as (pool, _, events):
            assert not await pool.settled()
            [said] = keys(events, "worker.lost")
            assert said["kind"] == "memory"
            assert said["reason"].endswith("MiB, more than its `resources.memory` of 50 MiB")
            assert "worker.ready" not in events.names

    run(main())


def test_memory_that_a_worker_shares_with_its_children_counts_once(tmp_path):
    async def main():
        async with limited(SHARED, tmp_path, needs=Needs(memory=90 * MIB)) as (pool, launcher, _):
            await until(lambda: launcher.lines)
            [guard] = pool._around.limits._guards
            await until(lambda: guard._next, what="its pages to have been counted")
            assert guard.over == ""

    run(main())


def test_a_limit_that_is_raised_is_adopted(tmp_path):
    async def main():
        async with limited(SLOWLY, tmp_path, needs=Needs(memory=50 * MIB)) as (pool, _, __):
            await until(lambda: pool.status().workers[0].reason)
            pool.adopt(replace(pool.plan, needs=Needs(memory=500 * MIB)))
            assert pool.status().workers[0].reason == ""
            [guard] = pool._around.limits._guards
            await until(lambda: guard._had)
            assert guard.over == ""

    run(main())


def test_workers_that_run_keep_their_memory_until_the_change_that_lowers_it_is_sure(tmp_path):
    async def main():
        async with limited(WAITS, tmp_path, needs=Needs(memory=500 * MIB)) as (pool, _, __):
            [guard], before, lower = pool._around.limits._guards, pool.plan, Needs(memory=1 * MIB)
            pool.grow(replace(before, needs=lower, workers=(*before.workers, replace(worker(), index=1))))
            assert not await pool.settled(), "1 MiB is too little for a process"
            pool.adopt(before)
            await pool.shrink()
            assert guard._memory == 500 * MIB
            assert [one.exit for one in pool.status().workers] == [None]

    run(main())


def test_a_look_that_goes_wrong_is_told_and_is_not_the_last(tmp_path, monkeypatch):
    look, told, fails = Limits._seen, [], [True]

    def seen(self, guards):
        if fails:
            raise RuntimeError("can't start new thread")
        return look(self, guards)

    async def main():
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context["exception"]))
        async with limited(SLOWLY, tmp_path, needs=Needs(memory=50 * MIB)) as (pool, _, __):
            await until(lambda: told)
            fails.clear()
            await until(lambda: pool.status().workers[0].reason)

    monkeypatch.setattr(Limits, "_seen", seen)
    run(main())


def test_nothing_is_looked_at_without_limits(tmp_path):
    async def main():
        asked = []
        given = {"limits": Limits(lambda: asked.append(1), look_s=0.01)}
        pool, _, __ = started(WAITS, tmp_path, given=given)
        assert await pool.settled()
        assert given["limits"]._task is None
        assert not given["limits"]._guards
        assert asked == []
        await pool.stop(1.0)

    run(main())
