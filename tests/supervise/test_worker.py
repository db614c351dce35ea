"""One supervised worker, with children that never run."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest

from bentod.errors import WireError
from bentod.supervise.state import WorkerState
from bentod.supervise.worker import SupervisedWorker
from bentod.wire.messages import DeviceFailed, Drain, Failed, Probe, Probed, Setup
from tests.support.children import READY, Events, FakeLauncher, around, plan, policy
from tests.support.loops import run, turns, until


class Bench:
    """A worker that is being supervised, and everything that it did."""

    def __init__(self, launcher, service, **given):
        self.launcher = launcher
        self.events = Events()
        self.states: list[WorkerState] = []
        self.worker = SupervisedWorker(service, service.workers[0], around(launcher, self.note, self.events, **given))

    def note(self):
        if not self.states or self.states[-1] is not self.worker.state:
            self.states.append(self.worker.state)

    @property
    def child(self):
        return self.launcher.children[-1]

    async def reaches(self, state, children=None):
        await until(
            lambda: self.worker.state is state and children in (None, len(self.launcher.children)), what=f"is {state}"
        )


@asynccontextmanager
async def supervised(launcher=None, given=None, **changed):
    """A worker that runs until the block ends; then it must be possible to stop it, and `run` must return."""
    bench = Bench(launcher or FakeLauncher(), plan(**changed), **(given or {}))
    task = asyncio.create_task(bench.worker.run())
    try:
        await turns()
        yield bench
        await bench.worker.stop(1.0)
        await asyncio.wait_for(task, 10)
    finally:
        task.cancel()


S = WorkerState


def test_a_worker_gets_its_orders_and_becomes_ready():
    async def main():
        async with supervised() as bench:
            await until(lambda: bench.child.channel.sent)
            (orders,) = bench.child.channel.sent
            assert isinstance(orders, Setup)
            assert (orders.service, orders.index, orders.target, orders.methods) == ("s", 0, "m:f", ("f",))
            assert (orders.init, orders.threads, orders.concurrency) == ({"device": 0}, 2, 7)
            assert orders.gateways == 3
            assert orders.socket == bench.worker.status().socket
            assert bench.worker.state is S.STARTING
            bench.child.say()
            await bench.reaches(S.READY)
            status = bench.worker.status()
            assert (status.pid, status.state, status.restarts) == (bench.child.pid, S.READY, 0)
            assert bench.worker.methods == READY.methods
            assert bench.events.names == ["worker.started", "worker.ready"]
        assert bench.states == [S.STARTING, S.READY, S.DRAINING, S.STOPPED]
        assert isinstance(bench.child.channel.sent[-1], Drain)
        assert bench.launcher.removed == [orders.socket]
        assert bench.child.channel.closed
        assert bench.worker.status().pid is None

    run(main())


def test_a_worker_that_dies_is_started_again_with_a_reason():
    async def main():
        async with supervised(FakeLauncher(ready=True)) as bench:
            for number, (code, reason) in enumerate(
                [(-9, "killed by SIGKILL"), (3, "exited with code 3"), (-35, "killed by")], start=1
            ):
                await bench.reaches(S.READY, children=number)
                bench.child.end(code)
                await until(lambda count=number: bench.events.names.count("worker.lost") == count)
                assert reason in bench.worker.reason
            await bench.reaches(S.READY, children=4)
            assert bench.worker.status().restarts == 3
        backing_off = [keys for name, keys in bench.events.all if name == "worker.backing_off"]
        assert [keys["attempt"] for keys in backing_off] == [1, 2, 3]

    run(main())


def test_past_the_limit_it_has_failed_and_stays_so():
    async def main():
        async with supervised(FakeLauncher(ready=True), restart=policy(limit=2)) as bench:
            for number in range(1, 4):
                await bench.reaches(S.READY, children=number)
                bench.child.end(-9)
            await bench.reaches(S.FAILED)
            assert "2 restarts" in bench.worker.reason
            assert len(bench.launcher.children) == 3
            assert bench.events.names[-1] == "worker.failed"
        assert bench.worker.state is S.FAILED

    run(main())


@pytest.mark.parametrize("end", ["failed", "silent death", "not at all", "rubbish", "no process"])
def test_a_worker_that_never_started_is_not_tried_again(end):
    async def main():
        launcher = FakeLauncher()
        if end == "no process":
            launcher.failing.append(OSError("no memory"))
        async with supervised(launcher, start_timeout_s=0.05 if end == "not at all" else 20.0) as bench:
            if end == "failed":
                bench.child.say(Failed("import", "ImportError: x", "Traceback: x"))
            elif end == "silent death":
                bench.child.end(4)
            elif end == "rubbish":
                bench.child.say(WireError("rubbish"))
            await bench.reaches(S.FAILED)
            assert bench.worker.reason
            assert bench.worker.traceback == ("Traceback: x" if end == "failed" else "")
            assert len(launcher.children) == (end != "no process")
            assert all(child.exit_code is not None for child in launcher.children)

    run(main())


def test_a_worker_that_has_served_is_tried_again_when_it_does_not_start_once():
    async def main():
        launcher = FakeLauncher()
        async with supervised(launcher) as bench:
            bench.child.say()
            await bench.reaches(S.READY)
            launcher.failing.append(OSError("no memory"))
            bench.child.end(1)
            await until(lambda: len(launcher.children) == 2)
            bench.child.say(Failed("import", "ImportError: x"))
            await until(lambda: len(launcher.children) == 3)
            assert bench.worker.reason == "import: ImportError: x"
            bench.child.say()
            await bench.reaches(S.READY)

    run(main())


def test_a_worker_that_closes_its_channel_is_killed_and_replaced():
    async def main():
        async with supervised(FakeLauncher(ready=True)) as bench:
            await bench.reaches(S.READY)
            first = bench.child
            first.channel.say(None)
            await until(lambda: len(bench.launcher.children) == 2)
            assert first.killed
            assert "channel" in bench.worker.reason

    run(main())


@pytest.mark.parametrize("message", [READY, Drain(1.0), WireError("rubbish")])
def test_a_worker_that_breaks_the_protocol_is_killed_and_replaced(message):
    async def main():
        async with supervised(FakeLauncher(ready=True)) as bench:
            await bench.reaches(S.READY)
            first = bench.child
            first.say(message)
            await until(lambda: len(bench.launcher.children) == 2)
            assert first.killed
            assert "protocol" in bench.worker.reason

    run(main())


def test_replacing_kills_and_tells_why():
    async def main():
        async with supervised(FakeLauncher(ready=True)) as bench:
            await bench.reaches(S.READY)
            bench.worker.replace("stuck")
            await bench.reaches(S.READY, children=2)
            assert bench.worker.reason == "stuck"

    run(main())


def test_a_ready_hook_takes_the_worker_out_of_rotation_and_back():
    async def main():
        async with supervised(hooks={"ready": "ok"}) as bench:
            bench.child.say()
            await until(lambda: any(isinstance(message, Probe) for message in bench.child.channel.sent))
            bench.child.say(Probed(ok=False, reason="loading"))
            await turns()
            assert (bench.worker.state, bench.worker.reason) == (S.STARTING, "loading")
            for ok in (True, True, False, False, True):
                bench.child.say(Probed(ok=ok, reason="" if ok else "busy"))
                await bench.reaches(S.READY if ok else S.UNREADY)
            assert bench.worker.reason == ""
        assert bench.states == [S.STARTING, S.READY, S.UNREADY, S.READY, S.DRAINING, S.STOPPED]

    run(main())


# ── stopping, at every moment ────────────────────────────────────────────────────────────────────


async def stopped(bench) -> None:
    await asyncio.wait_for(bench.worker.stop(1.0), 5)
    await bench.reaches(S.STOPPED)
    assert all(child.exit_code is not None for child in bench.launcher.children)


def test_stop_while_it_waits_for_the_next_start():
    async def main():
        async with supervised(FakeLauncher(ready=True), restart=policy(delay_s=600.0, max_delay_s=600.0)) as bench:
            await bench.reaches(S.READY)
            bench.child.end(-9)
            await bench.reaches(S.BACKOFF)
            assert bench.worker.next_start is not None
            await stopped(bench)
            assert len(bench.launcher.children) == 1

    run(main())


def test_stop_while_it_starts():
    async def main():
        async with supervised() as bench:
            await stopped(bench)
            assert bench.child.killed

    run(main())


def test_stop_while_its_process_is_being_launched():
    async def main():
        launcher = FakeLauncher(ready=True)
        launcher.gate.clear()
        async with supervised(launcher) as bench:
            stopping = asyncio.create_task(bench.worker.stop(1.0))
            await turns()
            launcher.gate.set()
            await stopping
            await bench.reaches(S.STOPPED)
            assert all(child.exit_code is not None for child in launcher.children)

    run(main())


def test_stop_while_its_first_words_are_on_the_way():
    async def main():
        async with supervised() as bench:
            bench.child.say()
            await stopped(bench)

    run(main())


def test_stop_right_after_its_process_ended_by_itself():
    async def main():
        async with supervised(FakeLauncher(ready=True)) as bench:
            await bench.reaches(S.READY)
            bench.child.end(-9, silent=True)
            await bench.worker.stop(1.0)
            bench.child.channel.say(None)
            await bench.reaches(S.STOPPED)
            assert len(bench.launcher.children) == 1

    run(main())


def test_a_worker_that_does_not_drain_is_killed():
    async def main():
        async with supervised(FakeLauncher(ready=True, stubborn=True)) as bench:
            await bench.reaches(S.READY)
            await bench.worker.stop(0.05)
            assert bench.child.killed
            assert bench.child.channel.sent[-1] == Drain(0.05)
            await bench.reaches(S.STOPPED)
            assert "drain" in bench.worker.reason

    run(main())


def test_stop_after_failure_and_twice():
    async def main():
        async with supervised() as bench:
            bench.child.end(1)
            await bench.reaches(S.FAILED)
            await bench.worker.stop(1.0)
            await bench.worker.stop(1.0)

    run(main())


# ── workers that lose their GPU ──────────────────────────────────────────────────────────────────


def test_a_worker_that_loses_its_gpu_is_started_again_and_the_reason_is_told():
    async def main():
        async with supervised() as bench:
            bench.child.say()
            await bench.reaches(S.READY)
            first = bench.child
            first.say(DeviceFailed("device-side assert triggered"))
            first.end(5)
            await bench.reaches(S.STARTING, children=2)
            found = bench.worker.status()
            assert (found.exit.kind, found.exit.text) == ("device", "a CUDA error: device-side assert triggered")
            assert not first.killed
            [lost] = [keys for name, keys in bench.events.all if name == "worker.lost"]
            assert (lost["kind"], lost["reason"]) == ("device", "a CUDA error: device-side assert triggered")

    run(main())


def test_while_it_answers_the_examples_that_is_said_too():
    async def main():
        async def rehearse(*_):
            bench.child.say(DeviceFailed("unspecified launch failure"))
            bench.child.end(5)
            return "s/f: worker-lost"

        async with supervised(given={"rehearse": rehearse}) as bench:
            bench.child.say()
            await bench.reaches(S.FAILED)
            text = "died while it answered the examples: a CUDA error: unspecified launch failure"
            assert (bench.worker.exit.kind, bench.worker.reason) == ("device", text)

    run(main())


@pytest.mark.parametrize(("device", "kind"), [("uncorrectable ECC error encountered", "device"), ("", "start")])
def test_one_that_cannot_start_for_its_gpu(device, kind):
    async def main():
        async with supervised() as bench:
            bench.child.say(Failed("construct", "AcceleratorError: CUDA error: …", device=device))
            bench.child.end(4)
            await bench.reaches(S.FAILED)
            assert (bench.worker.exit.kind, bench.worker.reason) == (
                kind,
                "construct: AcceleratorError: CUDA error: …",
            )

    run(main())


def test_an_exit_code_alone_is_only_that():
    async def main():
        async with supervised() as bench:
            bench.child.say()
            await bench.reaches(S.READY)
            bench.child.end(5)
            await until(lambda: bench.worker.exit is not None)
            assert (bench.worker.exit.kind, bench.worker.exit.text) == ("exit", "exited with code 5")

    run(main())
