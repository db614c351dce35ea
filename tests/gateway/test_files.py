"""Calls with files: their folders come and go, and answers come from disk whatever their size."""

from __future__ import annotations

import asyncio
import json
import os
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import msgpack
import pytest

from bentod.codec.writer import Body
from bentod.dispatch.call import Answer
from bentod.errors import InvalidOutput
from bentod.gateway import files
from bentod.gateway.exchange import Exchange
from bentod.gateway.files import Tenancy, own_folder
from bentod.iotypes.parts import Stored
from bentod.wire.entries import DONE, DONE_WITH
from tests.support.asgi import Client, api, serving
from tests.support.http import request
from tests.support.links import call
from tests.support.listening import Reader, listening
from tests.support.loops import LOOPS, run, until

FILE = {"type": "string", "format": "file"}
WAV = FILE | {"contentMediaType": "audio/wav"}


@pytest.fixture(params=list(LOOPS))
def loop(request):
    return request.param


# ── whose folder it is ───────────────────────────────────────────────────────────────────────────


def test_a_gateway_clears_up_after_its_predecessors_and_nobody_else(tmp_path):
    for name in ("1-100", "1-200/deep", "11-100", "2-100"):
        (tmp_path / name).mkdir(parents=True)
    own = own_folder(tmp_path, 1)
    assert own == tmp_path / f"1-{os.getpid()}"
    assert own.stat().st_mode & 0o777 == 0o700
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([own.name, "11-100", "2-100"])


def test_nothing_is_made_for_a_call_that_needs_nothing(tmp_path):
    async def main():
        tenancy = Tenancy(tmp_path, "1")
        tenancy.leave()
        await asyncio.sleep(0)
        assert list(tmp_path.iterdir()) == []

    run(main())


@pytest.mark.parametrize("made_by", ["client", "callable"])
def test_the_folder_of_a_call_that_was_not_admitted_goes_at_once(tmp_path, made_by):
    async def main():
        tenancy = Tenancy(tmp_path, "1")
        if made_by == "client":
            tenancy.new("a.txt").write_text("x")
        else:
            tenancy.path.mkdir()
            (tenancy.path / "b").write_text("x")
        tenancy.leave()
        await until(lambda: not tenancy.path.exists())

    run(main())


@pytest.mark.parametrize("first", ["client", "worker"])
def test_a_folder_goes_when_client_and_worker_are_both_done(tmp_path, first):
    async def main():
        tenancy = Tenancy(tmp_path, "1")
        tenancy.new("a.txt").write_text("x")
        tenancy.call = one = call()
        steps = [tenancy.leave, one.release]
        if first == "worker":
            steps.reverse()
        steps[0]()
        await asyncio.sleep(0.02)  # in which nothing may happen
        assert (tenancy.path / "a.txt").exists()
        steps[1]()
        await until(lambda: not tenancy.path.exists())
        one.finish(Answer(None, 0.0, 0.0))

    run(main())


# ── bodies and answers through the application ───────────────────────────────────────────────────


@asynccontextmanager
async def filing(tmp_path, input_=True, output=FILE, *, answer=None, **changed):
    """An application whose calls have files in `tmp_path`."""
    async with serving(api(input=input_, output=output, **changed), answer=answer, files=tmp_path) as bench:
        yield bench


def stored(path, media_type=""):
    """The answer of a worker: a file."""
    return [DONE, 0.25, Stored(str(path), media_type)]


async def left(tmp_path):
    await until(lambda: not [path for path in tmp_path.iterdir() if path.is_dir()], what="no folder is left")


def test_a_file_goes_to_disk_and_its_folder_with_the_call(tmp_path):
    async def main():
        async with filing(tmp_path, FILE, True) as bench:
            body = [b"a" * 1000, b"b" * 3_000_000, b""]
            task = asyncio.create_task(bench.send(body=body, headers={"Content-Type": "audio/wav"}))
            await until(lambda: bench.asked)
            entry = bench.asked[0]
            assert entry[4] == Stored(entry[4].path, "audio/wav")
            assert Path(entry[4].path).read_bytes() == b"".join(body)
            assert Path(entry[4].path).is_relative_to(entry[6][3])
            assert Path(entry[6][3]).stat().st_mode & 0o777 == 0o700
            bench.workers[1].answer(entry[1], "done")
            assert (await task).json == "done"
            await left(tmp_path)

    run(main())


