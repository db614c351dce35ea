"""Answers that come chunk by chunk: their forms, their ends, and clients that read slowly or not at all."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest

from bentod.gateway import stream as stream_module
from bentod.iotypes.parts import Blob, Tensor
from bentod.wire.entries import CHUNK, CHUNK_WITH, DONE, RAISED
from tests.support.asgi import Client, api, serving
from tests.support.http import request
from tests.support.links import SLOW_S
from tests.support.listening import Reader, listening
from tests.support.loops import LOOPS, run, turns, until

FORMS = ("sse", "ndjson", "raw")
END = b"event: end\ndata: null\n\n"
BINARY = {"type": "string", "format": "binary", "contentMediaType": "audio/wav"}


@pytest.fixture(params=FORMS)
def form(request):
    return request.param


class Asked:
    """One request to the API `f`, and the worker that answers it."""

    def __init__(self, bench, headers=()):
        self.bench = bench
        self.client = Client("/f", [b"1"], "POST", list(headers))
        self.task = asyncio.create_task(bench.app(self.client.scope, self.client.receive, self.client.send))

    async def begun(self):
        await until(lambda: self.bench.workers[1].calls)
        return self

    @property
    def worker(self):
        return self.bench.workers[1]

    @property
    def call(self):
        return self.worker.calls[-1]

    async def chunk(self, *values):
        self.worker.chunk(self.call, *values)
        await turns()

    async def response(self):
        await self.task
        return self.client.response

    async def end(self):
        self.worker.answer(self.call)
        return await self.response()


@asynccontextmanager
async def asked(form, headers=(), **changed):
    """A request that has reached the worker."""
    serve = {key: changed.pop(key) for key in ("files",) if key in changed}
    async with serving(api(stream=form, **changed), answer=None, **serve) as bench:
        one = await Asked(bench, headers).begun()
        yield one
        if not one.task.done():
            one.task.cancel()
            await asyncio.gather(one.task, return_exceptions=True)


def problem(data):
    found = json.loads(data)
    assert found["type"] == f"https://bentod.dev/problems/{found['code']}"
    return found


# ── forms ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("form", "output", "values", "media_type", "body"),
    [
        ("sse", True, ["a\nb", {"x": [1]}], "text/event-stream", b'data: "a\\nb"\n\ndata: {"x":[1]}\n\n' + END),
        ("ndjson", True, ["a\nb", 1, None], "application/x-ndjson", b'"a\\nb"\n1\nnull\n'),
        ("raw", {"type": "string"}, ["a\n", "", "\u00e9"], "text/plain; charset=utf-8", "a\n\u00e9".encode()),
        ("raw", BINARY, [b"\0\xff", Blob(b"x" * 5000)], "audio/wav", b"\0\xff" + b"x" * 5000),
        ("ndjson", {"type": "string", "format": "binary"}, [b"ab"], "application/x-ndjson", b'"YWI="\n'),
    ],
)
def test_the_forms_of_a_stream(form, output, values, media_type, body):
    async def main():
        async with serving(api(stream=form, output=output), answer=None) as bench:
            one = await Asked(bench).begun()
            packed = [value.data if isinstance(value, Blob) else value for value in values]
            await one.chunk(packed[0])
            await one.chunk(*packed[1:])
            response = await one.end()
            assert (response.status, response.headers["content-type"]) == (200, media_type)
            assert (response.body, response.complete) == (body, True)
            assert response.headers["cache-control"] == "no-store"
            assert "content-length" not in response.headers
            assert "ttfc;dur=" in response.headers["server-timing"]
            ((exchange, name),) = bench.logged
            assert (exchange.status, exchange.code, name, exchange.bytes_out) == (200, "ok", "f", len(body))
            assert exchange.first_s > 0
            assert bench.counts() == {"ok": 1}

    run(main())


def test_parts_in_a_chunk_are_checked_and_have_their_json_form():
    output = {"type": "array", "format": "tensor", "dtype": "float32", "shape": [-1]}

    async def main():
        async with asked("ndjson", output=output) as one:
            one.worker.tell([CHUNK, one.call, 0.1, Tensor("float32", (2,), b"\0" * 8)])
            await turns()
            one.worker.tell([CHUNK, one.call, 0.1, Tensor("float32", (1, 2), b"\0" * 8)])
            response = await one.response()
            first, last = response.body.splitlines()
            assert json.loads(first) == [0.0, 0.0]
            assert problem(json.dumps(json.loads(last)["error"]))["code"] == "output-invalid"

    run(main())


@pytest.mark.parametrize(("form", "body"), [("sse", END), ("ndjson", b""), ("raw", b"")])
def test_an_empty_stream_is_an_answer(form, body):
    async def main():
        async with asked(form) as one:
            response = await one.end()
            assert (response.status, response.body, response.complete) == (200, body, True)
            assert one.bench.counts() == {"ok": 1}

    run(main())


def test_chunks_that_wait_together_are_sent_together():
    async def main():
        async with asked("ndjson") as one:
            await one.chunk(1)
            await one.chunk(*range(2, 20))
            response = await one.end()
            assert response.pieces == [b"1\n", b"".join(b"%d\n" % number for number in range(2, 20))]

    run(main())


@pytest.mark.parametrize(
    ("form", "accept", "status"),
    [
        ("sse", "text/event-stream", 200),
        ("sse", "*/*", 200),
        ("sse", "text/*;q=0.1", 200),
        ("sse", "application/json", 406),
        ("sse", "text/event-stream;q=0", 406),
        ("ndjson", "application/x-ndjson", 200),
        ("ndjson", "text/event-stream", 406),
        ("raw", "text/plain", 200),
        ("raw", "text/plain;charset=utf-8", 200),
        ("raw", "text/html", 406),
    ],
)
def test_what_a_client_accepts_is_asked_before_the_model(form, accept, status):
    async def main():
        async with serving(api(stream=form), answer=lambda _: [DONE, 0.1, None]) as bench:
            response = await bench.send(1, headers={"Accept": accept})
            assert response.status == status
            assert len(bench.asked) == (status == 200)
            if status == 406:
                assert response.code == "not-acceptable"

    run(main())


def test_status_and_headers_are_those_of_the_first_chunk():
    async def main():
        async with asked("ndjson") as one:
            one.worker.tell([CHUNK_WITH, one.call, 0.1, 1, 201, {"X-A": "b"}])
            await turns()
            one.worker.tell([CHUNK_WITH, one.call, 0.1, 2, 404, {"x-b": "c"}])
            response = await one.end()
            assert (response.status, response.headers["x-a"], response.body) == (201, "b", b"1\n2\n")
            assert "x-b" not in response.headers

    run(main())


# ── before the first chunk ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("tell", "status", "code"),
    [
        pytest.param(
            lambda call: [RAISED, call, 0.1, "target-raised", "secret", "log", ["m:E"]],
            500,
            "target-raised",
            id="raised",
        ),
        pytest.param(lambda call: [CHUNK, call, 0.1, {"x": 1}], 500, "output-invalid", id="invalid"),
        pytest.param(lambda call: [CHUNK, call, 0.1, {1: 1}], 500, "output-unserializable", id="no JSON"),
        pytest.param(lambda call: [CHUNK_WITH, call, 0.1, "a", 204, {}], 500, "output-invalid", id="status"),
        pytest.param(lambda call: [CHUNK_WITH, call, 0.1, "a", 200, {"a b": "c"}], 500, "output-invalid", id="header"),
    ],
)
def test_a_failure_before_the_first_chunk_is_a_problem(form, tell, status, code):
    output = True if code == "output-unserializable" else {"type": "string"}
    if form == "raw" and output is True:
        code = "output-invalid"

    async def main():
        async with asked(form, output=output) as one:
            one.worker.tell(tell(one.call))
            response = await one.response()
            assert (response.status, response.code) == (status, code)
            assert b"secret" not in response.body
            assert one.bench.counts() == {code: 1}
            assert one.bench.logged[0][0].log or response.json["detail"]
            if code != "target-raised":
                assert one.worker.cancels == [one.call]
                one.worker.refuse(one.call, "cancelled")

    run(main())


def test_the_apis_errors_count_for_streams(form):
    async def main():
        async with asked(form, errors={"m:E": 422}) as one:
            one.worker.tell([RAISED, one.call, 0.1, "target-raised", "text", "log", ["m:E"]])
            response = await one.response()
            assert (response.status, response.json["detail"]) == (422, "text")

    run(main())


def test_a_first_chunk_that_is_too_late(form):
    async def main():
        async with asked(form, timeout_s=0.2) as one:
            response = await one.response()
            assert (response.status, response.code) == (504, "deadline-exceeded")
            assert one.worker.cancels == [one.call]

    run(main())


# ── after the first chunk ────────────────────────────────────────────────────────────────────────


def last_words(form, body, before):
    """The problem at the end of a stream."""
    assert body.startswith(before)
    rest = body.removeprefix(before)
    if form == "sse":
        assert rest.startswith(b"event: error\ndata: ")
        assert rest.endswith(b"\n\n")
        assert END not in body
        return problem(rest.split(b"data: ", 1)[1])
    assert rest.endswith(b"}\n")
    assert rest.count(b"\n") == 1
    return problem(json.dumps(json.loads(rest)["error"]))


LATER = {
    "raised": (
        lambda one: one.worker.tell(
            [RAISED, one.call, SLOW_S, "target-raised", "text", "log of it", ["m:E", "builtins:Exception"]]
        ),
        "target-raised",
    ),
    "invalid": (lambda one: one.worker.chunk(one.call, 5), "output-invalid"),
    "unsendable": (lambda one: one.worker.refuse(one.call, "output-unserializable"), "output-unserializable"),
    "worker died": (lambda one: one.worker.die(), "worker-lost"),
    "worker lied": (lambda one: one.worker.tell([CHUNK, one.call]), "worker-lost"),
}


@pytest.mark.parametrize("form", ["sse", "ndjson"])
@pytest.mark.parametrize(("fail", "code"), LATER.values(), ids=LATER.keys())
def test_a_failure_after_the_first_chunk_is_told_at_the_end(form, fail, code):
    async def main():
        async with asked(form, output={"type": "string"}, errors={"m:E": 418}) as one:
            await one.chunk("a")
            fail(one)
            response = await one.response()
            before = b'data: "a"\n\n' if form == "sse" else b'"a"\n'
            found = last_words(form, response.body, before)
            assert (found["code"], response.status, response.complete) == (code, 200, True)
            assert found["request_id"] == response.headers["x-request-id"]
            ((exchange, _),) = one.bench.logged
            assert (exchange.code, exchange.status) == (code, 200)
            assert one.bench.counts() == {code: 1}
            if code == "target-raised":
                assert (found["detail"], exchange.log) == ("text", "log of it")
            assert one.worker.cancels == ([one.call] if code == "output-invalid" else [])
            if code == "output-invalid":
                assert exchange.log
                one.worker.refuse(one.call, "cancelled")

    run(main())


@pytest.mark.parametrize("form", ["sse", "ndjson"])
def test_good_chunks_before_a_bad_one_are_sent_all_the_same(form):
    async def main():
        async with asked(form, output={"type": "string"}) as one:
            await one.chunk("a")
            await one.chunk("b", "c", 5, "d")
            response = await one.response()
            before = b'data: "%b"\n\n' if form == "sse" else b'"%b"\n'
            assert last_words(form, response.body, b"".join(before % one for one in (b"a", b"b", b"c")))
            one.worker.refuse(one.call, "cancelled")

    run(main())


@pytest.mark.parametrize("loop", list(LOOPS))
@pytest.mark.parametrize(("fail", "code"), LATER.values(), ids=LATER.keys())
def test_a_raw_stream_that_fails_is_cut_off(loop, fail, code):
    async def main():
        async with connected("raw", output={"type": "string"}) as (bench, worker, call, reader):
            worker.chunk(call, "a")
            assert (await reader.head())[0] == 200
            assert await reader.chunk() == b"a"
            fail(SimpleNamespace(worker=worker, call=call))
            with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                await reader.chunk()
            await until(bench.counts)
            assert bench.counts() == {code: 1}
            worker.refuse(call, "cancelled")

    run(main(), loop)


# ── idle ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("form", "sign"), [("sse", b":\n\n"), ("ndjson", b""), ("raw", b"")])
def test_an_idle_stream_gives_a_sign_of_life_where_it_can(form, sign, monkeypatch):
    monkeypatch.setattr(stream_module, "_HEARTBEAT_S", 0.01)

    async def main():
        async with asked(form) as one:
            await turns()
            assert one.client.messages == []  # not before the first chunk
            await one.chunk("a")
            if sign:
                await until(lambda: len(one.client.messages) >= 4)
            await one.chunk("b")
            response = await one.end()
            assert (
                all(piece in {sign, b'data: "a"\n\n', b'data: "b"\n\n', END} for piece in response.pieces) or not sign
            )
            assert response.body.replace(sign, b"") in {b'data: "a"\n\ndata: "b"\n\n' + END, b'"a"\n"b"\n', b"ab"}

    run(main())


@pytest.mark.parametrize("form", ["sse", "ndjson"])
@pytest.mark.parametrize("heartbeat_s", [0.03, 15.0])
def test_a_stream_that_falls_silent_is_ended_and_given_up(form, heartbeat_s, monkeypatch):
    monkeypatch.setattr(stream_module, "_HEARTBEAT_S", heartbeat_s)

    async def main():
        async with asked(form, stream_idle_s=0.1) as one:
            await one.chunk("a")
            response = await one.response()
            body = response.body.replace(b":\n\n", b"")
            found = last_words(form, body, b'data: "a"\n\n' if form == "sse" else b'"a"\n')
            assert found["code"] == "deadline-exceeded"
            assert one.worker.cancels == [one.call]
            assert one.bench.counts() == {"deadline-exceeded": 1}
            one.worker.refuse(one.call, "cancelled")

    run(main())


# ── slow readers, and those that leave ───────────────────────────────────────────────────────────


def test_a_worker_is_told_of_every_chunk_that_was_sent():
    async def main():
        async with asked("ndjson") as one:
            for start in range(0, 100, 5):
                await one.chunk(*range(start, start + 5))
            await turns()
            assert {call for call, _ in one.worker.taken} == {one.call}
            assert 100 - 16 < sum(chunks for _, chunks in one.worker.taken) <= 100
            await one.end()

    run(main())


def test_a_worker_is_told_of_large_chunks_at_once():
    async def main():
        async with asked("ndjson") as one:
            for _ in range(3):
                before = sum(chunks for _, chunks in one.worker.taken)
                await one.chunk("x" * 100_000)
                await turns()
                assert sum(chunks for _, chunks in one.worker.taken) == before + 1
            await one.end()

    run(main())


@asynccontextmanager
async def connected(form="ndjson", *, small=False, write_timeout_s=20.0, **changed):
    """A client on a real connection whose call has reached the worker."""
    async with (
        serving(api(stream=form, **changed), answer=None) as bench,
        listening(bench.app, write_timeout_s=write_timeout_s) as port,
        Reader(port, small=small) as reader,
    ):
        await reader.send(request("/f", 1))
        await until(lambda: bench.workers[1].calls)
        yield bench, bench.workers[1], bench.workers[1].calls[0], reader


async def cut_off(reader):
    await reader.head()
    await reader.rest()


def credit(worker):
    return sum(chunks for _, chunks in worker.taken)


@pytest.mark.parametrize("loop", list(LOOPS))
def test_chunks_that_a_slow_reader_did_not_take_are_not_told(loop):
    """The worker stops, and goes on when the client does."""

    async def main():
        async with connected(small=True) as (bench, worker, call, reader):
            sent = 0
            chunk = "x" * 200_000
            while sent - credit(worker) < 32 and sent < 1000:  # as a worker would
                worker.chunk(call, chunk)
                sent += 1
                await turns(20)
            assert sent < 1000
            assert credit(worker) < sent
            assert (await reader.head())[0] == 200
            body = b""
            while len(body) < (sent - 1) * len(chunk):
                body += await reader.chunk()
            await until(lambda: sent - credit(worker) < 32)
            worker.answer(call)
            assert len(body + await reader.rest()) == sent * (len(chunk) + 3)
            await until(bench.counts)
            assert bench.counts() == {"ok": 1}
            assert worker.cancels == []

    run(main(), loop)


@pytest.mark.parametrize("loop", list(LOOPS))
def test_a_reader_that_takes_nothing_is_cut_off(loop):
    async def main():
        async with connected(small=True, write_timeout_s=0.2) as (bench, worker, call, reader):
            worker.chunk(call, *["x" * 200_000] * 200)  # more than a kernel holds
            await until(lambda: worker.cancels)
            worker.refuse(call, "cancelled")
            await until(bench.counts)
            assert bench.counts() == {"client-gone": 1}
            with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                await cut_off(reader)

    run(main(), loop)


@pytest.mark.parametrize("loop", list(LOOPS))
@pytest.mark.parametrize("begun", [True, False])
def test_a_reader_that_leaves_ends_its_call_at_once(form, loop, begun):
    async def main():
        async with connected(form) as (bench, worker, call, reader):
            if begun:
                worker.chunk(call, "a")
                await reader.head()
                await reader.chunk()
            reader.writer.close()
            await until(lambda: worker.cancels)
            assert worker.cancels == [call]
            worker.chunk(call, "too late")
            worker.refuse(call, "cancelled")
            await until(bench.counts)
            assert bench.counts() == {"client-gone": 1}

    run(main(), loop)


def test_a_connection_serves_on_after_a_stream():
    async def main():
        async with connected("sse") as (_, worker, _, reader):
            for number in range(3):
                worker.chunk(worker.calls[-1], number)
                worker.answer(worker.calls[-1])
                assert (await reader.head())[1]["transfer-encoding"] == "chunked"
                assert await reader.rest() == b"data: %d\n\n" % number + END
                if number < 2:
                    await reader.send(request("/f", 1))
                    await until(lambda count=number + 2: len(worker.calls) == count)

    run(main())
