"""A connection of `bentod bench` reads every kind of answer, and every way in which there is none."""

import json

import pytest

from bentod.cli.bench_exchange import Connection, Exchange
from tests.support.answering import answer

CHUNKED = b"HTTP/1.1 200 X\r\ntransfer-encoding: chunked\r\ncontent-type: %b; charset=utf-8\r\n\r\n"
PROBLEM = {"type": "t", "title": "T", "status": 503, "code": "queue-full"}


class Transport:
    """Keeps what is written."""

    def __init__(self):
        self.written = b""
        self.aborted = False

    def write(self, data):
        self.written += data

    def abort(self):
        self.aborted = True


class Peer:
    """A connection with an exchange under way, and what was told of both."""

    def __init__(self):
        self.now = 0.0
        self.transport = Transport()
        self.ended, self.lost = [], []
        self.connection = Connection(self.clock, lambda _, exchange: self.ended.append(exchange), self.lost.append)
        self.connection.connection_made(self.transport)
        self.exchange = self.send()

    def clock(self):
        self.now += 1.0
        return self.now

    def send(self):
        exchange = Exchange(0.0, b"request")
        self.connection.send(exchange)
        return exchange

    def gets(self, *pieces):
        for piece in pieces:
            self.connection.data_received(piece)
        return self.exchange


@pytest.fixture
def peer():
    return Peer()


def chunk(data):
    return b"%x\r\n%b\r\n" % (len(data), data)


def test_an_answer(peer):
    found = peer.gets(answer(b"[1]", Server_Timing='queue;dur=1.500, run;dur=2, batch;desc="8"'))
    assert peer.ended == [found]
    assert (found.status, found.failure, found.size) == (200, "", 3)
    assert found.timing == {b"queue": 1.5, b"run": 2.0, b"batch": 8.0}
    assert (found.first, found.ended) == (1.0, 2.0)
    assert peer.transport.written == b"request"
    assert (peer.connection.usable, peer.transport.aborted) == (True, False)


def test_it_is_used_again(peer):
    data = answer(b"[1]")
    for size in (1, 7, len(data)):
        peer.exchange = peer.send()
        found = peer.gets(*(data[at : at + size] for at in range(0, len(data), size)))
        assert (peer.ended[-1], found.size, found.failure) == (found, 3, "")


def test_not_after_a_last_answer(peer):
    assert peer.gets(answer(connection="close")).failure == ""
    assert (peer.connection.usable, peer.transport.aborted) == (False, True)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (json.dumps(PROBLEM).encode(), "queue-full"),
        (b"", "http-503"),
        (b"{", "http-503"),
        (b"[1]", "http-503"),
        (b'{"code": 7}', "http-503"),
        (b'{"code": "<b>"}', "http-503"),
        (b"[" * 100_000, "http-503"),
    ],
)
def test_a_problem(peer, body, code):
    found = peer.gets(answer(body, 503, retry_after="7"))
    assert (found.failure, found.headers[b"retry-after"]) == (code, b"7")
    assert peer.connection.usable


def test_a_redirect_is_no_answer(peer):
    assert peer.gets(answer(b"", 307)).failure == "http-307"


@pytest.mark.parametrize(
    ("kind", "pieces", "chunks", "failure"),
    [
        (b"text/event-stream", [b"data: 1\n\n", b"data: 2\n\ndata: 3\n\n", b"event: end\ndata: null\n\n"], 3, ""),
        (b"text/event-stream", [b"data: 1\n\n"], 1, "stream-failed"),
        (b"text/event-stream", [b"data: x\n\n"], 0, "stream-failed"),
        (b"text/event-stream", [b'event: error\ndata: {"code": "worker-lost"}\n\n', b"data: 1\n\n"], 0, "worker-lost"),
        (b"application/x-ndjson", [b"1\n2", b"2\n"], 2, ""),
        (b"application/x-ndjson", [b"1\n", json.dumps({"error": PROBLEM}).encode() + b"\n"], 1, "queue-full"),
        (b"application/x-ndjson", [b"1\n2"], 1, "stream-failed"),
        (b"text/plain", [b"1", b"2"], 0, ""),
    ],
)
def test_a_stream(peer, kind, pieces, chunks, failure):
    found = peer.gets(CHUNKED % kind, *map(chunk, pieces), b"0\r\n\r\n")
    assert (found.chunks, found.failure, found.first) == (chunks, failure, 1.0)
    assert found.ended > found.first
    assert peer.connection.usable


def test_a_connection_that_breaks_off(peer):
    peer.gets(CHUNKED % b"text/plain", chunk(b"1"))
    peer.connection.connection_lost(None)
    assert [one.failure for one in peer.ended] == ["connection-lost"]
    assert peer.lost == [peer.connection]
    assert not peer.connection.usable


def test_a_connection_that_ends_while_nothing_is_asked(peer):
    peer.gets(answer())
    peer.connection.connection_lost(None)
    assert ([one.failure for one in peer.ended], peer.lost) == ([""], [peer.connection])


def test_what_is_no_http(peer):
    assert peer.gets(b"SSH-2.0-x\r\n").failure == "no-http"
    assert peer.transport.aborted


def test_words_that_nobody_asked_for(peer):
    peer.gets(answer(), answer())
    assert len(peer.ended) == 1
    assert (peer.lost, peer.transport.aborted) == ([peer.connection], True)


def test_nobody_is_told_of_what_was_closed(peer):
    peer.connection.close()
    peer.connection.connection_lost(None)
    assert peer.ended == []
