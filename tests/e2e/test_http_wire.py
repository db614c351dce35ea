"""What clients do to a connection, byte by byte."""

import contextlib
import time

import pytest

from tests.support.daemon import eventually, running
from tests.support.http import Connection, Ended, chunked, request
from tests.support.project import Gate, api, project

pytestmark = pytest.mark.e2e
LIMIT_S = 0.5
SOON_S = 15.0
JSON = {"content-type": "application/json"}
CHUNKED = request("/same", None, headers={"transfer-encoding": "chunked", **JSON})


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    folder = project(
        tmp_path_factory.mktemp("wire"),
        "answers",
        "waiting",
        services={"answers": {"target": "answers.py"}, "waiting": {"target": "waiting.py", "threads": 4}},
        apis={"same": {"service": "answers", "method": "same"}, "hold": api("waiting", "hold", "gate")},
        server={"header_timeout": f"{LIMIT_S}s", "body_timeout": f"{LIMIT_S}s", "keep_alive": "700ms"},
    )
    with running(folder) as app:
        yield app


@pytest.fixture
def connection(app):
    with Connection(app.url, SOON_S) as connection:
        yield connection


@pytest.fixture(autouse=True)
def others_are_served(app):
    """Whatever a client does, the next one is answered, and nothing is wrong in the log."""
    before = len(app.text())
    yield
    with Connection(app.url) as connection:
        assert connection.ask(request("/same", [1])).json == [1]
    since = app.text()[before:]
    assert "Traceback" not in since
    assert '"internal"' not in since


@pytest.mark.parametrize("begun", [b"P", b"POST /same HT", b"POST /same HTTP/1.1\r\nhost: e2e\r\n", b"\r\n"])
def test_a_head_that_does_not_end_is_ended(connection, begun):
    connection.send(begun)
    with contextlib.suppress(Ended):
        answer = connection.answer()
        assert (answer.status, answer.headers["connection"]) == (408, "close")
    assert connection.ended(SOON_S)


def test_a_head_that_comes_in_drops_is_ended(connection):
    """Each byte is in time, the whole is not."""
    started = time.monotonic()
    with contextlib.suppress(OSError):
        for byte in b"POST /same HTTP/1.1\r\n" + b"x" * 10_000:
            connection.send(bytes([byte]))
            connection.socket.settimeout(0.02)
            with contextlib.suppress(TimeoutError):
                if connection.socket.recv(1):
                    break
    assert LIMIT_S / 2 < time.monotonic() - started < SOON_S


def test_a_connection_that_says_nothing_is_ended(connection):
    assert connection.ended(SOON_S)


def test_an_idle_connection_is_ended_after_keep_alive(connection):
    assert connection.ask(request("/same", 1)).json == 1
    assert connection.ended(SOON_S)


@pytest.mark.parametrize(
    "head", [request("/same", None, headers={"content-length": "10", **JSON}), CHUNKED], ids=["length", "chunked"]
)
def test_a_body_that_does_not_come_is_408(connection, head):
    answer = connection.ask(head + b"1")
    assert (answer.status, answer.code, answer.headers["connection"]) == (408, "body-timeout", "close")
    assert connection.ended(SOON_S)


def test_a_body_that_comes_in_drops_is_408(connection):
    connection.send(request("/same", None, headers={"content-length": "100000", **JSON}))
    connection.socket.settimeout(0.02)
    answer = None
    while answer is None:
        with contextlib.suppress(TimeoutError):
            connection.send(b" ")
            answer = connection.answer()
    assert answer.code == "body-timeout"


def test_a_body_shorter_than_announced_is_no_call(app, connection):
    before = app.service("answers")["workers"][0]["calls"]
    connection.send(request("/same", None, headers={"content-length": "10", **JSON}) + b"[1]")
    connection.socket.shutdown(1)
    with contextlib.suppress(Ended):
        assert connection.answer().status in {400, 408}
    assert connection.ended(SOON_S)
    assert app.service("answers")["workers"][0]["calls"] == before


