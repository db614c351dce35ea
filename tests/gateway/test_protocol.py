"""The server on a real connection: large bodies, bodies that are too large, and those that a client announces first."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from contextlib import asynccontextmanager

import pytest

from bentod.gateway.answering import Answering
from tests.support.asgi import api, serving
from tests.support.http import chunked, request
from tests.support.listening import Reader, listening
from tests.support.loops import LOOPS, run, until

MIB = 1024 * 1024
BINARY = {"type": "string", "format": "binary"}
FILE = {"type": "string", "format": "file"}
OCTETS = {"content-type": "application/octet-stream"}


@pytest.fixture(params=list(LOOPS))
def loop(request):
    return request.param


@asynccontextmanager
async def connected(tmp_path, input_=True, output=True, **changed):
    """A client on a real connection to an API that answers with its input."""
    async with (
        serving(api(input=input_, output=output, **changed), files=tmp_path) as bench,
        listening(bench.app) as port,
        Reader(port) as reader,
    ):
        yield bench, reader


@pytest.mark.parametrize("how", ["length", "chunked"])
def test_a_json_body_of_several_mib(tmp_path, loop, how):
    value = ["x" * 1000] * 5000

    async def main():
        async with connected(tmp_path) as (_, reader):
            for _ in range(2):
                body = json.dumps(value).encode()
                if how == "length":
                    await reader.send(request("/f", body))
                else:
                    head = request("/f", None, headers={"transfer-encoding": "chunked"})
                    await reader.send(head + chunked(*(body[at : at + 70_000] for at in range(0, len(body), 70_000))))
                status, headers = await reader.head()
                assert (status, json.loads(await reader.body(headers))) == (200, value)

    run(main(), loop)


@pytest.mark.parametrize("size", [0, 1, MIB, MIB + 1, 8 * MIB])
def test_raw_bytes_go_in_and_out(tmp_path, loop, size):
    data = os.urandom(size)

    async def main():
        async with connected(tmp_path, BINARY, BINARY) as (bench, reader):
            await reader.send(request("/f", data, headers=OCTETS))
            status, headers = await reader.head()
            assert (status, headers["content-type"]) == (200, "application/octet-stream")
            assert await reader.body(headers) == data
            await until(bench.counts)
            ((exchange, _),) = bench.logged
            assert (exchange.bytes_in, exchange.bytes_out) == (size, size)

    run(main(), loop)


def test_a_file_of_several_mib_is_read_as_it_arrives(tmp_path, loop):
    data = os.urandom(9 * MIB)

    async def main():
        async with connected(tmp_path, FILE, FILE) as (_, reader):
            half = len(data) // 2
            await reader.send(request("/f", data, headers=OCTETS)[:-half])
            await until(lambda: sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()) > 2 * MIB)
            await reader.send(data[-half:])
            status, headers = await reader.head()
            assert (status, await reader.body(headers)) == (200, data)
            await until(lambda: not any(tmp_path.iterdir()))

    run(main(), loop)


@pytest.mark.parametrize(
    ("input_", "headers"), [(True, {}), (BINARY, OCTETS), (FILE, OCTETS)], ids=["JSON", "binary", "file"]
)
@pytest.mark.parametrize("how", ["announced", "arriving", "arriving in one go"])
def test_a_body_over_the_limit_is_refused_and_the_answer_is_not_lost(tmp_path, loop, input_, headers, how):
    """The rest of it is not read, and the connection ends."""

    async def main():
        async with connected(tmp_path, input_, max_body=MIB) as (bench, reader):
            headers_ = headers or {"content-type": "application/json"}
            if how == "announced":
                await reader.send(request("/f", None, headers={**headers_, "content-length": str(MIB + 1)}))
            else:
                head = request("/f", None, headers={**headers_, "transfer-encoding": "chunked"})
                size = 2 * MIB if how == "arriving in one go" else 100_000
                sending = asyncio.create_task(endlessly(reader, head, chunked(b"x" * size)[:-5]))
            status, found = await reader.head()
            body = json.loads(await reader.body(found))
            assert (status, body["code"], found["connection"]) == (413, "body-too-large", "close")
            assert await reader.ended()
            if how != "announced":
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)
            assert bench.asked == []
            await until(bench.counts)
            assert bench.counts() == {"body-too-large": 1}
            assert bench.logged[0][0].bytes_in <= 6 * MIB
            await until(lambda: not any(tmp_path.iterdir()))

    run(main(), loop)


async def endlessly(reader, head, chunk):
    await reader.send(head)
    while True:
        await reader.send(chunk)


@pytest.mark.parametrize("input_", [True, BINARY, FILE], ids=["JSON", "binary", "file"])
def test_a_client_that_asks_first_is_told_to_go_on(tmp_path, loop, input_):
    async def main():
        async with connected(tmp_path, input_) as (_, reader):
            body = b'"data"' if input_ is True else b"data"
            type_ = "application/json" if input_ is True else "application/octet-stream"
            headers = {"content-type": type_, "content-length": str(len(body)), "expect": "100-continue"}
            await reader.send(request("/f", None, headers=headers))
            assert (await reader.head())[0] == 100
            await reader.send(body)
            status, headers = await reader.head()
            assert status in {200, 500}  # JSON has no bytes
            await reader.body(headers)

    run(main(), loop)


@pytest.mark.parametrize(
    ("changed", "status"),
    [({"content-length": "5000"}, 413), ({"content-type": "text/html"}, 415), ({"accept": "text/html"}, 406)],
)
def test_a_client_that_asks_first_is_refused_before_it_sends(tmp_path, loop, changed, status):
    async def main():
        async with connected(tmp_path, max_body=1000) as (bench, reader):
            headers = {"content-length": "6", "content-type": "application/json", "expect": "100-continue"}
            await reader.send(request("/f", None, headers=headers | changed))
            found, answered = await reader.head()
            assert (found, answered["connection"]) == (status, "close")
            await reader.body(answered)
            assert await reader.ended()
            assert bench.asked == []

    run(main(), loop)


def test_a_client_that_leaves_while_it_sends_a_file_leaves_nothing(tmp_path, loop):
    async def main():
        async with connected(tmp_path, FILE) as (bench, reader):
            await reader.send(request("/f", b"x" * 3 * MIB, headers=OCTETS)[:-1000])
            await until(lambda: any(tmp_path.iterdir()))
            reader.writer.close()
            await until(bench.counts)
            assert bench.counts() == {"client-gone": 1}
            assert bench.asked == []
            await until(lambda: not any(tmp_path.iterdir()))

    run(main(), loop)


@pytest.mark.parametrize("input_", [True, FILE], ids=["JSON", "file"])
def test_a_body_that_comes_too_slowly(tmp_path, loop, input_):
    async def main():
        async with (
            serving(api(input=input_), files=tmp_path, body_timeout_s=0.2) as bench,
            listening(bench.app) as port,
            Reader(port) as reader,
        ):
            type_ = {"content-type": "application/json"} if input_ is True else OCTETS
            await reader.send(request("/f", None, headers={"content-length": "100", **type_}) + b"[1,")
            status, headers = await reader.head()
            assert (status, json.loads(await reader.body(headers))["code"]) == (408, "body-timeout")
            assert headers["connection"] == "close"
            assert await reader.ended()
            await until(lambda: not any(tmp_path.iterdir()))

    run(main(), loop)


@pytest.mark.parametrize("size", [1000, 3 * MIB])
def test_a_client_that_leaves_is_noticed_whatever_it_sent_before(tmp_path, loop, size):
    async def main():
        async with (
            serving(api(input=BINARY), answer=None, files=tmp_path) as bench,
            listening(bench.app) as port,
        ):
            async with Reader(port) as reader:
                await reader.send(request("/f", b"x" * size, headers=OCTETS))
                await until(lambda: bench.workers[1].calls)
            await until(lambda: bench.workers[1].cancels)

    run(main(), loop)


def test_a_client_that_leaves_is_noticed_behind_what_it_sent_ahead(tmp_path, loop):
    async def main():
        async with serving(api(), answer=None, files=tmp_path) as bench, listening(bench.app) as port:
            async with Reader(port) as reader:
                await reader.send(request("/f", 1) + request("/livez", None, "GET"))
                await until(lambda: bench.workers[1].calls)
            await until(lambda: bench.workers[1].cancels)

    run(main(), loop)


def test_an_answer_that_nobody_takes_is_let_go(tmp_path, loop, monkeypatch):
    if loop == "asyncio" and ((3, 12) <= sys.version_info < (3, 12, 9) or (3, 13) <= sys.version_info < (3, 13, 2)):
        pytest.skip("there asyncio pauses nobody who uses writelines (gh-127655); gateways run on uvloop")
    aborted = []
    abort = Answering.abort
    monkeypatch.setattr(Answering, "abort", lambda self: aborted.append(abort(self)))

    async def main():
        async with (
            serving(api(input=BINARY, output=BINARY, max_body=64 * MIB), files=tmp_path) as bench,
            listening(bench.app, write_timeout_s=0.2) as port,
            Reader(port, small=True) as reader,
        ):
            await reader.send(request("/f", b"x" * (16 * MIB), headers=OCTETS))
            await until(bench.counts)
            await until(lambda: aborted)
            _, headers = await reader.head()
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                await reader.body(headers)

    run(main(), loop)


@pytest.mark.parametrize("version", [b"HTTP/2.0", b"HTTP/0.9"])
def test_other_versions_of_http_are_refused(tmp_path, loop, version):
    async def main():
        async with connected(tmp_path) as (_, reader):
            await reader.send(request("/f", 1).replace(b"HTTP/1.1", version))
            status, headers = await reader.head()
            assert status == 400
            assert json.loads(await reader.body(headers))["code"] == "malformed-request"

    run(main(), loop)
