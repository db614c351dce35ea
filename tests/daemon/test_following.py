"""What is watched and recorded belongs to the generation that runs, also while a change is made."""

import asyncio
from types import SimpleNamespace

import pytest

from bentod.daemon import following
from bentod.daemon.following import Following
from tests.support.loops import run, until


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
