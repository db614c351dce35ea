"""Streams whose worker, gateway or daemon goes away; what is counted and logged of them."""

import os
import signal

import pytest

from tests.support.daemon import alive, eventually, running
from tests.support.http import Connection, Ended, request
from tests.support.project import Gate, project
from tests.support.streams import stream

pytestmark = pytest.mark.e2e
QUICK = {"delay": "20ms", "max_delay": "100ms", "limit": 1000}
FORMS = ("sse", "ndjson", "raw")


def target(service, method, stream="sse", **more):
    given = {"gate": {"type": "string"}, "before": True, "after": True, "values": True, "n": True, "size": True}
    return {
        "service": service, "method": method, "stream": stream,
        "input": {"type": "object", "properties": given, "additionalProperties": False}, **more,
    }  # fmt: skip


def streaming(folder, **server):
    apis = {f"{form}_{kind}": target(kind, "hold", form) for form in FORMS for kind in ("s", "a")}
    apis |= {
        "once": target("s", "hold", retry=False),
        "count": target("s", "count", "ndjson"),
        "count_async": target("a", "count", "ndjson"),
        "fail": {**target("s", "fail"), "input": {"type": "object", "properties": {"after": True, "kind": True}}},
        "endless_s": target("s", "endless"),
        "endless_a": target("a", "endless"),
        "plain": {"service": "s", "input": {"type": "object", "properties": {}}},
        "texts": target("s", "texts", "raw"),
        "texts_a": target("a", "texts", "raw"),
    }
    more = "\n\ndef texts(gate):\n    for chunk in hold(gate):\n        yield f'{chunk} '\n"
    more_async = "\n\nasync def texts(gate):\n    async for chunk in hold(gate):\n        yield f'{chunk} '\n"
    project(
        folder, "streaming", "streaming_async",
        services={
            "s": {"target": "streaming.py", "restart": QUICK, "threads": 4},
            "a": {"target": "streaming_async.py", "restart": QUICK},
        },
        apis=apis, server=server,
    )  # fmt: skip
    for name, text in (("streaming", more), ("streaming_async", more_async)):
        with (folder / f"{name}.py").open("a") as file:
            file.write(text)
    return folder


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    with running(streaming(tmp_path_factory.mktemp("faults"))) as app:
        yield app


@pytest.fixture
def gate(tmp_path):
    gate = Gate(tmp_path / "gate")
    yield gate
    gate.open()


@pytest.mark.parametrize("kind", ["s", "a"])
@pytest.mark.parametrize("form", ["sse", "ndjson"])
def test_a_workers_death_is_never_a_clean_end(app, connection, gate, form, kind):
    answer = stream(connection, f"/{form}_{kind}", {**gate.input, "before": 2})
    [pid] = {answer.event().data if form == "sse" else answer.line() for _ in range(2)}
    os.kill(pid, signal.SIGKILL)
    problem = answer.event().data if form == "sse" else answer.line()["error"]
    assert (problem["code"], problem["status"]) == ("worker-lost", 503)
    assert answer.rest() == b""
    assert gate.count() == 1  # what has begun is not begun again
    assert connection.ask(request("/plain", {})).status == 200


@pytest.mark.parametrize("path", ["/texts", "/texts_a"])
def test_a_workers_death_cuts_a_raw_stream_off(app, connection, gate, path):
    answer = stream(connection, path, gate.input)
    pid = int(answer.until(b" "))
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(Ended):
        answer.rest()
    assert not answer.complete


@pytest.mark.parametrize("kind", ["s", "a"])
def test_before_its_first_chunk_a_stream_is_run_again(app, connection, gate, kind):
    connection.send(request(f"/ndjson_{kind}", {**gate.input, "before": 0, "after": 2}))
    gate.reached()
    [worker] = app.service(kind)["workers"]
    os.kill(worker["pid"], signal.SIGKILL)
    gate.reached(2)
    gate.open()
    answer = connection.answer()
    assert answer.status == 200
    [pid] = set(answer.body.split())
    assert int(pid) != worker["pid"]


def test_without_retry_it_is_lost_before_its_first_chunk_too(app, connection, gate):
    connection.send(request("/once", {**gate.input, "before": 0}))
    gate.reached()
    os.kill(app.service("s")["workers"][0]["pid"], signal.SIGKILL)
    assert connection.answer().code == "worker-lost"


@pytest.mark.parametrize("kind", ["s", "a"])
def test_a_gateways_death_closes_the_generator(app, gate, kind):
    with Connection(app.url) as client:
        answer = stream(client, f"/endless_{kind}", {**gate.input, "size": 1000})
        assert answer.event().name == "message"
        [gateway] = app.pids("gateway")
        os.kill(gateway, signal.SIGKILL)
        eventually(lambda: gate.count("closed"), 5, "the generator is closed")
        with pytest.raises(Ended):
            answer.rest()
    eventually(lambda: app.pids("gateway") not in ([], [gateway]))
    with Connection(app.url) as client:
        assert client.ask(request("/count", {"n": 2})).body == b'{"i":0}\n{"i":1}\n'


