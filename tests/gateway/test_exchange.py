"""Request ids, bodies within limits, the one answer."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentod.errors import BodyTooLarge, ClientGone, InvalidInput, MalformedBody, NotFound, Pointed
from bentod.gateway.exchange import Exchange
from tests.support.asgi import Client
from tests.support.loops import run


def exchange(*headers: tuple[str, str], body=(b"",), gone=False) -> tuple[Exchange, Client]:
    """A request that has arrived."""
    client = Client("/f", body, "POST", headers, gone=gone)
    return Exchange(client.scope, client.receive, client.send), client


@pytest.mark.parametrize("given_id", ["a", "0" * 128, 'with blanks and !"#~', "{}"])
def test_the_clients_request_id_is_kept(given_id):
    assert exchange(("X-Request-Id", given_id))[0].request_id == given_id


@pytest.mark.parametrize("given_id", ["", "0" * 129, "a\tb", "a\x7f", "\xe9", "\x00", "a\r\nb"])
def test_an_id_that_is_not_printable_or_too_long_is_replaced(given_id):
    first, second = exchange(("X-Request-Id", given_id))[0], exchange()[0]
    assert first.request_id != given_id
    assert first.request_id != second.request_id
    assert first.request_id.isalnum()


@given(st.text(st.characters(max_codepoint=255), max_size=200))
def test_an_id_that_is_answered_is_always_printable(given_id):
    found = exchange(("X-Request-Id", given_id))[0].request_id
    assert found.isascii()
    assert found.isprintable()
    assert 1 <= len(found) <= 128


def test_ids_do_not_repeat():
    assert len({exchange()[0].request_id for _ in range(1000)}) == 1000


@pytest.mark.parametrize(
    ("length", "announced"), [("0", 0), ("007", 7), ("123456789012345678901", 123456789012345678901)]
)
def test_the_announced_length(length, announced):
    assert exchange(("Content-Length", length))[0].announced() == announced
    assert exchange()[0].announced() is None


@pytest.mark.parametrize("length", ["", "-1", "+1", "1.0", "0x10", " 1", "1_0", "\xb2", "5, 5"])
def test_a_length_that_is_no_number(length):
    with pytest.raises(MalformedBody):
        exchange(("Content-Length", length))[0].announced()


def test_headers_of_one_name_are_one_list():
    found = exchange(("Accept", "a/b"), ("X", "1"), ("ACCEPT", "c/d"))[0].headers
    assert found == {b"accept": b"a/b, c/d", b"x": b"1"}


@given(st.lists(st.binary(max_size=10), min_size=1, max_size=10), st.integers(0, 60))
def test_a_body_is_whole_or_too_large(pieces, limit):
    async def main():
        found, _ = exchange(body=pieces)
        whole = b"".join(pieces)
        if len(whole) <= limit:
            assert await found.body(limit, 10.0) == whole
            assert found.bytes_in == len(whole)
        else:
            with pytest.raises(BodyTooLarge) as raised:
                await found.body(limit, 10.0)
            assert raised.value.headers["connection"] == "close"
            assert found.bytes_in <= limit + 10

    run(main())


def test_a_client_that_leaves_before_the_end():
    async def main():
        with pytest.raises(ClientGone):
            await exchange(body=[b"a"], gone=True)[0].body(10, 10.0)
        with pytest.raises(ClientGone):
            await exchange(body=[])[0].body(10, 10.0)

    run(main())


class Direct:
    """Our own server's connection."""

    on_gone = None

    def __init__(self, body, *, takes=True):
        self.body, self.takes, self.sent, self.lingers = body, takes, [], False

    def take_body(self):
        return self.body

    def respond(self, status, headers, body):
        if self.takes:
            self.sent.append((status, list(headers), body))
        return self.takes

    def linger(self):
        self.lingers = True


@pytest.mark.parametrize("takes", [True, False])
def test_a_body_that_is_there_is_taken_and_an_answer_goes_the_short_way_if_it_can(takes):
    async def main():
        connection = Direct(b"12345", takes=takes)
        client = Client("/f", [], "POST", [])
        client.scope["bentod.connection"] = connection
        found = Exchange(client.scope, client.receive, client.send)
        assert await found.body(5, 10.0) == b"12345"
        with pytest.raises(BodyTooLarge):
            await found.body(4, 10.0)
        await found.answer(201, b"body", b"text/plain", [(b"x", b"y")])
        assert (found.status, found.bytes_out, found.bytes_in) == (201, 4, 5)
        assert bool(connection.sent) == takes
        assert bool(client.messages) != takes

    run(main())


def test_a_problem_is_logged_as_what_it_is():
    async def main():
        found, client = exchange(("X-Request-Id", "id-1"))
        await found.problem(InvalidInput("wrong", errors=(Pointed("/a", "bad"),), headers={"x-more": "1"}))
        assert (found.status, found.code) == (422, "invalid-input")
        assert client.response is not None
        assert client.response.code == "invalid-input"
        assert client.response.json["errors"] == [{"pointer": "/a", "detail": "bad"}]
        assert client.response.headers["x-more"] == "1"
        assert client.response.json["request_id"] == "id-1"

    run(main())


def test_nobody_is_told_that_nobody_is_there():
    async def main():
        found, client = exchange()
        await found.problem(ClientGone())
        assert (found.status, found.code, client.messages) == (499, "client-gone", [])
        other, there = exchange()
        await other.problem(NotFound())
        assert there.response is not None
        await asyncio.sleep(0)

    run(main())
