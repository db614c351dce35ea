"""Streams: the three framings to the byte, from every kind of generator; how each says that it has failed."""

import json
import re

import pytest

from tests.support.daemon import eventually, running
from tests.support.forms import Part, form
from tests.support.http import Ended, request
from tests.support.project import Gate, project
from tests.support.streams import Stream, stream

pytestmark = [pytest.mark.e2e, pytest.mark.beside]
TENSOR = {"type": "array", "format": "tensor", "dtype": "float32", "shape": [-1]}
INTEGER = {"type": "object", "properties": {"i": {"type": "integer"}}, "required": ["i"], "additionalProperties": False}
MEDIA_TYPES = {"sse": "text/event-stream", "ndjson": "application/x-ndjson", "raw": "text/plain; charset=utf-8"}
GENERATORS = ["threads", "tasks", "threads-beside-tasks"]


def given(*names, **properties):
    properties = dict.fromkeys(names, True) | properties
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def target(service, method, input_=True, output=True, stream="sse", **more):
    return {"service": service, "method": method, "input": input_, "output": output, "stream": stream, **more}


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    apis = {"plain": {"service": "s", "method": "plain", "input": given()}}
    for form_ in MEDIA_TYPES:
        output = {"type": "string"} if form_ == "raw" else INTEGER
        errors = {"builtins:ValueError": 422}
        apis |= {
            f"{form_}_threads": target("s", "count", given("n"), output, form_),
            f"{form_}_tasks": target("a", "count", given("n"), output, form_),
            f"{form_}_threads-beside-tasks": target("a", "sync_count", given("n"), output, form_),
            f"{form_}_fail": target("s", "fail", given("after", "kind"), True, form_),
            f"{form_}_fail_async": target("a", "fail", given("after"), True, form_),
            f"{form_}_mapped": target("s", "fail", given("after"), True, form_, errors=errors),
            f"{form_}_odd": target("s", "odd", given("kind", "after"), True, form_),
            f"{form_}_give": target("s", "give", given("values"), output, form_),
            f"{form_}_unchecked": target("s", "give", given("values"), output, form_, output_check=False),
            f"{form_}_late": target("s", "hold", given("gate", "before"), True, form_, timeout="400ms"),
            f"{form_}_idle": target("s", "hold", given("gate", "before"), True, form_, stream_idle="400ms"),
        }
    apis |= {
        "late_async": target("a", "hold", given("gate", "before"), timeout="400ms"),
        "idle_async": target("a", "hold", given("gate", "before"), stream_idle="400ms"),
        "long": target("s", "hold", given("gate"), timeout="200ms", stream_idle="20s"),
        "no_stream": target("s", "no_stream", given()),
        "no_stream_async": target("a", "no_stream", given()),
        "wrapped": target("a", "wrapped", given("n")),
        "answer": target("s", "answer", given()),
        "arrays": target("s", "arrays", given("n"), TENSOR),
        "pictures": target("s", "pictures", given(), {"type": "string", "format": "image"}),
        "text": target("s", "raw", given("kind"), {"type": "string"}, "raw"),
        "bytes": target("s", "raw", given("kind"), {"type": "string", "format": "binary"}, "raw"),
        "wave": target(
            "s", "raw", given("kind"), {"type": "string", "format": "binary", "contentMediaType": "audio/wav"}, "raw"
        ),
        "lines": target("s", "lines", given(value={"type": "string", "format": "file"}), {"type": "string"}, "ndjson"),
    }
    folder = project(
        tmp_path_factory.mktemp("framing"), "streaming", "streaming_async",
        services={"s": {"target": "streaming.py", "threads": 4}, "a": {"target": "streaming_async.py", "threads": 4}},
        apis=apis,
    )  # fmt: skip
    with running(folder) as app:
        yield app


@pytest.fixture
def gate(tmp_path):
    gate = Gate(tmp_path / "gate")
    yield gate
    gate.open()


@pytest.mark.parametrize("generator", GENERATORS)
@pytest.mark.parametrize("n", [0, 1, 3, 500])
def test_server_sent_events(connection, generator, n):
    answer = stream(connection, f"/sse_{generator}", {"n": n})
    assert (answer.status, answer.headers["content-type"]) == (200, "text/event-stream")
    chunks = b"".join(b'data: {"i":%d}\n\n' % i for i in range(n))
    assert answer.rest() == chunks + b"event: end\ndata: null\n\n"
    assert connection.ask(request("/livez", None, "GET")).status == 200  # the connection goes on


@pytest.mark.parametrize("generator", GENERATORS)
@pytest.mark.parametrize("n", [0, 1, 3, 500])
def test_lines_of_json(connection, generator, n):
    answer = stream(connection, f"/ndjson_{generator}", {"n": n})
    assert (answer.status, answer.headers["content-type"]) == (200, "application/x-ndjson")
    assert answer.rest() == b"".join(b'{"i":%d}\n' % i for i in range(n))
    assert connection.ask(request("/livez", None, "GET")).status == 200


