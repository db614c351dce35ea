"""What comes of a call: answers, answers that cannot be sent, exceptions, deadlines, contexts."""

import math

import pytest

from tests.support.daemon import eventually, running
from tests.support.http import Connection, request
from tests.support.project import Gate, api, project

pytestmark = [pytest.mark.e2e, pytest.mark.beside]
ERRORS = {"failing:ModelError": 422, "failing:TooHot": 429, "builtins:LookupError": 404, "builtins:TimeoutError": 599}


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    folder = project(
        tmp_path_factory.mktemp("calls"),
        "answers",
        "failing",
        "waiting",
        "reader",
        services={name: {"target": f"{name}.py"} for name in ("answers", "failing", "waiting", "reader")},
        apis={
            "give": api("answers", "give", "kind"),
            "give_unchecked": api("answers", "give", "kind", output=False, output_check=False),
            "number": api("answers", "echo", "x", output={"type": "number"}),
            "typed": api("answers", "echo", "x", output={"$ref": "#/types/Small"}),
            "fail": api("failing", "fail", "kind"),
            "fail_async": api("failing", "fail_async", "kind"),
            "mapped": api("failing", "fail", "kind", errors=ERRORS),
            "hold": api("waiting", "hold", "gate", timeout="300ms"),
            "hold_async": api("waiting", "hold_async", "gate", timeout="300ms"),
            "pid": api("waiting", "pid"),
            **{name: api("reader", name) for name in ("look", "look_async")},
            "look_with": api("reader", "look_with", "name"),
            "look_at": {"service": "reader", "method": "look_at", "input": {"type": "string"}, "timeout": "7s"},
            "answer": api("reader", "answer", "status", "headers"),
            "own": api("reader", "own", "context"),
        },
        types={"Small": {"type": "integer", "maximum": 9}},
    )
    with running(folder) as app:
        yield app


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("none", None),
        ("text", "a\u2028b\u00e9\U0001f600"),
        ("tuple", [1, 2]),
        ("large", 2**63),
        ("most", 2**64 - 1),
        ("nested null", {"a": [None, 1.5]}),
    ],
)
def test_what_json_can_hold_is_answered(connection, kind, value):
    answer = connection.ask(request("/give", {"kind": kind}))
    assert (answer.status, answer.json) == (200, value)


@pytest.mark.parametrize("path", ["/give", "/give_unchecked"])
@pytest.mark.parametrize(
    "kind",
    ["set", "bytes", "nested bytes", "int keys", "mixed keys", "none key", "tuple key", "too large", "too small",
     "recursive", "deep", "object", "broken", "function", "generator", "complex", "date", "surrogate"],
)  # fmt: skip
def test_what_json_cannot_hold_is_output_unserializable(app, connection, path, kind):
    answer = connection.ask(request(path, {"kind": kind}))
    assert (answer.status, answer.code) == (500, "output-unserializable")
    assert "secret" not in str(answer)
    assert connection.ask(request("/give", {"kind": "none"})).status == 200
    request_id = answer.headers["x-request-id"]
    [event] = eventually(lambda: app.events("call.finished", request_id=request_id))
    assert event["error"]  # the reason, for the operator


@pytest.mark.parametrize("path", ["/give", "/give_unchecked"])
@pytest.mark.parametrize("kind", ["nan", "nested infinity"])
def test_nan_and_infinity_are_output_invalid(connection, path, kind):
    answer = connection.ask(request(path, {"kind": kind}))
    assert (answer.status, answer.code) == (500, "output-invalid")


def test_an_output_that_does_not_match_is_output_invalid_without_words(app, connection):
    answer = connection.ask(request("/number", {"x": "private"}))
    assert (answer.status, answer.code) == (500, "output-invalid")
    assert "private" not in answer.body.decode()
    [event] = eventually(lambda: app.events("call.finished", request_id=answer.headers["x-request-id"]))
    assert "number" in event["error"]
    assert connection.ask(request("/typed", {"x": 9})).json == 9
    assert connection.ask(request("/typed", {"x": 10})).code == "output-invalid"


