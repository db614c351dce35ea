"""The body of a request, as the codecs read it: whole or in chunks, within its limit and its time."""

from __future__ import annotations

import asyncio
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentod.errors import BodyTimeout, BodyTooLarge, ClientGone
from bentod.gateway.exchange import Exchange
from bentod.gateway.source import Source
from tests.support.asgi import Client
from tests.support.loops import run


def source(body=(b"",), limit=100, timeout_s=20.0, *, gone=False):
    """A body that is there, and its client."""
    client = Client("/f", list(body), "POST", [], gone=gone)
    return Source(Exchange(client.scope, client.receive, client.send), limit, timeout_s), client


async def read(found, how):
    """The body in either way."""
    return bytes(await found.whole()) if how == "whole" else b"".join([chunk async for chunk in found.chunks()])


HOW = pytest.mark.parametrize("how", ["whole", "chunks"])


@HOW
@given(pieces=st.lists(st.binary(max_size=10), min_size=1, max_size=10), limit=st.integers(0, 60))
def test_a_body_is_whole_or_too_large(how, pieces, limit):
    async def main():
        found, client = source(pieces, limit)
        if sum(map(len, pieces)) <= limit:
            assert await read(found, how) == b"".join(pieces)
        else:
            with pytest.raises(BodyTooLarge) as raised:
                await read(found, how)
            assert raised.value.headers["connection"] == "close"
            unread = sum(map(len, client.unread))
            assert sum(map(len, pieces)) - unread <= limit + 10

    run(main())


@HOW
@pytest.mark.parametrize(("body", "gone"), [([b"a"], True), ([], False)])
def test_a_client_that_leaves(how, body, gone):
    async def main():
        with pytest.raises(ClientGone):
            await read(source(body, gone=gone)[0], how)

    run(main())


@HOW
def test_a_client_that_stops_sending(how):
    async def main():
        found, client = source([b"a", b"b"], timeout_s=0.05)
        client.stalled = True
        with pytest.raises(BodyTimeout) as raised:
            await read(found, how)
        assert raised.value.headers["connection"] == "close"

    run(main())


def test_the_time_is_for_all_chunks_together():
    async def main():
        found, client = source([b"x"] * 1000, limit=10_000, timeout_s=0.1)
        receive = client.receive

        async def slowly():
            await asyncio.sleep(0.02)
            return await receive()

        found._exchange._receive = slowly
        begun = time.monotonic()
        with pytest.raises(BodyTimeout):
            await read(found, "chunks")
        assert time.monotonic() - begun < 10

    run(main())


def test_who_reads_slowly_is_not_cut_off_for_it():
    """The time counts while the client is waited for."""

    async def main():
        found, _ = source([b"a", b"b", b"c"], timeout_s=20.0)
        chunks = []
        async for chunk in found.chunks():
            chunks.append(chunk)
            await asyncio.sleep(0)
        assert chunks == [b"a", b"b", b"c"]

    run(main())
