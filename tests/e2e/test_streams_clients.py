"""Streams and their readers: slow ones, those that leave, old ones, many at once."""

import contextlib
import json
import socket
import threading
from pathlib import Path

import pytest

from tests.support.daemon import eventually, running
from tests.support.http import Connection, Ended, request
from tests.support.project import Gate, project
from tests.support.streams import Stream, stream

pytestmark = pytest.mark.e2e
KIB, MIB = 1024, 1024 * 1024
QUICK = {"delay": "20ms", "max_delay": "100ms", "limit": 1000}
GENERATORS = ["threads", "tasks", "threads-beside-tasks"]


def target(service, method, stream="sse", **more):
    given = {"gate": {"type": "string"}, "size": True, "before": True, "after": True}
    input_ = {"type": "object", "properties": given, "required": ["gate"], "additionalProperties": False}
    return {"service": service, "method": method, "input": input_, "stream": stream, **more}


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    nothing = {"input": {"type": "object", "properties": {}, "additionalProperties": False}}
    apis = {}
    for generator, service, prefix in (
        ("threads", "s", ""),
        ("tasks", "a", ""),
        ("threads-beside-tasks", "a", "sync_"),
    ):
        for method in ("endless", "steady", "hold"):
            apis[f"{method}_{generator}"] = target(service, prefix + method)
    apis |= {
        "plain": {"service": "s", "method": "plain", **nothing},
        "lines": target("s", "hold", "ndjson"),
        "raw": {**target("s", "give", "raw"), "input": {"type": "object", "properties": {"values": True}}},
        "count": {**target("s", "count"), "input": {"type": "object", "properties": {"n": True}}},
        "ignore": target("s", "ignore"),
        "ignore_async": target("a", "ignore"),
        "stuck": target("stuck", "stuck", stream_idle="300ms"),
        "unstuck": {"service": "stuck", "method": "plain", **nothing},
    }
    service = {"threads": 1, "concurrency": 1}
    folder = project(
        tmp_path_factory.mktemp("clients"), "streaming", "streaming_async",
        services={
            "s": {"target": "streaming.py", **service}, "a": {"target": "streaming_async.py", **service},
            "stuck": {"target": "streaming.py", "stop_timeout": "300ms", "restart": QUICK},
        },
        apis=apis,
    )  # fmt: skip
    with running(folder) as app:
        yield app


@pytest.fixture
def gate(app, tmp_path):
    gate = Gate(tmp_path / "gate")
    yield gate
    gate.open()
    eventually(lambda: not any(api["running"] or api["waiting"] for api in app.control()["apis"].values()))


def small_client(app):
    """A connection that takes little at a time."""
    connection = Connection(app.url)
    connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 256 * KIB)
    return connection


def progress(gate):
    """How many chunks the generator has given so far."""
    with contextlib.suppress(FileNotFoundError, ValueError):
        return int((gate.folder / "progress").read_text())
    return 0


def held_back(gate, turns=3):
    """Wait until the generator goes no further, and return how far it came."""
    seen, same = -1, 0
    pause = threading.Event()
    while same < turns:
        pause.wait(0.2)
        same, seen = (same + 1, seen) if progress(gate) == seen else (0, progress(gate))
        assert seen < 100_000
    return seen