def test_an_unchecked_output_is_sent_as_it_is(connection):
    assert connection.ask(request("/give_unchecked", {"kind": "tuple"})).json == [1, 2]


@pytest.mark.parametrize("path", ["/fail", "/fail_async"])
@pytest.mark.parametrize(
    "kind",
    ["value", "hot", "inner", "exit", "interrupt", "key", "unprintable", "recursion", "surrogate", "long", "cause",
     "memory", "stop", "generator", "timeout"],
)  # fmt: skip
def test_an_exception_tells_the_client_nothing(connection, path, kind):
    answer = connection.ask(request(path, {"kind": kind}))
    expected = (503, "out-of-memory") if kind == "memory" else (500, "target-raised")
    assert (answer.status, answer.code) == expected
    assert not {"detail", "errors"} & answer.json.keys()
    for word in ("secret", "failing", "Error", "Traceback", "/tmp", ".py"):
        assert word not in answer.body.decode()
        assert word not in str(answer.headers)


def test_the_traceback_is_in_the_log(app, connection):
    request_id = connection.ask(request("/fail", {"kind": "cause"})).headers["x-request-id"]
    [event] = eventually(lambda: app.events("call.finished", request_id=request_id))
    assert event["error"] == "RuntimeError: secret-effect"

    def lines():
        return "\n".join(event["line"] for event in app.events("worker.output", service="failing"))

    eventually(lambda: "RuntimeError: secret-effect" in lines())
    assert "ValueError: secret-cause" in lines()
    assert 'failing.py", line' in lines()
    assert "in _secret_helper" in lines()
    assert "bentod/worker" not in lines()  # it starts in the user's code


def test_a_worker_survives_whatever_a_call_raises(app, connection):
    before = app.service("failing")["workers"][0]
    for kind in ("exit", "interrupt", "memory", "generator"):
        connection.ask(request("/fail", {"kind": kind}))
        connection.ask(request("/fail_async", {"kind": kind}))
    after = app.service("failing")["workers"][0]
    assert (after["pid"], after["restarts"], after["state"]) == (before["pid"], 0, "ready")


@pytest.mark.parametrize(
    ("kind", "status", "detail"),
    [
        ("model", 422, "secret-text"),
        ("hot", 429, "secret-text"),
        ("inner", 422, "secret-text"),
        ("key", 404, "secret-key"),
        ("timeout", 599, "secret-text"),
        ("surrogate", 422, "secret ? text"),
    ],
)
def test_a_mapped_exception_has_its_status_and_text(connection, kind, status, detail):
    """The nearest class decides, be it the exception's own or one that it inherits from."""
    answer = connection.ask(request("/mapped", {"kind": kind}))
    assert (answer.status, answer.code, answer.json["status"]) == (status, "target-raised", status)
    assert answer.json["detail"] == detail
    assert "failing" not in answer.body.decode()


def test_an_exception_that_is_not_mapped_stays_500(connection):
    answer = connection.ask(request("/mapped", {"kind": "value"}))
    assert answer.status == 500
    assert "detail" not in answer.json


def test_a_synchronous_call_that_is_late_is_504_and_holds_its_slot(app, tmp_path):
    gate = Gate(tmp_path / "gate")
    with Connection(app.url) as one, Connection(app.url) as two:
        late = one.ask(request("/hold", gate.input))
        assert (late.status, late.code) == (504, "deadline-exceeded")
        assert one.ask(request("/hold", gate.input)).code == "deadline-exceeded"
        assert gate.count() == 1  # the second never began
        two.send(request("/pid", {}))  # it waits for the slot
        gate.open()
        assert two.answer().json == app.service("waiting")["workers"][0]["pid"]
    assert gate.count() == 1