def test_a_body_longer_than_announced_breaks_only_the_next_request(connection):
    connection.send(request("/same", None, headers={"content-length": "3", **JSON}) + b"[1], 2]\r\n\r\n")
    assert connection.answer().json == [1]
    with contextlib.suppress(Ended):
        assert connection.answer().status == 400
    assert connection.ended(SOON_S)


def test_pipelined_requests_are_answered_in_order(connection):
    requests = [request("/same", n) if n % 3 else request(f"/nothing/{n}", n) for n in range(60)]
    connection.send(b"".join(requests))
    for n in range(60):
        answer = connection.answer()
        assert (answer.json == n) if n % 3 else answer.code == "not-found"


def test_pipelined_requests_behind_a_slow_one_wait(app, tmp_path):
    gate = Gate(tmp_path / "gate")
    with Connection(app.url) as connection:
        connection.send(request("/hold", gate.input) + request("/same", "second") + request("/livez", None, "GET"))
        gate.reached()
        assert not connection.ended(0.1)
        connection.socket.settimeout(SOON_S)
        gate.open()
        assert connection.answer().status == 200
        assert connection.answer().json == "second"
        assert connection.answer().json == {"status": "live"}


def test_a_request_may_come_byte_by_byte(connection):
    for byte in request("/same", {"a": [1, 2]}):
        connection.send(bytes([byte]))
    assert connection.answer().json == {"a": [1, 2]}


@pytest.mark.parametrize("size", [1, 2, 7])
def test_chunks_may_be_split_anywhere(connection, size):
    body = b'{"long": "' + b"x" * 50 + b'"}'
    data = CHUNKED + chunked(*[body[n : n + 3] for n in range(0, len(body), 3)])
    for start in range(0, len(data), size):
        connection.send(data[start : start + size])
    assert connection.answer().json == {"long": "x" * 50}


def test_chunk_extensions_and_trailers_are_ignored(connection):
    assert connection.ask(CHUNKED + b"1;a=b\r\n[\r\n1;c=d\r\n]\r\n0\r\nX-Trailer: x\r\n\r\n").json == []
    assert connection.ask(request("/same", 1)).json == 1


@pytest.mark.parametrize(
    "body", [b"x\r\n1\r\n0\r\n\r\n", b"-1\r\n", b"2\r\n[]x\r\n0\r\n\r\n", b"fffffffffffffffff\r\n", b"\r\n\r\n"]
)
def test_broken_chunks_end_the_connection(connection, body):
    connection.send(CHUNKED + body)
    with contextlib.suppress(Ended):
        assert 400 <= connection.answer().status < 500
    assert connection.ended(SOON_S)


@pytest.mark.parametrize(
    "headers",
    [
        b"content-length: 1\r\ncontent-length: 2\r\n",
        b"content-length: 1\r\ntransfer-encoding: chunked\r\n",
        b"transfer-encoding: chunked\r\ncontent-length: 1\r\n",
        b"transfer-encoding: chunked, identity\r\n",
        b"transfer-encoding: gzip\r\n",
        b"content-length: -1\r\n",
        b"content-length: +1\r\n",
        b"content-length: 1x\r\n",
        b"content-length: 99999999999999999999999\r\n",
        b"content-length : 1\r\n",
        b"no colon\r\n",
        b" folded: 1\r\n",
        b"a: b\0c\r\n",
        b"a\0b: c\r\n",
        b"\xff: a\r\n",
    ],
)
def test_a_head_that_could_be_read_in_two_ways_is_400(connection, headers):
    """Else a proxy and we could disagree where the request ends (RFC 9112, 6.3 and 11.2)."""
    connection.send(b"POST /same HTTP/1.1\r\nhost: e2e\r\n" + headers + b"\r\n1")
    answer = connection.answer()
    assert answer.status in {400, 413}
    assert connection.ended(SOON_S)


