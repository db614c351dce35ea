"""Tables applied over real sockets: to workers, back, and counted."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

import pytest

from bentod.gateway.app import App
from bentod.gateway.gateway import Gateway
from bentod.wire.messages import Unusable, WorkerRoute
from tests.support.asgi import LIMITS, Client, api, method, table
from tests.support.gateways import Serving
from tests.support.gateways import serving as working
from tests.support.links import service
from tests.support.loops import LOOPS, run, until


@asynccontextmanager
async def worker(*functions):
    """A worker in a thread; it is stopped in a thread, too, so that the loop can hang up on it."""
    made = working(*functions)
    found = await asyncio.to_thread(made.__enter__)
    try:
        yield found
    finally:
        await asyncio.to_thread(made.__exit__, None, None, None)


def route_to(pid: int, found: Serving) -> WorkerRoute:
    return WorkerRoute(index=pid, pid=pid, socket=found.path, threads=1, concurrency=1)


async def post(app: App, path: str, body: bytes):
    client = Client(path, [body], "POST", [])
    await app(client.scope, client.receive, client.send)
    assert client.response is not None
    return client.response


@pytest.fixture(params=list(LOOPS))
def loop(request):
    return request.param


def test_calls_go_to_workers_and_tables_change_under_them(loop):
    async def main():
        told: list = []
        app = App(LIMITS, None)
        gateway = Gateway(app, told.append)
        async with AsyncExitStack() as stack:
            one = await stack.enter_async_context(worker(lambda x: ["one", x]))
            two = await stack.enter_async_context(worker(lambda x: ["two", x]))
            methods = (method("f", "x"),)
            first = table(api(), services=[service(route_to(1, one), methods=methods)])
            await gateway.apply(first)
            assert (await post(app, "/f", b"5")).json == ["one", 5]
            assert gateway.stats(7, 3).workers == {"1": 1}
            second = replace(first, number=2, services=(service(route_to(2, two), methods=methods),))
            await gateway.apply(second)
            assert gateway.table == second
            assert (await post(app, "/f", b"6")).json == ["two", 6]
            assert (await post(app, "/f", b"[")).code == "malformed-body"
            stats = gateway.stats(8, 3)
            assert (stats.number, stats.connections, stats.workers) == (8, 3, {"1": 1, "2": 1})
            (counted,) = stats.apis
            assert counted.codes == {"ok": 2, "malformed-body": 1}
            assert (counted.waiting, counted.running) == (0, 0)
            await gateway.apply(replace(second, number=3, apis=(), services=(service(admit=False),)))
            assert (await post(app, "/f", b"5")).status == 404
        assert told == []

    run(main(), loop)


def test_a_worker_that_breaks_off_is_reported(loop):
    async def main():
        told: list = []
        gateway = Gateway(App(LIMITS, None), told.append)

        async def rude(reader, writer):
            writer.close()

        async with worker(lambda x: x) as found:
            path = found.path + "2"
            server = await asyncio.start_unix_server(rude, path)
            await gateway.apply(table(api(), services=[service(WorkerRoute(0, 77, path, 1, 1))]))
            await until(lambda: told)
            server.close()
            assert isinstance(told[0], Unusable)
            assert (told[0].service, told[0].pid) == ("s", 77)

    run(main(), loop)


def test_an_api_is_compiled_anew_only_when_it_changed():
    async def main():
        app = App(LIMITS, None)
        gateway = Gateway(app, lambda _: None)
        first = table(api(queue=5), api("g", path="/g"), services=[service(admit=True)])
        await gateway.apply(first)
        before = app._routes.operations
        await gateway.apply(replace(first, number=2, apis=(api(queue=6), first.apis[1])))
        after = app._routes.operations
        assert after["/g"] is before["/g"]
        assert after["/f"] is not before["/f"]
        assert after["/f"].counts is before["/f"].counts
        assert after["/f"].counts.queue.limits.waiting == 6

    run(main())
