"""Calls that are answered without ASGI: a client cannot tell, whatever it sends and however that is cut."""

from __future__ import annotations

import asyncio
import itertools
import json
from contextlib import asynccontextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bentod.codec.writer import Writer
from bentod.gateway import heads as heads_module
from bentod.gateway import protocol
from bentod.gateway.app import App
from bentod.gateway.heads import Heads
from bentod.gateway.routes import Routes
from tests.support.asgi import api, refuse, serving, with_head
from tests.support.http import request
from tests.support.listening import Reader, listening
from tests.support.loops import LOOPS, run, turns, until

LIST = {"type": "array", "items": {"type": "number"}}
OTHER = {"date", "server-timing", "x-request-id"}
"""Headers that differ from answer to answer."""

REQUESTS = {
    "plain": request("/f", b"[1, 2]"),
    "with an id": request("/f", b"[1, 2]", headers={"x-request-id": "mine"}),
    "with an id that cannot be": request("/f", b"[1, 2]", headers={"x-request-id": "x" * 200}),
    "empty": request("/f", b""),
    "not JSON": request("/f", b"[1, 2"),
    "invalid": request("/f", b'["x"]'),
    "with a priority": request("/f", b"[1]", headers={"x-priority": "9"}),
    "a query": request("/f?x=1", b"[1]"),
    "another path": request("/g", b"[1]"),
    "an escaped path": request("/%66", b"[1]"),
    "another method": request("/f", b"[1]", method="PUT"),
    "MessagePack": request("/f", b"\x91\x01", headers={"content-type": "application/msgpack"}),
    "for MessagePack": request("/f", b"[1]", headers={"accept": "application/msgpack"}),
    "for nothing there is": request("/f", b"[1]", headers={"accept": "image/png"}),
    "of an unknown type": request("/f", b"[1]", headers={"content-type": "image/png"}),
    "compressed": request("/f", b"[1]", headers={"content-encoding": "gzip"}),
    "too large": request("/f", b"[" + b" " * 200 + b"]"),
    "a header twice": request("/f", b"[1]").replace(b"\r\n\r\n", b"\r\naccept: */*\r\naccept: text/html\r\n\r\n", 1),
    "an upgrade": request("/f", b"[1]", headers={"connection": "upgrade", "upgrade": "h2c"}),
    "the last": request("/f", b"[1]", headers={"connection": "close"}),
    "HTTP/1.0": request("/f", b"[1]").replace(b"HTTP/1.1", b"HTTP/1.0"),
    "announced": request("/f", b"[1]", headers={"expect": "100-continue"}),
    "no HTTP": b"POST /f HTTP/1.1\r\nno header\r\n\r\n",
}


@pytest.fixture(params=list(LOOPS))
def loop(request):
    return request.param


@asynccontextmanager
async def connected(one=None, **changed):
    """A client on a real connection to an API."""
    async with (
        serving(one or api(input=LIST, output=LIST, max_body=100), **changed) as bench,
        listening(bench.app) as port,
        Reader(port) as reader,
    ):
        yield bench, reader


async def answered(reader):
    """The next answer: status, headers, body; None if the connection has ended."""
    try:
        status, headers = await reader.head()
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    body = await reader.body(headers) if "content-length" in headers else b""
    return status, headers, body


def comparable(answer):
    """What does not differ from one answer to the next."""
    if answer is None:
        return None
    status, headers, body = answer
    if headers.get("content-type") == "application/problem+json":
        body = {name: value for name, value in json.loads(body).items() if name != "request_id"}
    else:
        assert ("x-request-id" in headers) == (status != 100)
    lasting = {name: value for name, value in headers.items() if name not in OTHER - {"content-length"}}
    lasting.pop("content-length", None)
    return status, list(lasting.items()), body, sorted(headers)


async def exchanged(data, *, direct, times=3, **changed):
    """The answers to the same request again and again, what was logged, what was counted."""
    async with connected(**changed) as (bench, reader):
        if not direct:
            bench.app.plain = lambda target: None
        answers = []
        for _ in range(times):
            await reader.send(data)
            answers.append(comparable(await answered(reader)))
            if answers[-1] is None:
                break
        await turns()
        logged = [
            (one.method, one.path, one.status, one.code, one.log, one.bytes_in, one.bytes_out, one.queue_s >= 0, name)
            for one, name in bench.logged
        ]
        return answers, logged, bench.counts()


@pytest.mark.parametrize("name", REQUESTS)
def test_a_client_cannot_tell(name):
    async def main():
        found = await exchanged(REQUESTS[name], direct=True)
        assert found == await exchanged(REQUESTS[name], direct=False)

    run(main())


ANSWERS = {
    "a failure": refuse(),
    "an expected failure": refuse(classes=("errors:Known",)),
    "a broken failure": refuse("output-unserializable"),
    "a status and headers": with_head(201, {"x-mine": "1"}),
    "headers alone": with_head(None, {"x-mine": "1"}),
    "a status alone": with_head(202, {}),
    "a status that cannot be": with_head(99, {}),
    "a value that is invalid": lambda _: [0, 0.25, "text"],
    "a value that JSON cannot hold": lambda _: [0, 0.25, [float("nan")]],
    "much": lambda _: [0, 0.25, [0.5] * 50_000],
}


