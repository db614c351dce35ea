"""What is watched and recorded belongs to the generation that runs, also while a change is made."""

from __future__ import annotations

import asyncio
import contextlib
import time
from types import SimpleNamespace
from typing import ClassVar

import pytest

from bentod.daemon import following
from bentod.daemon.following import Following
from bentod.daemon.loop import TIMES
from tests.support.children import Events
from tests.support.loops import run, turns, until


class Turn(asyncio.Lock):
    """A turn that says who waits for it."""

    def __init__(self):
        super().__init__()
        self.asked = 0

    async def acquire(self):
        self.asked += 1
        return await super().acquire()


class Sources:
    def __init__(self):
        self.begun = []

    async def begin(self, desired, pools):
        self.begun.append(desired)

    def imported(self, pools):
        return True


class Journal:
    def __init__(self):
        self.records = []

    async def grown(self, number, pools):
        self.records.append((number, dict(pools)))


def made():
    unwatched = SimpleNamespace(plan=SimpleNamespace(reload=SimpleNamespace(watch=False, debounce_s=0.1)))
    routing = SimpleNamespace(number=1, pools={"a": "a@1"})
    daemon = SimpleNamespace(desired=unwatched, routing=routing, moved=asyncio.Event())
    sources, journal, turn = Sources(), Journal(), Turn()
    reload = SimpleNamespace(turn=turn)
    return Following(daemon, reload, sources, journal, lambda *_, **__: None), daemon, sources, journal, turn


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(following, "_GROWING_S", 0.0)


def test_what_a_change_has_started_is_not_recorded_as_the_generation_before():
    async def main():
        one, daemon, _, journal, turn = made()
        await one.start()
        await until(lambda: journal.records)  # what came while it started
        journal.records.clear()
        async with turn:
            before = turn.asked
            daemon.routing.pools = {"a": "a@2"}  # in its place already, where there is no room for both
            daemon.moved.set()
            await until(lambda: turn.asked > before)
            assert journal.records == []
            daemon.routing.number = 2
        await until(lambda: journal.records)
        assert journal.records == [(2, {"a": "a@2"})]
        await one.stop()

    run(main())


def test_a_change_that_comes_before_all_else_is_what_is_followed():
    async def main():
        one, daemon, sources, _, turn = made()
        async with turn:
            before = turn.asked
            starting = asyncio.create_task(one.start())
            await until(lambda: turn.asked > before)
            newer = SimpleNamespace(plan=daemon.desired.plan)
            daemon.desired = newer
        await starting
        assert sources.begun == [newer]
        await one.stop()

    run(main())


# ── whether anything is followed ─────────────────────────────────────────────────────────────────


class Watch:
    """A watch that says nothing by itself."""

    made: ClassVar[list[Watch]] = []
    trouble = ""

    def __init__(self, project, wanted, changed, log, debounce_s, *_):
        self.changed, self.debounce_s = changed, debounce_s
        self.did = []
        self.made.append(self)

    def start(self):
        self.did.append("start")

    async def stop(self):
        await asyncio.sleep(0)
        self.did.append("stop")

    def refresh(self):
        self.did.append("refresh")


class Considering:
    """Considers, with outcomes as they are wished."""

    def __init__(self):
        self.turn = asyncio.Lock()
        self.span = (0.0, time.time() + 1000)
        self.asked = []
        self.outcome = "applied"

    async def consider(self, names):
        self.asked.append(names)
        if self.outcome == "raises":
            raise KeyError("a bug")
        return SimpleNamespace(outcome=self.outcome)


@contextlib.asynccontextmanager
async def watched(monkeypatch, tmp_path, **reload):
    monkeypatch.setattr(following, "Watch", Watch)
    Watch.made.clear()
    wanted = SimpleNamespace(**{"watch": True, "debounce_s": 0.1, **reload})
    desired = SimpleNamespace(plan=SimpleNamespace(reload=wanted))
    daemon = SimpleNamespace(
        desired=desired,
        plan=SimpleNamespace(project=tmp_path),
        routing=SimpleNamespace(number=1, pools={}),
        moved=asyncio.Event(),
        expect=None,
    )
    sources = Sources()
    sources.wanted, sources.imported = (lambda: None), (lambda pools: False)
    considering, events = Considering(), Events()
    one = Following(daemon, considering, sources, Journal(), events)
    await one.start()
    try:
        yield one, wanted, considering, events
    finally:
        await one.stop()
        assert all(watch.did[-1] == "stop" for watch in Watch.made)


def test_a_file_that_every_start_writes_suspends_the_watch_until_somebody_orders_a_change(monkeypatch, tmp_path):
    (tmp_path / "a.py").touch()

    async def main():
        async with watched(monkeypatch, tmp_path) as (one, _, considering, events):
            for count in range(1, TIMES + 1):
                assert one.document() == {"state": "on", "reason": ""}
                Watch.made[0].changed(frozenset({"a.py"}))
                await until(lambda count=count: len(considering.asked) == count)
            await until(lambda: one.state == "suspended")
            assert "a.py is written whenever workers start" in one.reason
            assert events.names.count("watch.suspended") == 1
            Watch.made[0].changed(frozenset({"a.py"}))
            await turns(20)
            assert len(considering.asked) == TIMES
            await one.resume()
            assert one.document() == {"state": "on", "reason": ""}
            Watch.made[0].changed(frozenset({"a.py"}))
            await until(lambda: len(considering.asked) == TIMES + 1)
            await turns(20)
            assert one.state == "on"

    run(main())


def test_the_watch_goes_off_and_on_and_follows_another_debounce(monkeypatch, tmp_path):
    async def main():
        async with watched(monkeypatch, tmp_path, watch=False) as (one, wanted, *_):
            assert (one.state, Watch.made) == ("off", [])
            wanted.watch = True
            await one.resume()
            assert one.state == "on"
            wanted.debounce_s = 0.5
            await asyncio.gather(*(one.refresh() for _ in range(3)))
            first, second = Watch.made
            assert (first.did[-1], second.did[0], second.debounce_s) == ("stop", "start", 0.5)
            wanted.watch = False
            await asyncio.gather(*(one.refresh() for _ in range(3)))
            assert one.state == "off"

    run(main())


def test_a_bug_does_not_end_the_watch(monkeypatch, tmp_path, capfd):
    async def main():
        async with watched(monkeypatch, tmp_path) as (_, _, considering, events):
            considering.outcome = "raises"
            Watch.made[0].changed(frozenset())
            await until(lambda: "watch.failed" in events.names)
            considering.outcome = "unchanged"
            Watch.made[0].changed(frozenset({"b.py"}))
            await until(lambda: considering.asked == [[], ["b.py"]])

    run(main())
    assert "KeyError: 'a bug'" in capfd.readouterr().err
