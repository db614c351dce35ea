"""Sockets and gateways of the next generation take the place of those that serve, or are dropped."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from bentod.daemon import front
from bentod.daemon.front import AccessLogging, Front
from bentod.daemon.gateways import Gateways
from bentod.errors import StartError
from bentod.wire.messages import ExampleFailure, Rehearsed, ServerLimits
from tests.support.children import Events
from tests.support.loops import run, until
from tests.support.stage import SERVER, FakeStage, api, plan, service


class FakeGateways:
    """Gateways that take what they are given. `refusing`: they acknowledge no table."""

    made: list[FakeGateways]
    refusing = False

    def __init__(self, count, limits, sockets, spawned, log, heard):
        self.count, self.limits, self.sockets, self.spawned = count, limits, sockets, spawned
        self.did: list[object] = []
        self.made.append(self)
        self.gone = asyncio.Event()
        self.tried, self.fails, self.told = 0, "", asyncio.Event()

    async def rehearse(self, table, timeout_s):
        self.tried += 1
        if self.fails:
            return Rehearsed(1, 1, (ExampleFailure("a", "e", self.fails),))
        await self.told.wait()
        return None

    def start(self):
        self.did.append("start")

    async def push(self, table):
        if self.refusing and len(self.made) > 1:
            raise StartError("gateway 0 does not acknowledge its routes")
        self.did.append(table.number)

    def tell(self, table):
        self.did.append(("told", table.number))

    def limit(self, limits):
        self.did.append(limits)

    async def stop(self, timeout_s, linger_s=0.0):
        self.did.append(("stop", timeout_s))
        await self.gone.wait()
        return 1


@pytest.fixture
def made(monkeypatch):
    monkeypatch.setattr(front, "Gateways", FakeGateways)
    FakeGateways.made, FakeGateways.refusing = [], False
    return FakeGateways.made


def serving(*listen, **changed):
    return replace(SERVER, listen=listen or ("127.0.0.1:0",), **changed)


def fronted(server=None):
    one = Front(AccessLogging("text"), Path("/files"), Events(), lambda _: None, None)
    one.start(server or serving())
    return one


def table(number):
    return replace(FakeStage(plan(service("s"))).routing.table(), number=number)


def accepts(url):
    address = url.removeprefix("http://").split(":")
    with socket.socket() as client:
        return client.connect_ex((address[0], int(address[1]))) == 0


async def ended(one, made):
    for gateways in made:
        gateways.gone.set()
    one.close()
    return await one.stop(0.5)


def test_what_is_prepared_serves_by_the_routes_as_they_are_and_takes_over(made, tmp_path):
    path = tmp_path / "s"

    async def main():
        one = fronted()
        await one.push(table(1))
        urls = one.urls
        after = serving("127.0.0.1:0", f"unix:{path}", gateways=2, drain_timeout_s=7.0)
        await one.prepare(after)
        assert one.urls == urls, "not before the swap"
        await one.push(table(2))
        one.swap(after)
        await one.push(table(3))
        old, new = made
        assert (new.count, new.limits.gateways, len(new.sockets)) == (2, 2, 2)
        assert new.did == ["start", 1, 2, 3]
        assert old.did[:3] == ["start", 1, 2]
        assert set(old.did[3:]) == {("told", 3), ("stop", 7.0)}
        assert old.limits.files != new.limits.files
        assert one.urls == [*urls, f"unix:{path}"]
        assert await ended(one, made) == 2
        assert not path.exists()

    run(main())


def test_what_is_dropped_leaves_nothing(made, tmp_path):
    path = tmp_path / "s"

    async def main():
        one = fronted()
        urls = one.urls
        await one.prepare(serving("127.0.0.1:0", f"unix:{path}"))
        assert path.exists()
        one.drop()
        one.drop()
        await asyncio.sleep(0)
        assert not path.exists()
        assert made[1].did == ["start", ("stop", 1.0)], "clients may have come"
        assert one.urls == urls
        assert accepts(urls[0])
        one.swap(serving())
        assert isinstance(made[0].did[-1], ServerLimits), "those that serve get new time-outs"
        await ended(one, made)

    run(main())


def test_an_address_that_goes_is_closed_only_by_the_swap(made):
    async def main():
        one = fronted(serving("127.0.0.1:0", "localhost:0"))
        going = one.urls[1]
        await one.prepare(serving("127.0.0.1:0"))
        assert accepts(going)
        one.swap(serving("127.0.0.1:0"))
        assert not accepts(going)
        assert accepts(one.urls[0])
        await ended(one, made)

    run(main())


def test_an_address_that_cannot_be_had_prepares_nothing(made):
    async def main():
        one = fronted()
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            with pytest.raises(StartError, match="cannot listen"):
                await one.prepare(serving(f"127.0.0.1:{other.getsockname()[1]}"))
        assert len(made) == 1
        one.drop()
        assert accepts(one.urls[0])
        await ended(one, made)

    run(main())


def test_gateways_that_take_no_table_can_be_dropped(made):
    async def main():
        one = fronted()
        await one.push(table(1))
        FakeGateways.refusing = True
        with pytest.raises(StartError):
            await one.prepare(serving(gateways=2))
        one.drop()
        FakeGateways.refusing = False
        await asyncio.sleep(0)
        assert made[1].did == ["start", ("stop", 1.0)], "clients may have come"
        await one.push(table(2))
        assert made[0].did == ["start", 1, 2]
        await ended(one, made)

    run(main())


def test_the_end_waits_for_those_that_leave_and_drops_what_is_prepared(made):
    async def main():
        one = fronted()
        await one.prepare(serving(gateways=2))
        one.swap(serving(gateways=2))
        await one.prepare(serving(gateways=3))
        assert await ended(one, made) == 3
        assert [gateways.did[-1] for gateways in made] == [("stop", 1.0), ("stop", 0.5), ("stop", 1.0)]

    run(main())


def test_nothing_is_prepared_once_the_end_has_begun(made, tmp_path):
    async def main():
        one = fronted()
        one.close()
        with pytest.raises(StartError, match="stops"):
            await one.prepare(serving("127.0.0.1:0", f"unix:{tmp_path / 's'}", gateways=3))
        assert len(made) == 1
        assert not (tmp_path / "s").exists()
        await ended(one, made)

    run(main())


def test_a_worker_that_gateways_try_when_others_take_their_place_is_tried_by_those(made):
    async def main():
        one = fronted()
        tried = replace(table(1), apis=(api("a", "s"),))
        rehearsal = asyncio.create_task(one.rehearse(tried))
        await until(lambda: made[0].tried)
        await one.prepare(serving(gateways=2))
        one.swap(serving(gateways=2))
        made[1].fails = "no"
        made[0].told.set()
        assert await rehearsal == "a, example 'e': no"
        await ended(one, made)

    run(main())


def test_gateways_that_are_told_to_stop_try_nobody():
    async def main():
        limits = ServerLimits(0, 1, 1.0, 1.0, 1.0, "text", "", "/files/1")
        gateways = Gateways(1, limits, [], None, Events(), lambda _: None)
        trying = asyncio.create_task(gateways.rehearse(table(1), 20.0))
        await gateways.stop(0.0)
        assert await trying is None

    run(main())


def test_new_time_outs_change_no_folder():
    """What a killed gateway left there is removed by its successor."""
    limits = ServerLimits(0, 2, 1.0, 1.0, 1.0, "text", "/log-{index}", "/files/1")
    gateways = Gateways(2, limits, [], None, Events(), lambda _: None)
    gateways.limit(replace(limits, files="/files/2", keep_alive_s=9.0))
    found = [gateway._limits for gateway in gateways._gateways]
    assert [(one.index, one.files, one.keep_alive_s, one.access_file) for one in found] == [
        (0, "/files/1", 9.0, "/log-0"),
        (1, "/files/1", 9.0, "/log-1"),
    ]