def memory(pid):
    """MiB of a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    [line] = [line for line in lines if line.startswith("VmRSS:")]
    return int(line.split()[1]) / KIB


@pytest.mark.parametrize("generator", GENERATORS)
def test_a_slow_reader_holds_the_generator_back(app, gate, generator):
    """What lies between them is bounded: the kernel's buffers, the gateway's, and 32 chunks or 1 MiB."""
    pids = [*app.pids("gateway"), *app.pids()]
    with small_client(app) as client:
        client.send(request(f"/endless_{generator}", {**gate.input, "size": 64 * KIB}))
        gate.reached()
        reading = threading.Event()
        before = [memory(pid) for pid in pids]
        first = held_back(gate)
        for _ in range(3):
            client.socket.recv(1)
            reading.wait(1.0)  # a byte a second: this is the client's pace
        assert progress(gate) - first <= 1
        assert first < 16 * MIB // (64 * KIB)
        assert max(now - then for now, then in zip(map(memory, pids), before, strict=True)) < 24
        answer = Stream(client)
        assert [answer.event().data["i"] for _ in range(first + 50)] == list(range(first + 50))
    gate.reached(1, "closed")


@pytest.mark.parametrize("generator", GENERATORS)
def test_small_chunks_are_held_back_too(app, gate, generator):
    with small_client(app) as client:
        client.send(request(f"/endless_{generator}", {**gate.input, "size": KIB}))
        gate.reached()
        assert held_back(gate) < 16 * MIB // KIB
    gate.reached(1, "closed")


def test_a_reader_that_takes_nothing_is_cut_off(tmp_path):
    folder = project(
        tmp_path / "deaf", "streaming", "streaming_async",
        services={"s": {"target": "streaming.py"}, "a": {"target": "streaming_async.py"}},
        apis={"threads": target("s", "endless"), "tasks": target("a", "endless")},
        server={"body_timeout": "1s"},
    )  # fmt: skip
    with running(folder) as app:
        for path in ("threads", "tasks"):
            gate = Gate(tmp_path / path)
            with small_client(app) as client:
                client.send(request(f"/{path}", {**gate.input, "size": 64 * KIB}))
                gate.reached(1, "closed")
                answer = Stream(client)
                with pytest.raises((Ended, EOFError)):
                    answer.until(b"event: end")
                assert not answer.complete
            eventually(lambda path=path: app.control()["apis"][path]["calls"].get("client-gone"))


@pytest.mark.parametrize("generator", GENERATORS)
@pytest.mark.parametrize("method", ["endless", "steady", "held back"])
def test_a_reader_that_leaves_closes_the_generator(app, connection, gate, generator, method):
    """Within a second; more is allowed here for a busy machine, but less than for a heartbeat to tell."""
    client = small_client(app)
    api = f"{'endless' if method == 'held back' else method}_{generator}"
    client.send(request(f"/{api}", {**gate.input, "size": 64 * KIB} if method == "held back" else gate.input))
    if method == "held back":
        gate.reached()
        held_back(gate)
    else:
        assert Stream(client).event().name == "message"
    client.socket.close()
    eventually(lambda: gate.count("closed"), 5, "the generator is closed")
    eventually(lambda: app.control()["apis"][api]["running"] == 0, 5, "its slot is free")
    assert app.control()["apis"][api]["calls"]["client-gone"]
    assert connection.ask(request("/plain", {})).status == 200


def test_an_async_generator_that_waits_is_closed_when_its_reader_leaves(app, connection, gate):
    client = Connection(app.url)
    assert stream(client, "/hold_tasks", gate.input).event().name == "message"
    client.socket.close()
    eventually(lambda: gate.count("closed"), 5, "the generator is closed")
    assert not (gate.folder / "open").exists()


@pytest.mark.parametrize("path", ["/ignore", "/ignore_async"])
def test_a_generator_that_ignores_its_closing_gives_its_slot_back(app, connection, gate, path):
    client = Connection(app.url)
    assert stream(client, path, gate.input).event().name == "message"
    client.socket.close()
    gate.reached(1, "closed")
    eventually(lambda: app.control()["apis"][path[1:]]["running"] == 0, 5, "its slot is free")
    assert connection.ask(request("/plain", {})).status == 200


def test_a_worker_that_is_stuck_in_a_closing_is_replaced(app, connection, gate):
    client = Connection(app.url)
    pid = stream(client, "/stuck", gate.input).event().data
    client.socket.close()
    gate.reached(1, "closed")
    connection.send(request("/unstuck", {}))
    assert connection.answer().json != pid
    [event] = app.events("worker.lost", service="stuck")
    assert "stuck" in event["reason"]


def test_a_stream_holds_its_slot(app, connection, gate):
    with Connection(app.url) as client:
        answer = stream(client, "/hold_threads", gate.input)
        assert answer.event().name == "message"
        connection.send(request("/plain", {}))
        eventually(lambda: app.control()["apis"]["plain"]["waiting"] == 1)
        assert app.control()["apis"]["hold_threads"]["running"] == 1
        assert not connection.ended(0.3)
        gate.open()
        assert [answer.event().name, answer.event().name] == ["message", "end"]
        connection.socket.settimeout(20)
        assert connection.answer().status == 200


def test_several_async_streams_share_a_worker(tmp_path, gate):
    folder = project(
        tmp_path / "p", "streaming", "streaming_async",
        services={"a": {"target": "streaming_async.py", "workers": 2}}, server={"gateways": 2},
        apis={"hold": target("a", "hold"), "count": {"service": "a", "stream": "ndjson"}},
    )  # fmt: skip
    with running(folder) as app, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(Connection(app.url)) for _ in range(40)]
        for client in clients:
            client.send(request("/hold", gate.input))
        gate.reached(40)
        status = app.control()["apis"]["hold"]
        assert (status["running"], status["waiting"]) == (40, 0)
        gate.open()
        answers = [Stream(client) for client in clients]
        found = [[answer.event() for _ in range(3)] for answer in answers]
        assert all([event.name for event in events] == ["message", "message", "end"] for events in found)
        assert {events[0].data for events in found} == set(app.pids())
        assert eventually(lambda: app.control()["apis"]["hold"]["calls"].get("ok") == 40)


@pytest.mark.parametrize("target_", ["streaming.py", "streaming_async.py"])
def test_several_that_are_held_back_go_on_each_at_its_own_pace(tmp_path, target_):
    """All threads of a worker are held back; a call that waits gets the first that becomes free."""
    method = "large" if target_ == "streaming.py" else "sync_large"
    folder = project(
        tmp_path / "p", "streaming", "streaming_async", services={"s": {"target": target_, "threads": 3}},
        apis={"count": target("s", method, "ndjson") | {"input": {"type": "object", "properties": {"n": True}}}},
    )  # fmt: skip
    count = 160
    with running(folder) as app, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(small_client(app)) for _ in range(5)]
        for client in clients:
            client.send(request("/count", {"n": count}))
        eventually(lambda: app.control()["apis"]["count"]["running"] == 3)
        answers = {}
        for client in clients:
            client.socket.settimeout(0.3)
            with contextlib.suppress(TimeoutError):
                answers[client] = Stream(client)
        assert len(answers) == 3
        first, *others = answers
        first.socket.close()
        for client in set(clients) - set(answers):
            client.socket.settimeout(0.3)
            with contextlib.suppress(TimeoutError):
                answers[client] = Stream(client)
        assert len(answers) == 4
        for client in others:
            client.socket.settimeout(60)
            body = answers[client].rest()
            assert [json.loads(line)["i"] for line in body.splitlines()] == list(range(count))
        for client in set(clients) - {first, *others}:
            client.socket.close()
        eventually(lambda: app.control()["apis"]["count"]["running"] == 0)
        assert app.control()["apis"]["count"]["calls"] == {"ok": 2, "client-gone": 3}


def test_a_request_behind_a_stream_is_answered_after_it(connection, gate):
    connection.send(request("/hold_threads", gate.input) + request("/livez", None, "GET") + request("/count", {"n": 1}))
    answer = Stream(connection)
    assert answer.event().name == "message"
    assert connection._read == b""
    gate.open()
    assert [answer.event().name, answer.event().name, answer.rest()] == ["message", "end", b""]
    assert connection.answer().json
    assert Stream(connection).rest() == b'data: {"i":0}\n\nevent: end\ndata: null\n\n'


def test_an_old_client_gets_its_stream_without_chunks(app):
    body = b'{"n": 2}'
    with Connection(app.url) as connection:
        connection.send(b"POST /count HTTP/1.0\r\ncontent-type: application/json\r\ncontent-length: 8\r\n\r\n" + body)
        answer = Stream(connection)
        assert (answer.status, answer.chunked, answer.headers["connection"]) == (200, False, "close")
        assert answer.rest() == b'data: {"i":0}\n\ndata: {"i":1}\n\nevent: end\ndata: null\n\n'


def test_an_old_client_sees_that_a_raw_stream_was_cut_off(app):
    body = b'{"values": ["a", 5]}'
    head = f"POST /raw HTTP/1.0\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    with Connection(app.url) as connection:
        connection.send(head.encode() + body)
        with pytest.raises(Ended, match="reset"):
            Stream(connection).rest()


def test_an_idle_stream_of_events_is_kept_alive(app, gate):
    """A comment every 15 seconds, which is nothing to a reader of events; lines of JSON have nothing like it."""
    with Connection(app.url) as first, Connection(app.url) as second:
        events, lines = stream(first, "/hold_tasks", gate.input), stream(second, "/lines", gate.input)
        assert events.event().name == "message"
        assert lines.line()
        assert events.until(b"\n\n") == b":"
        assert not second.ended(0.2)
        second.socket.settimeout(20)
        gate.open()
        assert [events.event().name, events.event().name] == ["message", "end"]
        assert lines.line()
        assert (events.rest(), lines.rest()) == (b"", b"")


def test_many_readers_that_come_and_go_leave_nothing_behind(app, gate):
    """Each leaves at another moment: before the head, in it, in a chunk, at the end."""
    before = app.text().count("Traceback")
    for number in range(60):
        with Connection(app.url) as client:
            path, value = ("/count", {"n": 200}) if number % 2 else ("/steady_tasks", gate.input)
            client.send(request(path, value)[: -number % 7 or None])
            if number % 3:
                with contextlib.suppress(Ended, TimeoutError):
                    client.socket.settimeout(0.05)
                    client._exactly(number * 20)
    eventually(lambda: not any(api["running"] or api["waiting"] for api in app.control()["apis"].values()), 10)
    eventually(lambda: gate.count("closed") == gate.count(), 5)
    assert app.text().count("Traceback") == before
    with Connection(app.url) as client:
        assert stream(client, "/count", {"n": 1}).rest().endswith(b"event: end\ndata: null\n\n")