def test_an_async_call_that_is_late_is_504_and_cancelled(app, tmp_path):
    gate = Gate(tmp_path / "gate")
    with Connection(app.url) as connection:
        assert connection.ask(request("/hold_async", gate.input)).code == "deadline-exceeded"
    gate.reached(1, "cancelled")


@pytest.mark.parametrize("path", ["/look", "/look_async"])
def test_the_context_is_the_request(connection, path):
    headers = {"x-request-id": "mine", "X-Custom": "caf\xe9", "authorization": "Bearer x"}
    seen = connection.ask(request(path, {}, headers=headers)).json
    assert seen["request_id"] == "mine"
    assert seen["headers"].items() >= {"x-custom": "caf\xe9", "authorization": "Bearer x", "host": "e2e"}.items()
    assert 0 < seen["remaining"] <= 30


def test_the_context_comes_besides_the_input(connection):
    assert connection.ask(request("/look_with", {"name": "Ada"})).json["name"] == "Ada"
    seen = connection.ask(request("/look_at", "Ada")).json
    assert seen["value"] == "Ada"
    assert 0 < seen["remaining"] <= 7


def test_a_property_named_context_is_the_clients(connection):
    assert connection.ask(request("/own", {"context": "mine"})).json == "mine"


@pytest.mark.parametrize("status", [200, 201, 202, 203, 404, 418, 503, 599])
def test_the_context_sets_status_and_headers(connection, status):
    headers = {"X-Model": "v1", "x-number": 7, "cache-control": "no-store", "x-empty": "", "x-latin": "caf\xe9"}
    answer = connection.ask(request("/answer", {"status": status, "headers": headers}))
    assert (answer.status, answer.json) == (status, "set")
    assert answer.headers.items() >= {name.lower(): str(value) for name, value in headers.items()}.items()


@pytest.mark.parametrize("status", [99, 100, 101, 199, 204, 205, 304, 600, 1000, -1, 0, True, "200", 200.5, [200]])
def test_a_status_that_cannot_be_is_output_invalid(connection, status):
    answer = connection.ask(request("/answer", {"status": status, "headers": {}}))
    assert (answer.status, answer.code) == (500, "output-invalid")
    assert connection.ask(request("/pid", {})).status == 200


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x-a", "a\r\nx-b: c"),
        ("x-a", "a\nb"),
        ("x-a", "a\0"),
        ("x-a", "\U0001f600"),
        ("x-a", ["b"]),
        ("x-a", None),
        ("x a", "b"),
        ("x-a:", "b"),
        ("", "b"),
        ("caf\xe9", "b"),
        ("x\r\ny", "b"),
        ("x-long", "b" * 5000),
        ("Content-Length", "3"),
        ("content-type", "text/html"),
        ("transfer-encoding", "chunked"),
        ("connection", "close"),
        ("X-Request-ID", "other"),
        ("Server-Timing", "x"),
        ("date", "never"),
    ],
    ids=repr,
)
def test_a_header_that_cannot_be_is_output_invalid(connection, name, value):
    answer = connection.ask(request("/answer", {"status": 200, "headers": {name: value}}))
    assert (answer.status, answer.code) == (500, "output-invalid")
    assert connection.ask(request("/pid", {})).status == 200


def test_the_answers_times_are_told(connection, app):
    answer = connection.ask(request("/pid", {}))
    queue, run = (float(part.rpartition("=")[2]) for part in answer.headers["server-timing"].split(","))
    assert 0 <= queue < 60_000
    assert 0 <= run < 60_000
    assert not math.isnan(run)


def test_status_counts_how_calls_ended(app, connection):
    def calls():
        return app.control()["apis"]["number"]["calls"]

    before = calls()
    connection.ask(request("/number", {"x": 1}))
    connection.ask(request("/number", {"x": "a"}))
    connection.ask(request("/number", {}))
    after = calls()
    difference = {code: after[code] - before.get(code, 0) for code in after}
    assert {code: count for code, count in difference.items() if count} == {
        "ok": 1,
        "output-invalid": 1,
        "invalid-input": 1,
    }