def test_streams_are_counted_when_they_end(app, connection, gate):
    def calls(api):
        return app.control()["apis"][api]

    before = dict(calls("sse_s")["calls"]), dict(calls("fail")["calls"])
    answer = stream(connection, "/sse_s", gate.input)
    answer.event()
    assert calls("sse_s")["running"] == 1
    assert calls("sse_s")["calls"].get("ok", 0) == before[0].get("ok", 0)
    gate.open()
    answer.rest()
    eventually(lambda: calls("sse_s")["calls"].get("ok", 0) == before[0].get("ok", 0) + 1)
    assert calls("sse_s")["running"] == 0
    stream(connection, "/fail", {"after": 1}).rest()
    eventually(lambda: calls("fail")["calls"].get("target-raised", 0) == before[1].get("target-raised", 0) + 1)
    assert "ok" not in calls("fail")["calls"]


def test_the_log_has_the_time_to_the_first_chunk(app, connection, gate):
    answer = stream(connection, "/sse_a", gate.input)
    answer.event()
    assert not connection.ended(0.3)
    connection.socket.settimeout(20)
    gate.open()
    size = len(answer.rest())
    [event] = eventually(lambda: app.events("call.finished", request_id=answer.headers["x-request-id"]))
    assert 0 < event["ttfc_s"] <= event["seconds"] - 0.3
    assert (event["api"], event["status"], event["code"]) == ("sse_a", 200, "ok")
    assert event["bytes_out"] > size
    plain = connection.ask(request("/plain", {}))
    assert "ttfc" not in plain.headers["server-timing"]
    [event] = eventually(lambda: app.events("call.finished", request_id=plain.headers["x-request-id"]))
    assert "ttfc_s" not in event


def test_a_drain_waits_for_streams_and_takes_no_new_ones(tmp_path, gate):
    with (
        running(streaming(tmp_path / "p", gateways=2)) as app,
        Connection(app.url) as first,
        Connection(app.url) as late,
    ):
        answer = stream(first, "/sse_s", gate.input)
        assert answer.event().name == "message"
        late.ask(request("/count", {"n": 1}))
        app.process.send_signal(signal.SIGTERM)
        eventually(lambda: refused(app))
        assert not first.ended(0.3)
        first.socket.settimeout(20)
        gate.open()
        assert [answer.event().name, answer.event().name] == ["message", "end"]
        assert answer.rest() == b""
        assert first.ended()
        assert app.process.wait(20) == 0


def refused(app):
    """Whether nobody accepts connections any more."""
    try:
        Connection(app.url).socket.close()
    except ConnectionRefusedError:
        return True
    return False


@pytest.mark.parametrize(
    ("path", "raw"), [("/sse_s", False), ("/ndjson_a", False), ("/texts", True), ("/texts_a", True)]
)
def test_a_stream_that_outlives_the_drain_has_no_clean_end(tmp_path, gate, path, raw):
    with running(streaming(tmp_path / "p", drain_timeout="500ms")) as app, Connection(app.url) as client:
        answer = stream(client, path, gate.input)
        answer.until(b" " if raw else b"\n\n" if "sse" in path else b"\n")
        pids = [*app.pids(), *app.pids("gateway")]
        app.process.send_signal(signal.SIGTERM)
        if raw:
            with pytest.raises(Ended):
                answer.rest()
        else:
            problem = answer.event().data if "sse" in path else answer.line()["error"]
            assert (problem["code"], problem["status"]) == ("draining", 503)
            assert answer.rest() == b""
        gate.open()
        app.process.wait(40)
        assert not any(map(alive, pids))


def test_a_daemons_death_ends_the_stream(tmp_path, gate):
    with running(streaming(tmp_path / "p"), code=None) as app, Connection(app.url) as client:
        answer = stream(client, "/endless_a", gate.input)
        assert answer.event().name == "message"
        app.process.kill()
        with pytest.raises((Ended, EOFError)) as ended:
            answer.until(b"event: end")
        if ended.type is EOFError:
            assert b"event: error" in ended.value.args[0]
        app.process.wait()


def test_streams_through_several_gateways(tmp_path, gate):
    with running(streaming(tmp_path / "p", gateways=3)) as app:
        for number in range(12):
            with Connection(app.url) as client:
                kind = "count" if number % 2 else "count_async"
                wanted = b"".join(b'{"i":%d}\n' % i for i in range(300))
                assert stream(client, f"/{kind}", {"n": 300}).rest() == wanted
        eventually(lambda: app.control()["apis"]["count"]["calls"].get("ok") == 6)
        assert app.control()["apis"]["count_async"]["calls"] == {"ok": 6}