def test_a_folder_outlives_a_client_that_left_until_the_worker_lets_go(tmp_path):
    async def main():
        async with filing(tmp_path, FILE, True, timeout_s=0.3) as bench:
            task = asyncio.create_task(bench.send(body=b"data", headers={"Content-Type": "audio/wav"}))
            await until(lambda: bench.asked)
            assert (await task).code == "deadline-exceeded"
            await asyncio.sleep(0.02)
            assert Path(bench.asked[0][4].path).read_bytes() == b"data"
            bench.workers[1].refuse(bench.asked[0][1], "cancelled")
            await left(tmp_path)

    run(main())


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"body": [b"x" * 600, b"x" * 600]}, "body-too-large"),
        ({"body": [b"x" * 600], "gone": True}, None),
        ({"body": b'"not base64"', "headers": {"Content-Type": "application/json"}}, "invalid-input"),
    ],
)
def test_a_body_that_fails_leaves_nothing_behind(tmp_path, options, code):
    async def main():
        async with filing(tmp_path, FILE, True, max_body=1000) as bench:
            options.setdefault("headers", {"Content-Type": "audio/wav"})
            if code is None:
                client = Client("/f", options["body"], "POST", list(options["headers"].items()), gone=True)
                await bench.app(client.scope, client.receive, client.send)
                assert client.messages == []
            else:
                assert (await bench.send(**options)).code == code
            assert bench.asked == []
            await left(tmp_path)

    run(main())


def test_a_worker_that_dies_leaves_no_folder_behind(tmp_path):
    async def main():
        async with filing(tmp_path, FILE, True, retry=False) as bench:
            task = asyncio.create_task(bench.send(body=b"data", headers={"Content-Type": "audio/wav"}))
            await until(lambda: bench.asked)
            bench.workers[1].die()
            assert (await task).code == "worker-lost"
            await left(tmp_path)

    run(main())


@pytest.mark.parametrize("size", [0, 1, 256 * 1024, 256 * 1024 + 1, 3_000_000])
def test_an_answer_comes_from_disk(tmp_path, size):
    data = os.urandom(size)
    (tmp_path / "a.wav").write_bytes(data)

    async def main():
        async with filing(tmp_path, output=WAV, answer=lambda _: stored(tmp_path / "a.wav")) as bench:
            response = await bench.send(1)
            assert (response.status, response.headers["content-type"]) == (200, "audio/wav")
            assert response.headers["content-length"] == str(size)
            assert response.body == data
            assert response.complete
            assert max(map(len, response.pieces), default=0) <= 256 * 1024
            ((exchange, _),) = bench.logged
            assert (exchange.code, exchange.bytes_out) == ("ok", size)
            json_form = await bench.send(1, headers={"Accept": "application/json"})
            assert len(json_form.json) == (size + 2) // 3 * 4
            binary = await bench.send(1, headers={"Accept": "application/msgpack"})
            assert msgpack.unpackb(binary.body) == data

    run(main())


@pytest.mark.parametrize("accept", ["audio/wav", "application/json", "application/msgpack"])
def test_a_file_that_is_gone_is_a_problem_without_its_name(tmp_path, accept):
    async def main():
        async with filing(tmp_path, output=WAV, answer=lambda _: stored(tmp_path / "secret.wav")) as bench:
            response = await bench.send(1, headers={"Accept": accept})
            assert response.status == 500
            assert response.code in {"output-invalid", "output-unserializable"}
            assert b"secret" not in response.body
            assert "read" in bench.logged[0][0].log

    run(main())


def test_a_file_that_becomes_shorter_while_it_is_sent_is_cut_off_and_counted_as_a_failure(tmp_path, loop):
    path = tmp_path / "a.wav"
    path.write_bytes(b"x" * 30_000_000)

    async def main():
        async with (
            filing(tmp_path, output=WAV, answer=lambda _: stored(path)) as bench,
            listening(bench.app) as port,
            Reader(port, small=True) as reader,
        ):
            await reader.send(request("/f", 1))
            status, headers = await reader.head()
            assert (status, headers["content-length"]) == (200, "30000000")
            os.truncate(path, 1000)
            with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                await reader.body(headers)
            await until(bench.counts)
            assert bench.counts() == {"output-invalid": 1}
            assert "shorter" in bench.logged[0][0].log

    run(main(), loop)