@pytest.mark.parametrize(
    ("path", "kind", "media_type", "body"),
    [
        ("/text", "text", "text/plain; charset=utf-8", "é\ntwo\nlines".encode()),
        ("/bytes", "bytes", "application/octet-stream", b"\xff\x00\x01"),
        ("/wave", "bytes", "audio/wav", b"\xff\x00\x01"),
        ("/bytes", "large", "application/octet-stream", b"x" * 5_000_000 + b"y"),
    ],
)
def test_raw_chunks_follow_each_other(connection, path, kind, media_type, body):
    answer = stream(connection, path, {"kind": kind})
    assert (answer.status, answer.headers["content-type"]) == (200, media_type)
    assert answer.rest() == body


def test_the_head_of_a_stream(connection):
    answer = stream(connection, "/sse_threads", {"n": 2}, {"x-request-id": "mine"})
    assert answer.headers["x-request-id"] == "mine"
    assert answer.headers["cache-control"] == "no-store"
    assert "content-length" not in answer.headers
    assert re.fullmatch(r"queue;dur=[\d.]+, run;dur=[\d.]+, ttfc;dur=[\d.]+", answer.headers["server-timing"])
    answer.rest()


def test_status_and_headers_are_those_of_the_first_chunk(connection):
    answer = stream(connection, "/answer", {})
    assert (answer.status, answer.headers["x-model"], "x-late" in answer.headers) == (201, "one", False)
    assert [answer.event().data, answer.event().data, answer.event().name] == [1, 2, "end"]


def test_chunks_of_special_types(connection):
    answer = stream(connection, "/arrays", {"n": 2})
    assert answer.rest() == b"data: [0.0,0.0]\n\ndata: [1.0,1.0]\n\nevent: end\ndata: null\n\n"
    picture = stream(connection, "/pictures", {}).event()
    assert picture.data.startswith("iVBOR")


def test_text_in_events_has_no_line_ends_of_its_own(connection):
    values = ["a\nb", "\r\n\r\n", "", "event: end", "\u2028", None, 5, {"a": [True]}, "\ndata: x\n\n"]
    answer = stream(connection, "/sse_unchecked", {"values": values})
    assert [answer.event() for _ in values] == [("message", value) for value in values]
    assert answer.event() == ("end", None)


def test_a_coroutine_may_give_the_generator(connection):
    assert stream(connection, "/wrapped", {"n": 1}).rest().startswith(b'data: {"i":0}')


def test_a_file_lives_as_long_as_its_stream(connection):
    body, header = form(Part("value", b"one\ntwo\n" * 500, "", "a.txt"))
    connection.send(request("/lines", body, headers=header))
    answer = Stream(connection)
    assert [answer.line() for _ in range(1000)] == ["one\n", "two\n"] * 500
    assert answer.rest() == b""


@pytest.mark.parametrize("form_", MEDIA_TYPES)
def test_accept_of_a_stream(connection, gate, form_):
    own = MEDIA_TYPES[form_].partition(";")[0]
    for accept in (own, "*/*", f"{own.split('/')[0]}/*", f"application/json, {own};q=0.1"):
        assert stream(connection, f"/{form_}_unchecked", {"values": []}, {"accept": accept}).rest() is not None
    for accept in ("application/json", f"{own};q=0, */*", "image/*"):
        answer = connection.ask(request(f"/{form_}_late", {**gate.input, "before": 1}, headers={"accept": accept}))
        assert (answer.code, own in answer.json["detail"]) == ("not-acceptable", True)
    assert gate.count() == 0


@pytest.mark.parametrize("form_", MEDIA_TYPES)
def test_what_fails_before_the_first_chunk_is_a_problem(connection, form_):
    for path, value, status, code in (
        ("fail", {"after": 0, "kind": "value"}, 500, "target-raised"),
        ("fail", {"after": 0, "kind": "exit"}, 500, "target-raised"),
        ("fail", {"after": 0, "kind": "generator"}, 500, "target-raised"),
        ("fail_async", {"after": 0}, 500, "target-raised"),
        ("mapped", {"after": 0}, 422, "target-raised"),
        ("odd", {"kind": "object", "after": 0}, 500, "output-unserializable"),
        ("odd", {"kind": "set", "after": 0}, 500, "output-unserializable"),
        ("give", {"values": [5]}, 500, "output-invalid"),
        ("give", {"more": 5}, 422, "invalid-input"),
    ):
        answer = connection.ask(request(f"/{form_}_{path}", value))
        assert (answer.status, answer.code) == (status, code)
        assert ("secret" in answer.body.decode()) is (path == "mapped")
    if form_ != "raw":
        assert connection.ask(request(f"/{form_}_odd", {"kind": "nan", "after": 0})).code == "output-invalid"


