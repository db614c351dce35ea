"""What a daemon knows of its host's GPUs while services come and go."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from contextlib import asynccontextmanager
from dataclasses import replace

from bentod.daemon.claims import Claims
from bentod.daemon.host import Host
from bentod.plan.inventory import Device, Inventory
from tests.support.devices import granted
from tests.support.loops import run, turns, until
from tests.support.nvml import StandIn
from tests.support.stage import plan, service

GPUS = Inventory(4, devices=(Device("GPU-0", "", 1, "0"),), gpus="ok")
WITH, WITHOUT = plan(replace(service("s"), workers=(granted(),))), plan(service("s"))


class FakeProbe:
    """A process that asks the driver, and answers when it may."""

    made: list[FakeProbe]

    def __init__(self, environ, *, on_event):
        self.stopped = False
        self.asked = 0
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.made.append(self)

    async def ask(self):
        assert not self.stopped
        self.asked += 1
        await self.may_answer.wait()
        return GPUS

    async def stop(self):
        self.stopped = True


@asynccontextmanager
async def following(monkeypatch, claims=None):
    FakeProbe.made = []
    monkeypatch.setattr("bentod.inventory.probe.Probe", FakeProbe)
    host = Host({}, claims=claims)
    try:
        yield host, FakeProbe.made
    finally:
        await host.stop()
    assert all(probe.stopped for probe in FakeProbe.made)


def test_nobody_asks_the_driver_any_more_once_no_service_has_a_gpu(monkeypatch):
    async def scenario():
        async with following(monkeypatch) as (host, probes):
            host.follow(WITH)
            await until(lambda: host.latest is not None)
            host.follow(WITHOUT)
            assert host.latest is None
            await until(lambda: probes[0].stopped)
            assert await host.inventory() is None
            host.follow(WITH)
            await until(lambda: host.latest is not None)
            assert len(probes) == 2

    run(scenario())


def test_an_answer_that_comes_when_no_service_has_a_gpu_is_none(monkeypatch):
    async def scenario():
        async with following(monkeypatch) as (host, probes):
            host.follow(WITH)
            await until(lambda: host.latest is not None)
            probes[0].may_answer.clear()
            asked = asyncio.create_task(host.inventory())
            await until(lambda: probes[0].asked == 2)
            host.follow(WITHOUT)
            probes[0].may_answer.set()
            assert await asked is None
            await turns()
            assert (host.latest, probes[0].stopped, len(probes)) == (None, True, 1)

    run(scenario())


def test_claims_that_somebody_removes_come_back_while_services_have_gpus(monkeypatch, tmp_path):
    monkeypatch.setattr("bentod.daemon.host._EVERY_S", 0.0)
    one, other = (Claims({"BENTOD_CLAIMS": str(tmp_path / "c")}, tmp_path, tmp_path / name) for name in "ab")

    async def scenario():
        async with following(monkeypatch, one) as (host, _):
            assert await host.hold(None, WITH) == ""
            host.follow(WITH)
            shutil.rmtree(tmp_path / "c")
            await until(other.others)
        assert other.others() == ()

    run(scenario())


def test_a_driver_that_hangs_keeps_no_daemon_from_its_end(tmp_path):
    nvml = StandIn(tmp_path, gpus=1)
    nvml.hang("nvmlInitWithFlags")

    async def scenario():
        host = Host({**os.environ, **nvml.environ})
        looks = [asyncio.create_task(asyncio.to_thread(host.room(WITH).look, True)) for _ in range(2)]
        await turns()
        await host.stop()
        for look in looks:
            assert "is not waited for" in (await look).reason

    began = time.monotonic()
    run(scenario())
    assert time.monotonic() - began < 20, "30 s are what the first answer may take"
