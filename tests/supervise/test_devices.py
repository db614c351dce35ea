"""Workers that have GPUs: when they start, how they are replaced, and what those who have none must not pay for it."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from bentod.plan.inventory import Device, GpuProcess
from bentod.plan.model import RecyclePolicy
from bentod.supervise.devices import lacking
from bentod.supervise.pool import Pool
from bentod.supervise.state import WorkerState
from bentod.wire.messages import DeviceFailed, Drain
from tests.support.children import Events, FakeLauncher, plan
from tests.support.devices import GIB, FakeDevices, granted
from tests.support.loops import run, turns, until

S = WorkerState
MANY = RecyclePolicy(max_calls=10, max_age_s=None, max_memory=None)


class Bench:
    """A pool whose workers have GPUs."""

    def __init__(self, launcher, **changed):
        self.launcher, self.events, self.devices = launcher, Events(), FakeDevices()
        service = replace(plan(), **({"workers": (granted(),), "recycle": MANY} | changed))
        self.pool = Pool(service, Path("/p"), launcher, lambda: None, self.events, devices=self.devices)

    @property
    def child(self):
        return self.launcher.children[-1]

    def keys(self, name):
        return [keys for event, keys in self.events.all if event == name]


@asynccontextmanager
async def started(launcher=None, **changed):
    bench = Bench(launcher or FakeLauncher(ready=True), **changed)
    bench.pool.start()
    assert await bench.pool.settled()
    bench.pool.accept()
    try:
        yield bench
    finally:
        await asyncio.wait_for(bench.pool.stop(1.0), 10)


def test_a_new_process_waits_until_its_gpus_are_free():
    async def main():
        async with started() as bench:
            first = bench.child
            bench.devices.free.clear()
            first.say(DeviceFailed("misaligned address"))
            first.end(5)
            await until(lambda: bench.pool.status().workers[0].state is S.STARTING)
            await turns()
            assert len(bench.launcher.children) == 1
            bench.devices.free.set()
            await until(lambda: len(bench.launcher.children) == 2)
            assert bench.devices.log == [
                ("vacant", "s", 0),
                ("occupied", "s", 0, first.pid),
                ("ended", first.pid, "device"),
                ("vacant", "s", 0),
                ("occupied", "s", 0, bench.child.pid),
            ]

    run(main())


def test_one_that_is_told_to_stop_waits_no_longer():
    async def main():
        async with started() as bench:
            bench.devices.free.clear()
            bench.child.end(-9)
            await until(lambda: bench.pool.status().workers[0].state is S.STARTING)
            await asyncio.wait_for(bench.pool.stop(30.0), 1)
            assert len(bench.launcher.children) == 1
            assert bench.pool.status().workers[0].state is S.STOPPED

    run(main())


def test_a_wait_that_breaks_keeps_nobody_from_starting():
    async def main():
        async with started() as bench:

            async def broken():
                raise ZeroDivisionError

            bench.devices.vacant = lambda *_: broken()
            bench.child.end(-9)
            await until(lambda: len(bench.launcher.children) == 2)

    run(main())


def test_workers_without_gpus_ask_nobody():
    async def main():
        async with started(workers=plan(1).workers) as bench:
            bench.devices.free.clear()
            bench.child.end(-9)
            await until(lambda: len(bench.launcher.children) == 2)
            await until(lambda: bench.pool.status().ready == 1)
            bench.pool.observe({bench.child.pid: 10}, lambda _: None)
            await until(lambda: bench.keys("worker.recycled"))
            assert bench.devices.log == []

    run(main())


@pytest.mark.parametrize(
    ("reload", "full", "beside"), [("auto", "", True), ("auto", "no room", False), ("overlap", "no room", True)]
)
def test_a_worker_is_recycled_beside_the_old_one_only_where_there_is_room(reload, full, beside):
    async def main():
        async with started(FakeLauncher(ready=True, stubborn=True), reload=reload) as bench:
            old = bench.child
            bench.devices.full = full
            bench.pool.observe({old.pid: 10}, lambda _: None)
            await until(lambda: any(isinstance(message, Drain) for message in old.channel.sent))
            assert len(bench.launcher.children) == (2 if beside else 1)
            old.end(0)
            await until(lambda: bench.keys("worker.recycled"))
            assert len(bench.launcher.children) == 2
            [told] = bench.keys("worker.recycling")
            assert told["reason"] == "it has answered 10 calls (max_calls)" + (
                "" if beside else "; it stops first: no room"
            )
            bench.child.channel.send = bench.child._obey

    run(main())


def device(free, *processes, **changed):
    return Device(
        **({"uuid": "GPU-0", "name": "", "memory": 16 * GIB, "index": "3"} | changed), free=free, processes=processes
    )


def process(group, memory, pid=None):
    return GpuProcess(group if pid is None else pid, memory=memory, group=group)


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (device(8 * GIB, process(7, 4 * GIB)), ""),
        (device(4 * GIB, process(7, 4 * GIB)), "about 4096 MiB of GPU 3, and 3686 MiB can be used"),
        (device(8 * GIB, process(7, 4 * GIB), process(7, 4 * GIB, 8)), "about 8192 MiB of GPU 3"),
        (device(8 * GIB, process(9, 4 * GIB)), "about 16384 MiB of GPU 3"),
        (device(8 * GIB, process(7, None)), "about 16384 MiB of GPU 3"),
        (device(8 * GIB, process(0, 1 * GIB, 0)), "about 16384 MiB of GPU 3"),
        (device(17 * GIB), "about 16384 MiB of GPU 3"),
        (device(18 * GIB), ""),
        (device(32 * 1024 * 1024, process(7, 1)), "and 0 MiB can be used"),
        (device(None, process(7, GIB)), "it is not known how much of GPU GPU-0 is free"),
        (device(8 * GIB, state="failed"), "it is not known how much of GPU GPU-0 is free"),
        (device(8 * GIB, uuid="GPU-1"), "it is not known how much of GPU GPU-0 is free"),
    ],
)
def test_room_for_two(found, text):
    said = lacking(granted(), 7, {found.uuid: found})
    assert text in said if text else said == ""


def test_room_is_needed_on_each_gpu():
    first, second = device(8 * GIB, process(7, GIB)), device(GIB, process(7, GIB), uuid="GPU-1", index="4")
    both = {one.uuid: one for one in (first, second)}
    assert "of GPU 4" in lacking(granted(0, "GPU-0", "GPU-1"), 7, both)
    assert lacking(granted(0, "GPU-0"), 7, both) == ""
