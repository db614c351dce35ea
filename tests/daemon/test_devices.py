"""What follows from GPUs that fail, and from workers that die on them."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

from bentod.daemon.devices import Devices
from bentod.plan.inventory import Device, DeviceEvent, Inventory
from bentod.supervise.exit import Exit, device_failed
from tests.support.children import Events
from tests.support.devices import GIB, granted
from tests.support.loops import run
from tests.support.stage import plan, service

XID = DeviceEvent("GPU-0", "xid", 79, "Xid 79: it has fallen off the bus")


def device(uuid, index, parent=""):
    return Device(uuid, "", 16 * GIB, index, parent, free=16 * GIB)


TWO = (device("GPU-0", "0"), device("GPU-1", "1"))


class Bench:
    """Two GPUs and a service with a worker on each; `moved` is what was asked for."""

    def __init__(self, *uuids, devices=TWO):
        self.host = SimpleNamespace(latest=Inventory(1.0, devices=devices, gpus="ok"), out={}, on_event=None)
        self.host.follow = lambda plan: None
        self.events, self.moved = Events(), []
        workers = tuple(granted(index, *one.split("+")) for index, one in enumerate(uuids or ("GPU-0", "GPU-1")))
        self.plan = plan(service("s", workers=0))
        (self.service,) = self.plan.services
        object.__setattr__(self.service, "workers", workers)
        self.devices = Devices(self.host, self.events, lambda: self.plan)
        self.devices.move = self.moved.append

    def die(self, worker, times=1, text="an illegal memory access was encountered"):
        for pid in range(times):
            self.devices.occupied("s", self.service.workers[worker], pid + 100)(device_failed(text))

    def keys(self, name):
        return [keys for event, keys in self.events.all if event == name]


def test_an_error_takes_a_device_out_once_and_its_workers_are_placed_anew():
    bench = Bench()
    for _ in range(3):
        bench.host.on_event(XID)
    assert list(bench.host.out) == ["GPU-0"]
    assert bench.host.out["GPU-0"].startswith(XID.text)
    assert bench.keys("device.out") == [
        {"device": "GPU-0", "name": "GPU 0", "reason": XID.text, "level": "error"},
    ]
    assert [keys["code"] for keys in bench.keys("device.error")] == [79] * 3
    assert bench.moved == ["GPU 0 is out: Xid 79: it has fallen off the bus"]


def test_nobody_is_moved_from_a_device_that_nobody_has():
    bench = Bench("GPU-1")
    bench.host.on_event(XID)
    assert list(bench.host.out) == ["GPU-0"]
    assert bench.moved == []


def test_workers_that_began_on_a_device_while_it_failed_leave_it_once_they_run():
    bench = Bench("GPU-1")
    bench.host.on_event(XID)
    bench.devices.follow()
    assert bench.moved == [], "what runs is elsewhere"
    object.__setattr__(bench.service, "workers", (granted(0, "GPU-0"),))
    for _ in range(2):
        bench.devices.follow()
        assert bench.moved == ["GPU 0 is out: Xid 79: it has fallen off the bus"]
    bench.devices.forgive()
    bench.devices.follow()
    assert len(bench.moved) == 1


def test_an_error_of_a_program_is_told_and_that_is_all():
    bench = Bench()
    bench.host.on_event(DeviceEvent("GPU-0", "xid", 13, "Xid 13: …"))
    [told] = bench.keys("device.error")
    assert (told["level"], told["reason"]) == ("warning", "Xid 13: …")
    assert (bench.host.out, bench.moved) == ({}, [])


def test_devices_of_others_are_no_matter_of_ours():
    bench = Bench()
    bench.host.on_event(DeviceEvent("GPU-9", "lost", 15, "it is lost"))
    assert (bench.events.all, bench.host.out) == ([], {})


def test_a_gpu_takes_its_instances_with_it():
    bench = Bench("m0", devices=(device("m0", "0:0", "GPU-0"), device("m1", "0:1", "GPU-0")))
    bench.host.on_event(XID)
    assert set(bench.host.out) == {"GPU-0", "m0", "m1"}
    assert len(bench.moved) == 1


def test_workers_that_die_again_and_again_take_their_device_out():
    async def main():
        bench = Bench()
        bench.die(0, 2)
        bench.die(1)
        assert bench.host.out == {}
        bench.die(0)
        assert list(bench.host.out) == ["GPU-0"]
        assert "3 workers of s died there" in bench.moved[0]

    run(main())


def test_other_ends_do_not_count_nor_asserts_nor_those_on_several_gpus():
    async def main():
        bench = Bench("GPU-0", "GPU-1", "GPU-0+GPU-1")
        bench.die(0, 9, "device-side assert triggered")
        bench.die(2, 9)
        for _ in range(9):
            bench.devices.occupied("s", bench.service.workers[0], 5)(Exit("signal", "killed by SIGKILL"))
        assert (bench.host.out, bench.moved) == ({}, [])

    run(main())


def test_what_is_forgiven_must_happen_again():
    async def main():
        bench = Bench()
        bench.die(0, 2)
        bench.host.on_event(XID)
        bench.devices.forgive()
        assert bench.host.out == {}
        assert [keys["device"] for keys in bench.keys("device.back")] == ["GPU-0"]
        bench.die(0, 2)
        assert bench.host.out == {}
        bench.die(0)
        assert list(bench.host.out) == ["GPU-0"]

    run(main())


def test_room_is_what_was_measured_last():
    bench = Bench()
    assert "GPU 0" in bench.devices.crowded(bench.service.workers[0], 7)
    bench.host.latest = None
    assert bench.devices.crowded(bench.service.workers[0], 7) == "it is not known how much of GPU GPU-0 is free"


def test_a_host_that_nobody_looks_at_delays_nobody():
    async def main():
        bench = Bench()
        bench.host.latest = None
        bench.host.inventory = lambda: asyncio.sleep(0)
        bench.devices.occupied("s", bench.service.workers[0], 7)(Exit("told", "stopped"))
        await asyncio.wait_for(bench.devices.vacant("s", bench.service.workers[0]), 1)

    run(main())