@pytest.mark.parametrize("name", ANSWERS)
def test_nor_by_what_the_callable_does(name):
    async def main():
        given = {"one": api(input=LIST, output=LIST, errors={"errors:Known": 418}), "answer": ANSWERS[name]}
        found = await exchanged(request("/f", b"[1]"), direct=True, **given)
        assert found == await exchanged(request("/f", b"[1]"), direct=False, **given)

    run(main())


def test_what_is_plain_needs_no_asgi_and_its_head_no_parser_but_once(loop, monkeypatch):
    async def main():
        async with connected() as (bench, reader):
            parsed = []
            fitting = Heads.fitting
            monkeypatch.setattr(Heads, "fitting", lambda *given: parsed.append(given) or fitting(*given))
            bench.app._answer = None  # what ASGI would come to
            for number in range(5):
                await reader.send(request("/f", b"[%d]" % number))
                assert (await answered(reader))[2] == b"[%d]" % number
            assert len(parsed) == 1
            assert bench.counts() == {"ok": 5}
            assert len({exchange.request_id for exchange, _ in bench.logged}) == 5

    run(main(), loop)


@pytest.mark.parametrize("cut", ["after the head", "in the body"])
def test_nor_does_a_body_that_comes_right_after_its_head(loop, cut, monkeypatch):
    monkeypatch.setattr(protocol, "_AT_ONCE_S", 20.0)

    async def main():
        async with connected() as (bench, reader):
            bench.app._answer = None
            data = request("/f", b"[1, 2]")
            at = data.index(b"\r\n\r\n") + (4 if cut == "after the head" else 6)
            for _ in range(3):
                await reader.send(data[:at])
                await turns()
                await reader.send(data[at:])
                assert (await answered(reader))[2] == b"[1,2]"

    run(main(), loop)


def test_a_body_that_comes_late_goes_the_ordinary_way(loop):
    async def main():
        async with connected() as (bench, reader):
            await reader.send(request("/f", b"[1, 2]")[:-3])
            await until(lambda: bench.app.running == 1)
            await reader.send(b" 2]")
            assert (await answered(reader))[2] == b"[1,2]"
            await reader.send(request("/f", b"[3]"))
            assert (await answered(reader))[2] == b"[3]"

    run(main(), loop)


def test_a_client_that_leaves_between_head_and_body_is_no_call(loop):
    async def main():
        async with connected() as (bench, reader):
            await reader.send(request("/f", b"[1, 2]")[:-3])
            await turns()
            reader.writer.close()
            await until(lambda: bench.counts() == {"client-gone": 1})
            assert bench.asked == []

    run(main(), loop)


@settings(max_examples=40, deadline=None)
@given(
    bodies=st.lists(st.binary(min_size=1, max_size=6) | st.sampled_from([b"[1]", b"[2, 3]"]), min_size=1, max_size=8),
    cuts=st.lists(st.integers(0, 2000), max_size=12),
)
def test_requests_may_be_cut_and_joined_anywhere(bodies, cuts):
    """Answers come in order, each to its own request."""
    data = b"".join(request("/f", body) for body in bodies)
    places = sorted({cut % len(data) for cut in cuts} | {0, len(data)})

    async def main(direct):
        async with connected() as (bench, reader):
            if not direct:
                bench.app.plain = lambda target: None
            for start, end in itertools.pairwise(places):
                await reader.send(data[start:end])
                await turns(3)
            return [comparable(await answered(reader)) for _ in bodies]

    assert run(main(direct=True)) == run(main(direct=False))


def test_those_behind_wait_for_their_turn(loop):
    async def main():
        async with connected(answer=None) as (bench, reader):
            await reader.send(b"".join(request("/f", b"[%d]" % number) for number in range(4)))
            for number in range(4):
                await until(lambda: len(bench.asked) == number + 1)  # noqa: B023 - it is over when the loop goes on
                bench.workers[1].answer(bench.asked[-1][1], [number])
                assert (await answered(reader))[2] == b"[%d]" % number

    run(main(), loop)


def test_a_client_that_leaves_gives_its_call_up(loop):
    async def main():
        async with connected(answer=None) as (bench, reader):
            await reader.send(request("/f", b"[1]"))
            await until(lambda: bench.asked)
            reader.writer.close()
            await until(lambda: bench.workers[1].cancels)
            assert bench.counts() == {"client-gone": 1}
            assert [exchange.code for exchange, _ in bench.logged] == ["client-gone"]
            bench.workers[1].answer(bench.workers[1].calls[0], [1])

    run(main(), loop)


def test_a_deadline_ends_the_call(loop):
    async def main():
        async with connected(api(input=LIST, timeout_s=0.05), answer=None) as (bench, reader):
            for _ in range(2):
                await reader.send(request("/f", b"[1]"))
                status, _, body = await answered(reader)
                assert (status, json.loads(body)["code"]) == (504, "deadline-exceeded")
            assert bench.counts() == {"deadline-exceeded": 2}
            for call in bench.workers[1].calls:
                bench.workers[1].answer(call, [1])

    run(main(), loop)