@pytest.mark.parametrize(
    "data",
    [
        b"\x00\x01\x02\x03" * 20,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(200)),  # a TLS hello
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /livez HTTP/9.9\r\n\r\n",
        b"GET /livez HTTP/1.1 x\r\n\r\n",
        b"get /livez HTTP/1.1\r\n\r\n",
        b"{}\r\n\r\n",
        b"\xff\xfe" * 1000,
    ],
    ids=lambda data: repr(data[:16]),
)
def test_what_is_no_http_is_400(connection, data):
    connection.send(data)
    with contextlib.suppress(Ended):
        answer = connection.answer()
        assert (answer.status, answer.headers["content-type"]) == (400, "application/problem+json")
        assert answer.headers["x-request-id"] == answer.json["request_id"]
    assert connection.ended(SOON_S)


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("http://elsewhere:80/livez", 200),
        ("http://elsewhere/nothing", 404),
        ("/%", 404),
        ("/%zz", 404),
        ("/%ff", 404),
        ("/same%00", 404),
        ("/same%2f", 404),
        ("/same;a=b", 404),
        ("//livez", 404),
        ("/a/../livez", 404),
        ("/livez#x", 200),
        ("/" + "x" * 8000, 404),
        ("*", 404),
        ("livez", 400),
    ],
)
def test_odd_targets(connection, target, status):
    answer = connection.ask(request(target, None, "OPTIONS" if target == "*" else "GET"))
    assert answer.status == status


def test_a_target_of_raw_bytes_is_refused(connection):
    answer = connection.ask(b"GET /\xff\xfe HTTP/1.1\r\nhost: e2e\r\n\r\n")
    assert answer.status in {400, 404}


@pytest.mark.parametrize("many", [False, True])
def test_a_huge_head_is_431(connection, many):
    lines = b"".join(b"x-%d: %s\r\n" % (n, b"y" * 100) for n in range(3000)) if many else b"x: " + b"y" * 300_000
    with contextlib.suppress(OSError):  # it need not listen to the end
        connection.send(b"GET /livez HTTP/1.1\r\nhost: e2e\r\n" + lines)
    with contextlib.suppress(Ended):
        assert connection.answer().status in {400, 431}
    assert connection.ended(SOON_S)


def test_a_large_head_is_taken(connection):
    assert connection.ask(request("/livez", None, "GET", {"cookie": "x" * 20_000})).status == 200


def test_100_continue(connection):
    connection.send(request("/same", None, headers={"content-length": "3", "expect": "100-continue", **JSON}))
    assert connection.answer().status == 100
    connection.send(b"[1]")
    assert connection.answer().json == [1]


def test_an_upgrade_that_is_not_taken_is_ignored(connection):
    for upgrade in ("websocket", "h2c"):
        headers = {"connection": "upgrade", "upgrade": upgrade, "sec-websocket-key": "x", "sec-websocket-version": "13"}
        with contextlib.suppress(Ended):
            assert connection.ask(request("/livez", None, "GET", headers)).status == 200


def test_many_idle_connections_hold_nobody_up(app):
    with contextlib.ExitStack() as stack:
        for n in range(300):
            idle = stack.enter_context(Connection(app.url))
            idle.send(b"POST /same HTT" if n % 2 else b"")
        with Connection(app.url) as connection:
            assert connection.ask(request("/same", 1)).json == 1


def test_a_client_that_does_not_read_holds_nobody_up(app):
    big = request("/same", "x" * 1_000_000)
    with Connection(app.url) as greedy:
        greedy.socket.settimeout(0.5)
        with contextlib.suppress(TimeoutError, ConnectionError):
            for _ in range(200):
                greedy.send(big)
        with Connection(app.url) as other:
            assert other.ask(request("/same", 1)).json == 1


def test_a_large_value_goes_there_and_back(connection):
    value = ["x" * 1000] * 15_000
    assert connection.ask(request("/same", value)).json == value


def test_connections_that_end_at_any_byte_are_no_failure(app):
    data = request("/same", {"a": 1})
    for end in range(len(data) + 1):
        with Connection(app.url) as connection:
            connection.send(data[:end])

    def calls():
        return app.control()["apis"]["same"]

    eventually(lambda: calls()["running"] == calls()["waiting"] == 0)
