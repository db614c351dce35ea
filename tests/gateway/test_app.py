"""The application: what a request is for, and that it is answered whatever happens."""

from __future__ import annotations

import asyncio
import json

import pytest

from bentod.gateway import app as app_module
from bentod.gateway.app import App
from bentod.gateway.counts import Counts
from bentod.gateway.routes import Routes, operation, pages
from tests.support.asgi import LIMITS, Client, api, serving, table
from tests.support.links import FakeWorkers, service, worker
from tests.support.loops import run, turns, until

PAGES = ["/livez", "/healthz", "/readyz", "/openapi.json", "/docs", "/"]


@pytest.mark.parametrize("path", PAGES)
def test_pages_are_for_get_and_head_and_are_no_calls(path):
    async def main():
        async with serving() as bench:
            for method in ("GET", "HEAD"):
                response = await bench.get(path, method)
                assert response.status == 200
                assert response.headers["cache-control"] == "no-cache"
            refused = await bench.get(path, "POST")
            assert (refused.code, refused.headers["allow"]) == ("method-not-allowed", "GET, HEAD")
            assert bench.counts() == {}
            assert bench.asked == []

    run(main())


@pytest.mark.parametrize("path", ["/nobody", "/f/", "//f", "/F", "", "/docs/", "/v1/f", "/\u20ac"])
def test_what_is_not_there_is_not_found_whatever_the_method(path):
    async def main():
        async with serving() as bench:
            for method in ("GET", "POST", "BREW"):
                assert (await bench.get(path, method)).code == "not-found"

    run(main())


def test_prefix_and_docs():
    async def main():
        one = api(path="/v1/f")
        async with serving(one, path_prefix="/v1", docs=False) as bench:
            assert (await bench.send(5, path="/v1/f")).json == 5
            assert (await bench.send(5, path="/f")).status == 404
            assert (await bench.get("/v1/docs")).status == 404
            assert (await bench.get("/docs")).status == 404
            assert (await bench.get("/v1")).json["apis"] == {"f": "/v1/f"}
            for path in ("/livez", "/v1/livez", "/readyz", "/v1/readyz"):
                assert (await bench.get(path)).status == 200

    run(main())


def test_before_the_first_table_only_life_is_shown():
    async def main():
        app = App(LIMITS, None)
        client = Client("/f", [b"1"], "GET", [])
        await app(client.scope, client.receive, client.send)
        assert client.response is not None
        assert client.response.status == 200

    run(main())


def test_health_answers_while_every_slot_is_taken():
    async def main():
        async with serving(api(queue=1), answer=None, threads=1) as bench:
            calls = [asyncio.create_task(bench.send(number)) for number in range(2)]
            await turns()
            for path in PAGES:
                assert (await bench.get(path)).status == 200
            assert not any(call.done() for call in calls)
            for call in calls:
                call.cancel()
            await asyncio.gather(*calls)

    run(main())


def test_a_draining_gateway_refuses_calls_and_finishes_those_it_has():
    async def main():
        async with serving(answer=None) as bench:
            running = asyncio.create_task(bench.send(1))
            await until(lambda: bench.asked)
            bench.app.draining = True
            assert bench.app.running == 1
            refused = await bench.send(2)
            assert (refused.code, refused.headers["connection"]) == ("draining", "close")
            assert (await bench.get("/livez")).status == 200
            bench.workers[1].answer(bench.asked[0][1], "done")
            assert (await running).json == "done"

    run(main())


def test_a_call_that_is_cut_off_is_told_so_and_its_worker_too():
    async def main():
        async with serving(answer=None) as bench:
            running = asyncio.create_task(bench.send(1))
            await until(lambda: bench.asked)
            running.cancel()
            response = await running
            assert (response.code, response.headers["connection"]) == ("draining", "close")
            assert len(bench.workers[1].cancels) == 1
            assert bench.counts() == {"draining": 1}

    run(main())


def test_our_own_bug_is_counted_and_logged_as_a_failure_and_hidden_from_the_client(capsys):
    async def main():
        async with serving(answer=lambda _: [0, 0.25, 1]) as bench:

            async def broken():
                raise ZeroDivisionError

            client = Client("/f", [b"1"], "POST", [])
            client.receive = broken  # type: ignore[method-assign]
            await bench.app(client.scope, client.receive, client.send)
            assert client.messages[0]["status"] == 500
            assert json.loads(client.messages[1]["body"])["code"] == "internal"
            assert b"ZeroDivision" not in client.messages[1]["body"]
            assert bench.counts() == {"internal": 1}
            assert [exchange.status for exchange, _ in bench.logged] == [500]
        assert "Traceback" in capsys.readouterr().err

    run(main())


@pytest.mark.parametrize("kind", ["websocket", "lifespan"])
def test_only_http_is_spoken(kind):
    async def main():
        with pytest.raises(RuntimeError, match=kind):
            await App(LIMITS, None)({"type": kind}, None, None)  # type: ignore[arg-type]

    run(main())


def test_a_request_ends_with_the_table_that_it_began_with():
    async def main():
        async with serving(answer=None) as bench:
            running = asyncio.create_task(bench.send(1))
            await until(lambda: bench.asked)
            workers = FakeWorkers(lambda entry: [0, entry[1], 0.1, "new"])
            dispatcher = workers.dispatcher()
            route = service(worker(2))
            await dispatcher.update(route)
            new = table(api("g"), services=[route])
            operations = {"/g": operation(new.apis[0], {}, (), dispatcher, Counts())}
            bench.app.use(Routes(new, operations, pages(new)), {"s": dispatcher})
            assert (await bench.send(2)).status == 404
            assert (await bench.send(2, path="/g")).json == "new"
            bench.workers[1].answer(bench.asked[0][1], "old")
            assert (await running).json == "old"

    run(main())


@pytest.mark.parametrize(("error", "code"), [(asyncio.CancelledError(), "draining"), (ZeroDivisionError(), "internal")])
def test_an_answer_that_breaks_off_is_counted_as_what_broke_it(error, code, monkeypatch, capsys):
    async def broken(operation, exchange, limits):
        exchange.code = "ok"
        await exchange.begin(200, b"a/b")
        raise error

    monkeypatch.setattr(app_module, "infer", broken)

    async def main():
        async with serving() as bench:
            client = Client("/f", [b"1"], "POST", [])
            with pytest.raises((asyncio.CancelledError, RuntimeError)):  # an ASGI server then cuts the answer off
                await bench.app(client.scope, client.receive, client.send)
            assert bench.counts() == {code: 1}

    run(main())
    assert ("Traceback" in capsys.readouterr().err) == (code == "internal")