MIDDLE = [
    ("fail", {"after": 3, "kind": "value"}, "target-raised"),
    ("fail", {"after": 3, "kind": "stop"}, "target-raised"),
    ("fail", {"after": 3, "kind": "exit"}, "target-raised"),
    ("fail_async", {"after": 3}, "target-raised"),
    ("mapped", {"after": 3}, "target-raised"),
    ("odd", {"kind": "object", "after": 3}, "output-unserializable"),
    ("odd", {"kind": "nan", "after": 3}, "output-invalid"),
    ("odd", {"kind": "bytes", "after": 3}, "output-unserializable"),
    ("give", {"values": [{"i": 0}, {"i": 1}, {"i": 2}, {"i": "3"}, {"i": 4}]}, "output-invalid"),
]


@pytest.mark.parametrize("form_", ["sse", "ndjson"])
@pytest.mark.parametrize(("path", "value", "code"), MIDDLE)
def test_what_fails_later_is_told_after_all_that_was_good(app, connection, form_, path, value, code):
    answer = stream(connection, f"/{form_}_{path}", value)
    assert answer.status == 200
    if form_ == "sse":
        assert [answer.event() for _ in range(3)] == [("message", {"i": i}) for i in range(3)]
        name, problem = answer.event()
        assert name == "error"
    else:
        assert [answer.line() for _ in range(3)] == [{"i": i} for i in range(3)]
        [(name, problem)] = answer.line().items()
        assert name == "error"
    assert answer.rest() == b""
    assert (problem["code"], problem["request_id"]) == (code, answer.headers["x-request-id"])
    assert problem["status"] == (422 if path == "mapped" else 500)
    assert ("secret" in json.dumps(problem)) is (path == "mapped")
    [event] = eventually(lambda: app.events("call.finished", request_id=problem["request_id"]))
    assert (event["code"], event["status"]) == (code, 200)
    assert event["error"]
    assert event["ttfc_s"] > 0
    assert connection.ask(request("/livez", None, "GET")).status == 200


@pytest.mark.parametrize(("path", "value"), [
    ("/text", {"kind": "wrong"}), ("/raw_unchecked", {"values": ["a", {"b": 1}]}),
    ("/raw_unchecked", {"values": ["a", None]}), ("/raw_give", {"values": ["a", 5]}),
])  # fmt: skip
def test_a_raw_stream_that_fails_is_cut_off(app, connection, path, value):
    connection.send(request(path, value))
    with pytest.raises(Ended):
        connection.answer()
    assert eventually(lambda: app.events("call.finished"))
    assert connection.ended()


def test_a_chunk_that_raw_cannot_say_is_a_problem_at_once(connection):
    assert connection.ask(request("/text", {"kind": "wrong at once"})).code == "output-invalid"
    assert connection.ask(request("/bytes", {"kind": "text"})).code == "output-invalid"


@pytest.mark.parametrize("path", ["/no_stream", "/no_stream_async"])
def test_what_is_no_generator_is_told(app, connection, path):
    answer = connection.ask(request(path, {}))
    assert (answer.status, answer.code) == (500, "output-invalid")
    [event] = eventually(lambda: app.events("call.finished", request_id=answer.headers["x-request-id"]))
    assert "list" in event["error"]


@pytest.mark.parametrize("path", ["/sse_late", "/raw_late", "/late_async"])
def test_without_a_first_chunk_in_time_it_is_504(connection, gate, path):
    answer = connection.ask(request(path, {**gate.input, "before": 0}))
    assert (answer.status, answer.code) == (504, "deadline-exceeded")
    if path.endswith("async"):
        gate.reached(1, "closed")
    gate.open()
    gate.reached(1, "closed")


@pytest.mark.parametrize("path", ["/sse_idle", "/ndjson_idle", "/raw_idle", "/idle_async"])
def test_a_stream_that_falls_silent_is_ended(connection, gate, path):
    if path == "/raw_idle":
        connection.send(request("/raw_idle", {**gate.input, "before": 1}))
        assert connection.answer().code == "output-invalid"  # numbers are nothing raw
        return
    answer = stream(connection, path, {**gate.input, "before": 2})
    if path == "/ndjson_idle":
        assert (answer.line(), answer.line(), answer.line()["error"]["code"])[2] == "deadline-exceeded"
    else:
        assert [answer.event().name for _ in range(3)] == ["message", "message", "error"]
    assert answer.rest() == b""
    gate.open()
    gate.reached(1, "closed")


def test_a_stream_may_take_longer_than_its_timeout(connection, gate):
    answer = stream(connection, "/long", gate.input)
    assert answer.event().name == "message"
    assert not connection.ended(0.5)
    gate.open()
    connection.socket.settimeout(20)
    assert [answer.event().name, answer.event().name] == ["message", "end"]


def test_streams_take_post_only(connection):
    answer = connection.ask(request("/sse_threads", None, "GET"))
    assert (answer.status, answer.headers["allow"]) == (405, "POST")
