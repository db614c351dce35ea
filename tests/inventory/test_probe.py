"""The inventory, asked for again and again: children that hang, die, and come back; and news of errors."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bentod.inventory.child import COMMAND
from bentod.inventory.probe import STUCK, Probe, pause_s
from bentod.inventory.talk import Talk
from tests.support.daemon import eventually
from tests.support.nvml import MISMATCH, StandIn


class Clock:
    """Time that passes only when it is told to."""

    def __init__(self):
        self.now_s = 0.0

    def __call__(self):
        return self.now_s


OTHERS = set()
"""Children of this process that other tests have left to it."""


@pytest.fixture
def nvml(tmp_path):
    OTHERS.clear()
    OTHERS.update(children())
    return StandIn(tmp_path, gpus=2)


class Asked:
    """A probe, what it told, and a clock."""

    def __init__(self, nvml, **options):
        self.events = []
        self.clock = Clock()
        environ = {**os.environ, **nvml.environ}
        self.probe = Probe(environ, on_event=self.events.append, clock=self.clock, **options)
        self.ask = self.probe.ask

    def told(self):
        return [(event.uuid, event.kind, event.code) for event in self.events]

    async def hears(self, count):
        deadline = time.monotonic() + 20
        while len(self.events) < count:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)  # between two looks


def run(nvml, body, **options):
    async def main():
        asked = Asked(nvml, **options)
        try:
            await body(asked)
        finally:
            await asked.probe.stop()

    asyncio.run(main())


def states(found):
    return [one.state for one in found.devices]


def children():
    path = Path(f"/proc/self/task/{os.getpid()}/children")
    found = [int(pid) for pid in path.read_text().split()] if path.exists() else []
    return [pid for pid in found if pid not in OTHERS]


def test_each_answer_is_of_now_and_from_the_same_child(nvml):
    async def body(asked):
        first = await asked.ask()
        child = children()
        nvml.change(nvml.uuids[0], used=1 << 30)
        nvml.process(nvml.uuids[1], os.getpid())
        second = await asked.ask()
        assert (first.gpus, first.devices[0].free, first.devices[1].processes) == ("ok", 16 << 30, ())
        assert (second.devices[0].free, second.devices[1].processes[0].pid) == (15 << 30, os.getpid())
        assert children() == child
        assert asked.events == []

    run(nvml, body)
    assert children() == []


def test_questions_at_the_same_time_are_answered_one_after_another(nvml):
    async def body(asked):
        found = await asyncio.gather(*(asked.ask() for _ in range(5)))
        assert {one.gpus for one in found} == {"ok"}

    run(nvml, body)


def test_a_question_that_is_given_up_spoils_none_after_it(nvml):
    async def body(asked):
        await asked.ask()
        for _ in range(5):
            task = asyncio.create_task(asked.ask())
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
        nvml.change(nvml.uuids[0], used=1 << 30)
        assert (await asked.ask()).devices[0].free == 15 << 30

    run(nvml, body)


def test_a_driver_that_hangs_is_asked_again_by_another_child(nvml):
    async def body(asked):
        await asked.ask()
        nvml.hang()
        found = await asked.ask(0.3)
        assert (found.gpus, states(found)) == ("failed", ["failed", "failed"])
        assert "did not answer within 0.3 s" in found.reason
        assert [one.uuid for one in found.devices] == nvml.uuids
        nvml.answer()
        again = await asked.ask()  # no time has passed: nothing is tried
        assert (again.gpus, children()) == ("failed", [])
        asked.clock.now_s += pause_s(1)
        back = await asked.ask()
        assert (back.gpus, states(back), back.reason) == ("ok", ["ok", "ok"], "")
        assert asked.events == []  # of no device in particular

    run(nvml, body)


def test_a_child_that_dies_is_replaced_and_more_and_more_seldom(nvml):
    async def body(asked):
        await asked.ask()
        nvml.crash("nvmlDeviceGetName")
        for failures in range(1, 4):
            found = await asked.ask()
            assert "SIGABRT" in found.reason
            asked.clock.now_s += pause_s(failures) * 0.9
            assert await asked.ask() == found
            asked.clock.now_s += pause_s(failures) * 0.2
        nvml.answer("nvmlDeviceGetName")
        assert states(await asked.ask()) == ["ok", "ok"]

    run(nvml, body)


def test_a_child_that_was_killed_between_questions_is_replaced(nvml):
    async def body(asked):
        await asked.ask()
        os.kill(children()[0], signal.SIGKILL)
        found = await asked.ask()
        assert "SIGKILL" in found.reason
        asked.clock.now_s += pause_s(1)
        assert (await asked.ask()).gpus == "ok"

    run(nvml, body)


def test_the_pause_grows_up_to_half_a_minute():
    assert [pause_s(failures) for failures in (0, 1, 2, 3, 7, 1000)] == [0, 0.5, 1, 2, 30, 30]


def test_a_driver_that_comes_back_is_seen(nvml):
    async def body(asked):
        nvml.fail("nvmlInitWithFlags", MISMATCH)
        found = await asked.ask()
        assert (found.gpus, found.devices) == ("failed", ())
        nvml.answer("nvmlInitWithFlags")
        asked.clock.now_s += pause_s(1)
        assert states(await asked.ask()) == ["ok", "ok"]

    run(nvml, body)


def test_no_second_child_is_started_while_one_cannot_be_ended(nvml, monkeypatch):
    async def body(asked):
        await asked.ask()
        nvml.hang()
        with monkeypatch.context() as stuck:
            stuck.setattr(Talk, "gone", False)
            await asked.ask(0.2)
            nvml.answer()
            asked.clock.now_s += 100
            found = await asked.ask()
            assert (found.gpus, found.reason, children()) == ("failed", STUCK, [])
        asked.clock.now_s += 100
        assert (await asked.ask()).gpus == "ok"

    run(nvml, body)


def test_a_lost_gpu_is_news_once_and_stays_listed(nvml):
    first, second = nvml.uuids

    async def body(asked):
        await asked.ask()
        nvml.lose(second)
        found = await asked.ask()
        assert (found.gpus, states(found), found.devices[1].uuid) == ("ok", ["ok", "failed"], second)
        assert found.devices[1].name == "Stand-in GPU"
        assert asked.told() == [(second, "lost", 15)]
        await asked.ask()
        assert len(asked.events) == 1
        nvml.change(second, error=0)
        assert states(await asked.ask()) == ["ok", "ok"]
        nvml.lose(first)
        nvml.lose(second)
        assert states(await asked.ask()) == ["failed", "failed"]
        assert asked.told()[1:] == [(first, "lost", 15), (second, "lost", 15)]
        nvml.change(first, error=0)
        nvml.change(second, error=0)
        asked.clock.now_s += pause_s(1)
        assert states(await asked.ask()) == ["ok", "ok"]

    run(nvml, body)


def test_more_errors_of_memory_are_news(nvml):
    async def body(asked):
        await asked.ask()
        nvml.change(nvml.uuids[0], ecc=2)
        await asked.ask()
        assert asked.told() == [(nvml.uuids[0], "ecc", 2)]

    run(nvml, body)


def test_errors_that_the_driver_tells_are_news_at_once(nvml):
    split = nvml.gpu()
    some, more = nvml.instance(split), nvml.instance(split)

    async def body(asked):
        await asked.ask()
        nvml.xid(nvml.uuids[1], 79)
        await asked.hears(1)
        nvml.xid(split, 94, instance=2)  # of one instance
        await asked.hears(2)
        nvml.xid(split, 48)  # of all
        await asked.hears(4)
        assert asked.told() == [(nvml.uuids[1], "xid", 79), (more, "xid", 94), (some, "xid", 48), (more, "xid", 48)]
        assert asked.events[0].text == "Xid 79: it has fallen off the bus"

    run(nvml, body)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("print('?', flush=True); input()", "cannot be understood"),
        ('print(\'{"event": {"uuid": 1}}\', flush=True); input()', "cannot be understood"),
        ("import sys; sys.stdout.write('x' * (5 << 20))", "cannot be understood"),
        ("raise SystemExit(3)", "exit code 3"),
    ],
)
def test_a_child_that_is_not_itself_is_a_state(nvml, code, words):
    async def body(asked):
        found = await asked.ask(10)
        assert (found.gpus, words in found.reason) == ("failed", True)

    run(nvml, body, command=(sys.executable, "-IS", "-c", code))


def test_a_child_that_cannot_be_started_is_a_state(nvml, tmp_path):
    async def body(asked):
        assert "cannot be asked" in (await asked.ask()).reason

    run(nvml, body, command=(str(tmp_path / "none"),))


@pytest.mark.parametrize("hangs", [False, True])
def test_the_child_ends_when_nobody_can_ask_any_more(nvml, hangs):
    with subprocess.Popen(
        COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, **nvml.environ}
    ) as child:
        child.stdin.write(b"1\n")
        child.stdin.flush()
        assert b'"answer": 1' in child.stdout.readline()
        if hangs:
            nvml.hang()
            child.stdin.write(b"2\n")
        child.stdin.close()
        assert eventually(lambda: child.poll() is not None)
        assert child.returncode == 0