def test_a_file_that_is_being_sent_when_the_time_to_drain_is_over(tmp_path, loop):
    path = tmp_path / "a.wav"
    path.write_bytes(b"x" * 30_000_000)

    async def main():
        async with filing(tmp_path, output=WAV, answer=lambda _: stored(path)) as bench, AsyncExitStack() as after:
            async with listening(bench.app, drain_timeout_s=0.1) as port:
                reader = await after.enter_async_context(Reader(port, small=True))
                await reader.send(request("/f", 1))
                _, headers = await reader.head()
            assert bench.counts() == {"draining": 1}
            with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                await reader.body(headers)

    run(main(), loop)


def test_a_file_that_grows_while_it_is_sent_is_sent_as_it_was(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"x" * 1_000_000)

    async def main():
        client = Client("/f", [b""], "POST", [])
        client.slow = asyncio.Event()
        exchange = Exchange(client.scope, client.receive, client.send)
        sending = asyncio.create_task(files.send(exchange, 200, Body("a/b", (), Stored(str(path))), []))
        await until(lambda: client.messages)
        with path.open("ab") as more:
            more.write(b"y" * 1000)
        client.slow.set()
        await sending
        assert client.response.body == b"x" * 1_000_000

    run(main())


def test_a_file_that_cannot_be_opened_is_refused_before_anything_is_sent(tmp_path):
    async def main():
        client = Client("/f", [b""], "POST", [])
        exchange = Exchange(client.scope, client.receive, client.send)
        for path in (tmp_path, tmp_path / "no"):
            with pytest.raises(InvalidOutput) as raised:
                await files.send(exchange, 200, Body("a/b", (), Stored(str(path))), [])
            assert raised.value.detail == ""
        assert client.messages == []

    run(main())


def test_a_reader_that_leaves_in_the_middle_of_a_file_is_counted_as_gone(tmp_path, loop):
    path = tmp_path / "a.wav"
    path.write_bytes(b"x" * 30_000_000)

    async def main():
        async with (
            filing(tmp_path, output=WAV, answer=lambda _: stored(path)) as bench,
            listening(bench.app) as port,
        ):
            async with Reader(port, small=True) as reader:
                await reader.send(request("/f", 1))
                await reader.head()
            await until(bench.counts)
            assert bench.counts() == {"client-gone": 1}

    run(main(), loop)


def test_status_and_headers_of_a_file(tmp_path):
    (tmp_path / "a.wav").write_bytes(b"data")

    async def main():
        answer = [DONE_WITH, 0.25, Stored(str(tmp_path / "a.wav")), 201, {"content-disposition": "attachment"}]
        async with filing(tmp_path, output=WAV, answer=lambda _: answer) as bench:
            response = await bench.send(1)
            assert (response.status, response.headers["content-disposition"]) == (201, "attachment")
            assert response.body == b"data"

    run(main())


def test_terms_name_the_folders_that_the_spec_allows(tmp_path):
    async def main():
        async with filing(tmp_path, output=FILE | {"within": ["a", "b"]}, answer=lambda _: [DONE, 0.1, b"x"]) as bench:
            assert (await bench.send(1)).body == b"x"
            terms = bench.asked[0][6]
            assert (terms[1], terms[4], terms[5]) == (True, ["a", "b"], 0)

    run(main())


def test_files_and_values_together_in_an_object(tmp_path):
    schema = {"type": "object", "properties": {"file": FILE, "n": {"type": "integer"}}, "required": ["file"]}

    async def main():
        async with filing(tmp_path, schema, True) as bench:
            task = asyncio.create_task(bench.send({"file": "ZGF0YQ==", "n": 5}))
            await until(lambda: bench.asked)
            argument = bench.asked[0][4]
            assert (Path(argument["file"].path).read_bytes(), argument["n"]) == (b"data", 5)
            bench.workers[1].answer(bench.asked[0][1], 1)
            assert (await task).json == 1
            bad = await bench.send({"file": "%%%", "n": "x"})
            assert {error["pointer"] for error in json.loads(bad.body)["errors"]} == {"/file", "/n"}
            await left(tmp_path)

    run(main())
