"""The clients of the tests themselves: each outcome is kept, at the rate that was asked for, and nothing is hidden."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from tests.support.clients import Load

KINDS = ("keep-alive", "new", "slow", "stream")


class Server:
    """Answers as `mode` says."""

    def __init__(self):
        self.mode, self.peers, self.bodies, self.url = "fine", [], [], ""

    async def answer(self, request):
        body = await request.json()
        self.peers.append(request.transport.get_extra_info("peername"))
        self.bodies.append(body)
        if self.mode == "refuse":
            return web.json_response({"code": "busy"}, status=503)
        if self.mode == "cut before":
            request.transport.abort()
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(request)
        await response.write(b'{"a"')
        if self.mode == "cut within":
            request.transport.abort()
        await response.write(b": 1}")
        return response


@asynccontextmanager
async def serving():
    server = Server()
    app = web.Application()
    app.router.add_post("/x", server.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield server
    finally:
        await runner.cleanup()


def test_every_request_has_an_outcome_with_its_times():
    async def run():
        async with serving() as server, Load(server.url, "/x", {"in": "x" * 100}, rate=100, kinds=KINDS) as load:
            begun = time.monotonic()
            await load.more(40)
        assert len(load.outcomes) == load.asked >= 40
        assert load.failed == []
        assert {outcome.kind for outcome in load.outcomes} == set(KINDS)
        assert all(outcome.status == 200 and outcome.json == {"a": 1} for outcome in load.outcomes)
        assert all(outcome.ended - outcome.begun >= 0.4 for outcome in load.outcomes if outcome.kind == "slow")
        assert all(begun - 1 <= outcome.begun <= outcome.ended <= time.monotonic() for outcome in load.outcomes)
        assert server.bodies == [{"in": "x" * 100}] * load.asked

    asyncio.run(run())


@pytest.mark.parametrize(("kind", "shared"), [("keep-alive", True), ("new", False)])
def test_connections_are_kept_or_not(kind, shared):
    async def run():
        async with serving() as server, Load(server.url, "/x", 1, rate=50, kinds=(kind,)) as load:
            await load.more(20)
        assert (len(set(server.peers)) < len(server.peers)) == shared
        assert not load.failed

    asyncio.run(run())


@pytest.mark.parametrize(
    ("mode", "status", "body"),
    [("refuse", 503, b'{"code": "busy"}'), ("cut before", 0, b""), ("cut within", None, None)],
)
def test_what_goes_wrong_is_kept(mode, status, body):
    async def run():
        async with serving() as server, Load(server.url, "/x", 1, rate=100, kinds=KINDS) as load:
            await load.more(8)
            server.mode = mode
            await load.more(16)
            server.mode = "fine"
            await load.more(8)
        failed = load.failed
        assert len(load.outcomes) == load.asked
        assert {outcome.kind for outcome in failed} == set(KINDS)
        assert all(bool(outcome.error) == (mode != "refuse") for outcome in failed)
        if status is not None:
            assert {(outcome.status, outcome.body) for outcome in failed} == {(status, body)}

    asyncio.run(run())


def test_a_server_that_is_not_there_is_an_outcome():
    async def run():
        async with serving() as server:
            url = server.url
        async with Load(url, "/x", 1, rate=100) as load:
            await load.more(10)
        assert len(load.failed) == load.asked
        assert all("Connect" in outcome.error for outcome in load.failed)

    asyncio.run(run())


def test_the_rate_does_not_depend_on_the_answers():
    async def run():
        async with serving() as server, Load(server.url, "/x", 1, rate=100, kinds=("slow",)) as load:
            begun = time.monotonic()
            await load.more(30)
            seconds = time.monotonic() - begun
        assert load.asked <= 100 * seconds + 20, "no faster"
        assert seconds < 30 * 0.5, "they overlap"

    asyncio.run(run())
