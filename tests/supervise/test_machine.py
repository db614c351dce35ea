"""A pool under any order of events: no move that the table does not know, nothing left behind."""

from __future__ import annotations

import asyncio
from pathlib import Path

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from bentod.errors import WireError
from bentod.plan.model import RecyclePolicy
from bentod.supervise.pool import Pool
from bentod.supervise.state import ServiceState, WorkerState
from bentod.wire.messages import Failed, Imported, Probed
from tests.support.children import READY, Events, FakeLauncher, plan, policy
from tests.support.loops import run, turns

ENDED = {WorkerState.STOPPED, WorkerState.FAILED}
WORDS = [READY, Probed(ok=True), Probed(ok=False, reason="busy"), Failed("import", "x"), Imported({"a.py": "1"})]
words = st.sampled_from([*WORDS, WireError("rubbish"), None])
which = st.integers(0, 5)
events = st.one_of(
    st.tuples(st.just("say"), which, st.sampled_from([READY, READY, Probed(ok=True)]) | words),
    st.tuples(st.just("end"), which, st.sampled_from([0, 1, 4, -9, -11])),
    st.tuples(st.just("verdict"), which, st.sampled_from(["", "", "no"])),
    st.tuples(st.just("adopt"), st.integers(1, 3), st.none()),
    st.tuples(st.just("start"), st.integers(0, 2), st.none()),
    st.tuples(st.just("stop"), st.integers(0, 2), st.sampled_from([0.0, 1.0])),
    st.tuples(st.sampled_from(["accept", "shrink", "revive", "replace", "observe", "refuse"]), which, st.none()),
)


class Machine:
    """A pool, and everybody who does something to it."""

    def __init__(self, *, hooked, stubborn, mode):
        self.launcher = FakeLauncher(stubborn=stubborn)
        self.log = Events()
        self.waiting: list[asyncio.Future[str]] = []
        self.tasks: list[asyncio.Task[None]] = []
        self.hooks = {"ready": "ok"} if hooked else {}
        self.mode = mode
        self.pool = Pool(
            self.plan(2), Path("/p"), self.launcher, lambda: None, self.log, rehearse=self.rehearse, kills=lambda: 0
        )

    def plan(self, workers):
        recycle = RecyclePolicy(1, None, None)
        restart = policy(limit=2, max_delay_s=0.0)
        return plan(workers, hooks=self.hooks, recycle=recycle, restart=restart, reload=self.mode)

    async def rehearse(self, service, route):
        assert len(route.workers) == route.wanted == 1
        assert service.name == route.name
        self.waiting.append(asyncio.get_running_loop().create_future())
        return await self.waiting[-1]

    def child(self, number):
        alive = [child for child in self.launcher.children if child.exit_code is None]
        return alive[number % len(alive)] if alive else None

    async def do(self, what, number, value):
        child = self.child(number)
        if what in {"say", "end"}:
            if child is not None:
                getattr(child, what)(value)
        elif what == "verdict":
            for future in [one for one in self.waiting if not one.done()][:1]:
                future.set_result(value)
        elif what == "stop":
            self.tasks.append(asyncio.create_task(self.pool.stop_workers([number], value)))
        elif what == "shrink":
            self.tasks.append(asyncio.create_task(self.pool.shrink()))
        elif what == "refuse":
            self.launcher.failing.append(OSError("no"))
        elif what == "observe":
            self.pool.observe({child.pid: 5 for child in self.launcher.children}, lambda _: 1)
        else:
            self.other(what, number, child)

    def other(self, what, number, child):
        if what == "adopt":
            self.pool.adopt(self.plan(number))
        elif what == "start":
            self.pool.start([number])
        elif what == "replace":
            self.pool.replace(child.pid if child else 1, "stuck")
        else:
            getattr(self.pool, what)()

    def check(self):
        status, route = self.pool.status(), self.pool.route()
        pids = [worker.pid for worker in route.workers]
        assert len(set(pids)) == len(pids) <= status.ready <= status.wanted
        assert (status.state is ServiceState.READY) == (status.ready == status.wanted)
        assert len({worker.index for worker in route.workers}) == len(route.workers)
        assert len(status.workers) >= status.wanted
        assert self.pool.start_s is None or self.pool.start_s >= 0
        running = [child for child in self.launcher.children if child.exit_code is None]
        assert {worker.pid for worker in status.workers if worker.pid} <= {child.pid for child in running}


@settings(max_examples=100, deadline=None, phases=[Phase.explicit, Phase.generate])
@given(
    st.lists(st.tuples(events, st.integers(0, 6)), max_size=40),
    st.booleans(),
    st.booleans(),
    st.sampled_from(["overlap", "stop_first"]),
    st.booleans(),
)
def test_any_order_of_events(steps, hooked, stubborn, mode, live):
    async def main():
        machine = Machine(hooked=hooked, stubborn=stubborn, mode=mode)
        if live:
            machine.pool.accept()
        machine.pool.start()
        for (what, number, value), count in steps:
            await machine.do(what, number, value)
            await turns(count)
            machine.check()
        await asyncio.wait_for(machine.pool.stop(0.0), 10)
        await asyncio.wait_for(asyncio.gather(*machine.tasks), 10)
        assert {worker.state for worker in machine.pool.status().workers} <= ENDED
        assert all(child.exit_code is not None and child.channel.closed for child in machine.launcher.children)
        assert len(machine.launcher.removed) == len(machine.launcher.children)
        assert not await machine.pool.settled()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert len(left) <= 1  # the one that waits for this test

    run(main())