def test_an_error_of_ours_ends_one_call(loop, monkeypatch, capsys):
    async def main():
        async with connected() as (bench, reader):
            with monkeypatch.context() as broken:
                broken.setattr(Writer, "json", lambda *_: 1 / 0)
                await reader.send(request("/f", b"[1]"))
                status, _, body = await answered(reader)
                assert (status, json.loads(body)["code"]) == (500, "internal")
            await reader.send(request("/f", b"[1]"))
            assert (await answered(reader))[0] == 200
            assert bench.counts() == {"internal": 1, "ok": 1}

    run(main(), loop)
    assert "ZeroDivisionError" in capsys.readouterr().err


async def asked(bench, port):
    """A client whose call runs."""
    reader = await Reader(port).__aenter__()
    await reader.send(request("/f", b"[1]"))
    await until(lambda: bench.asked)
    return reader


def test_the_end_waits_for_what_has_begun(loop):
    async def main():
        async with serving(api(input=LIST), answer=None) as bench:
            async with listening(bench.app) as port:
                reader = await asked(bench, port)
                asyncio.get_running_loop().call_later(0.05, bench.workers[1].answer, bench.asked[0][1], [1])
            status, headers, body = await answered(reader)
            assert (status, headers["connection"], body) == (200, "close", b"[1]")
            assert await reader.ended()
            reader.writer.close()

    run(main(), loop)


def test_what_is_not_done_in_time_is_cut_off(loop):
    async def main():
        async with serving(api(input=LIST), answer=None) as bench:
            async with listening(bench.app, drain_timeout_s=0.05) as port:
                reader = await asked(bench, port)
            status, headers, body = await answered(reader)
            reader.writer.close()
            assert (status, headers["connection"], json.loads(body)["code"]) == (503, "close", "draining")
            assert bench.counts() == {"draining": 1}
            assert bench.workers[1].cancels

    run(main(), loop)


def test_a_head_is_of_the_routes_that_it_was_seen_with(loop):
    async def main():
        async with connected() as (bench, reader):
            for _ in range(2):
                await reader.send(request("/f", b"[1]"))
                assert (await answered(reader))[0] == 200
            bench.app.use(Routes(bench.table, {}, {}), {})
            await reader.send(request("/f", b"[1]"))
            assert (await answered(reader))[0] == 404

    run(main(), loop)


def test_a_body_that_follows_its_head_is_for_the_routes_of_its_own_time(loop, monkeypatch):
    heads = []
    fitting = Heads.fitting
    monkeypatch.setattr(protocol, "_AT_ONCE_S", 60.0)
    monkeypatch.setattr(Heads, "fitting", lambda *given: heads.append(given) or fitting(*given))

    async def main():
        async with connected() as (bench, reader):
            await reader.send(request("/f", b"[1]")[:-1])
            await until(lambda: heads)
            bench.app.use(Routes(bench.table, {}, {}), {})
            await reader.send(b"]")
            assert (await answered(reader))[0] == 404
            assert bench.asked == []

    run(main(), loop)


def test_a_head_that_came_in_parts_is_none_that_others_are_told_by(loop):
    """What a client sends of one request may look like a whole other one."""
    victim = request("/g", b"[1]", headers={"content-type": "application/json"})

    async def main():
        async with connected() as (bench, evil):
            await evil.send(request("/f", b"[1]") + b"POST /f HTTP/1.1\r\nhost: h\r\nx-a: ")
            assert (await answered(evil))[0] == 200
            await evil.send(victim)
            await turns(20)
            assert bench.app.plain(b"/f") is not None
            await evil.send(b"\r\n\r\n")
            async with Reader(evil.port) as other:
                await other.send(victim)
                assert (await answered(other))[0] == 404

    run(main(), loop)


def test_heads_are_remembered_within_bounds(monkeypatch):
    async def main():
        async with serving(api(input=LIST)) as bench:
            heads = Heads(bench.app)
            data = request("/f", b"[1]")
            fields = [(b"content-type", b"application/json"), (b"content-length", b"3")]
            found = heads.fitting(b"/f", fields)
            heads.remember(b"\r\n" + data, found, b"[1]")
            heads.remember(request("/f", b"[1]", headers={"x": "y" * 3000}), found, b"[1]")
            heads.remember(data + b"x", found, b"[1]")
            assert not heads._seen
            monkeypatch.setattr(heads_module, "_MOST", 10)
            for number in range(100):
                one = request("/f", b"[1]", headers={"x": str(number)})
                heads.remember(one, found, b"[1]")
                assert heads.seen(one) is found
                assert heads.seen(one + b"x") is None
                assert heads.seen(one[:-1]) is None
                assert len(heads._seen) <= 10

    run(main())


def test_nothing_begins_while_the_server_ends():
    async def main():
        async with serving(api(input=LIST)) as bench:
            assert isinstance(bench.app, App)
            assert bench.app.plain(b"/f") is not None
            bench.app.draining = True
            assert bench.app.plain(b"/f") is None
            bench.app.draining = False

    run(main())
