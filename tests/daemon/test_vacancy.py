"""GPUs whose memory is not given back at once."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from bentod.daemon.vacancy import Left, Vacancy, taken
from bentod.plan.inventory import Device, GpuProcess, Inventory
from tests.support.children import Events
from tests.support.devices import GIB, granted
from tests.support.loops import run, turns, until

UUID = "GPU-0"


def device(*processes, free=16 * GIB, **changed):
    return Device(
        **({"uuid": UUID, "name": "", "memory": 16 * GIB, "index": "0"} | changed), free=free, processes=processes
    )


def process(group, pid=None, memory=GIB):
    return GpuProcess(group if pid is None else pid, memory=memory, group=group)


NAMELESS = GpuProcess(0, memory=GIB)
LISTED = Left(frozenset({7}), listed=True, nameless=1, free=16 * GIB)
UNLISTED = replace(LISTED, listed=False)


@pytest.mark.parametrize(
    ("found", "left", "text"),
    [
        (device(), LISTED, ""),
        (device(process(7)), LISTED, "process 7 still computes there"),
        (device(process(7, pid=9)), LISTED, "process 9 still computes there"),
        (device(process(8)), LISTED, ""),
        (device(NAMELESS, free=GIB), LISTED, ""),  # it was there before
        (device(NAMELESS, NAMELESS), LISTED, "a process that has ended still has memory there"),
        (device(free=None), LISTED, ""),
        (device(process(7)), UNLISTED, "process 7 still computes there"),
        (device(free=16 * GIB - 800 * 1024**2), UNLISTED, ""),  # 5 % of it do not count
        (device(free=15 * GIB), UNLISTED, "15360 MiB are free, not 16384 MiB"),
        (device(free=None), UNLISTED, ""),
        (device(free=0), replace(UNLISTED, free=None), ""),
        (device(state="failed", reason="it is lost"), LISTED, "nothing is known of it: it is lost"),
        (device(state="out", reason="Xid 48"), LISTED, ""),
    ],
)
def test_what_is_not_given_back(found, left, text):
    assert taken(found, left) == text


class FakeHost:
    """A host with one GPU, whose driver answers what it is told to."""

    def __init__(self, *devices):
        self.latest = Inventory(1.0, devices=devices or (device(),), gpus="ok")
        self.asked = 0
        self.hangs = False

    def show(self, *devices):
        self.latest = replace(self.latest, devices=devices)

    async def inventory(self):
        self.asked += 1
        if self.hangs:
            await asyncio.Event().wait()
        return self.latest


def vacancy(host, most_s=20.0):
    events = Events()
    return Vacancy(host, events, most_s), events


def test_the_first_process_does_not_ask_the_driver():
    async def main():
        host = FakeHost()
        found, _ = vacancy(host)
        await found.wait("s", granted())
        found.came(granted(), 7)
        await found.wait("s", granted(1))
        assert host.asked == 0

    run(main())


def test_the_next_one_waits_until_the_driver_lists_the_last_one_no_more():
    async def main():
        host = FakeHost()
        found, events = vacancy(host)
        found.came(granted(), 7)
        host.show(device(process(7), free=GIB))
        found.went(granted(), 7)
        waiting = asyncio.create_task(found.wait("s", granted()))
        await until(lambda: host.asked)
        host.show(device(NAMELESS, free=GIB))
        asked = host.asked
        await until(lambda: host.asked > asked + 1)
        assert not waiting.done()
        host.show(device(process(9), free=GIB))  # another's
        await waiting
        asked = host.asked
        await found.wait("s", granted())
        assert host.asked == asked, "it is not asked for again"
        assert events.all == []

    run(main())


def test_where_nobody_is_listed_memory_tells_and_what_others_were_granted_is_theirs():
    async def main():
        host = FakeHost(device(free=15 * GIB))
        found, _ = vacancy(host)
        one, other = granted(0, part=0.5, memory=4 * GIB), granted(1, part=0.5, memory=8 * GIB)
        found.came(one, 7)
        host.show(device(free=11 * GIB))
        found.came(other, 8)
        host.show(device(free=4 * GIB))
        found.went(one, 7)
        waiting = asyncio.create_task(found.wait("s", one))
        await until(lambda: host.asked > 1)
        assert not waiting.done()
        host.show(device(free=7 * GIB))  # 15 - 8
        await waiting

    run(main())


def test_nobody_waits_for_ever_and_nobody_waits_twice_for_the_same():
    async def main():
        host = FakeHost()
        found, events = vacancy(host, 0.05)
        found.came(granted(), 7)
        host.show(device(process(7)))
        found.went(granted(), 7)
        await found.wait("s", granted())
        [(name, keys)] = events.all
        assert (name, keys["service"], keys["worker"], keys["device"]) == ("device.occupied", "s", 0, UUID)
        assert (keys["level"], keys["reason"]) == ("warning", "process 7 still computes there")
        await found.wait("s", granted())
        assert len(events.all) == 1

    run(main())


def test_a_driver_that_hangs_is_waited_for_no_longer():
    async def main():
        host = FakeHost()
        found, events = vacancy(host, 0.05)
        found.came(granted(), 7)
        found.went(granted(), 7)
        host.hangs = True
        await found.wait("s", granted())
        assert events.all[0][1]["reason"] == "the driver does not answer"

    run(main())


def test_a_device_that_is_gone_from_the_list_or_that_nobody_looks_at_is_not_waited_for():
    async def main():
        for latest in (Inventory(1.0), None):
            host = FakeHost()
            found, events = vacancy(host)
            found.came(granted(), 7)
            found.went(granted(), 7)
            host.latest = latest
            await found.wait("s", granted())
            assert events.all == []

    run(main())


def test_one_who_waits_waits_for_those_who_end_meanwhile_too():
    async def main():
        host = FakeHost()
        found, _ = vacancy(host)
        for pid in (7, 8):
            found.came(granted(0, part=0.5), pid)
        host.show(device(process(7), process(8)))
        found.went(granted(), 7)
        waiting = asyncio.create_task(found.wait("s", granted()))
        await until(lambda: host.asked)
        found.went(granted(), 8)
        host.show(device(process(8)))
        asked = host.asked
        await until(lambda: host.asked > asked + 1)
        assert not waiting.done()
        host.show(device())
        await waiting
        await turns()

    run(main())
