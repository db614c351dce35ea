"""What is refused before a worker hears of it, with which problem, and in which order."""

import json
import socket

import pytest

from tests.support.daemon import running
from tests.support.http import Connection, chunked, request
from tests.support.project import Gate, api, project

pytestmark = [pytest.mark.e2e, pytest.mark.beside]
POINT = {
    "type": "object",
    "properties": {"x": {"type": "integer", "minimum": 0}, "a/b~c": {"type": "string"}, "more": True},
    "required": ["x"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    folder = project(
        tmp_path_factory.mktemp("bodies"),
        "answers",
        "waiting",
        services={"answers": {"target": "answers.py"}, "waiting": {"target": "waiting.py"}},
        apis={
            "any": {"service": "answers", "method": "same"},
            "points": {"service": "answers", "method": "same", "input": {"type": "array", "items": POINT}},
            "point": {"service": "answers", "method": "same", "input": {"allOf": [POINT]}},
            "loose": {"service": "answers", "method": "echo", "input": {"properties": {"x": {"type": "integer"}}}},
            "open": {"service": "answers", "method": "echo", "input": {"type": "object", "properties": {"x": True}}},
            "small": {"service": "answers", "method": "same", "max_body": "1KiB"},
            "hold": api("waiting", "hold", "gate", queue=1),
        },
    )
    with running(folder) as app:
        yield app


def json_request(path, body, **headers):
    return request(path, body, headers={"content-type": "application/json", **headers})


@pytest.mark.parametrize(
    "body",
    [b"null", b"true", b"0", b"-1.5e3", b'""', b"[]", b"{}", b' {"a" : [1, {"b": null}]} \n', '"é\U0001f600"'.encode(),
     b'"\\u0000"', b'{"a": {"b": 1}, "c": ":"}', b"18446744073709551615"],
)  # fmt: skip
def test_any_json_value_goes_there_and_back(connection, body):
    answer = connection.ask(json_request("/any", body))
    assert (answer.status, answer.json) == (200, json.loads(body))


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "empty"),
        (b" \r\n", "empty"),
        (b"{", "line 1"),
        (b"{'a': 1}", ""),
        (b"[1,]", ""),
        (b"[1] [2]", ""),
        (b"// no\n1", ""),
        (b"nul", ""),
        (b"01", ""),
        (b"+1", ""),
        (b".5", ""),
        (b"NaN", ""),
        (b"[Infinity]", ""),
        (b"[-Infinity]", ""),
        (b"1e999", ""),
        (b"1" * 5000, ""),
        (b'{"a": {"b": ' + b"1" * 5000 + b"}}", ""),
        (b'"\xff"', "UTF-8"),
        (b"\xef\xbb\xbf1", ""),
        ('"a"'.encode("utf-16"), ""),
        (b'"\\ud800"', ""),
        (b'"\x01"', ""),
        (b'"a', ""),
        (b'{"a": 1, "a": 2}', "'a'"),
        (b'{"a": 1, "\\u0061": 2}', "'a'"),
        (b"[" * 65 + b"]" * 65, "64"),
        (b'{"a":' * 65 + b"1" + b"}" * 65, "64"),
        (b"[" * 100_000, ""),
        (b"[" * 100_000 + b"]" * 100_000, "depth"),
    ],
    ids=lambda value: None if isinstance(value, str) else repr(value[:24]),
)
def test_what_is_no_strict_json_is_400(connection, body, said):
    answer = connection.ask(json_request("/any", body))
    assert (answer.status, answer.code) == (400, "malformed-body")
    assert said in answer.json["detail"]
    assert connection.ask(json_request("/any", b"1")).json == 1


def test_64_levels_are_not_too_deep(connection):
    body = b"[" * 64 + b"]" * 64
    assert connection.ask(json_request("/any", body)).body == body
    brackets_in_a_string = json.dumps(["[" * 1000, '"]' * 500]).encode()
    assert connection.ask(json_request("/any", brackets_in_a_string)).status == 200


def test_a_wrong_place_is_told_with_line_and_column(connection):
    answer = connection.ask(json_request("/any", b'{\n "a": x}'))
    assert "line 2" in answer.json["detail"]


@pytest.mark.parametrize(
    "media_type",
    ["application/json", "Application/JSON", "application/json; charset=utf-8", 'application/json;charset="UTF-8"'],
)
def test_json_is_taken_under_its_names(connection, media_type):
    assert connection.ask(request("/any", b"1", headers={"content-type": media_type})).json == 1


def test_a_body_without_a_type_is_json(connection):
    assert connection.ask(request("/any", b"[1]")).json == [1]


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "text/plain"},
        {"content-type": "application/xml"},
        {"content-type": "multipart/form-data; boundary=x"},
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": "application/json; charset=latin-1"},
        {"content-type": ""},
        {"content-type": "json"},
        {"content-type": "application/json", "content-encoding": "gzip"},
    ],
    ids=str,
)
def test_another_media_type_is_415_and_told_what_would_do(connection, headers):
    answer = connection.ask(request("/any", b"1", headers=headers))
    assert (answer.status, answer.code) == (415, "unsupported-media-type")
    assert "application/json" in answer.headers["accept-post"]


@pytest.mark.parametrize(
    "accept",
    ["*/*", "application/*", "application/json", "text/html, application/json;q=0.1", "text/html;q=1, */*;q=0.5", ""],
)
def test_an_accept_that_json_fits(connection, accept):
    assert connection.ask(json_request("/any", b"1", accept=accept)).status == 200


@pytest.mark.parametrize("accept", ["text/html", "application/json;q=0", "application/json;q=0, text/*", "image/*"])
def test_an_accept_that_json_does_not_fit_is_406(connection, accept):
    answer = connection.ask(json_request("/any", b"1", accept=accept))
    assert (answer.status, answer.code) == (406, "not-acceptable")


def test_who_wants_anything_but_json_gets_messagepack(connection):
    answer = connection.ask(json_request("/any", b"1", accept="application/json;q=0, */*"))
    assert (answer.status, answer.headers["content-type"]) == (200, "application/msgpack")


def test_all_that_is_wrong_is_told_with_pointers(connection):
    answer = connection.ask(request("/points", [{"x": 1}, {"x": -1, "a/b~c": 5}, {"y": 1}, 7]))
    assert (answer.status, answer.code) == (422, "invalid-input")
    pointers = [error["pointer"] for error in answer.json["errors"]]
    assert sorted(pointers) == ["/1/a~1b~0c", "/1/x", "/2", "/2", "/3"]
    assert all(error["detail"] for error in answer.json["errors"])


def test_at_most_100_errors_are_told(connection):
    answer = connection.ask(request("/points", [{}] * 5000))
    assert answer.status == 422
    assert [error["pointer"] for error in answer.json["errors"]] == [f"/{n}" for n in range(100)]


def test_a_huge_wrong_value_is_not_sent_back(connection):
    answer = connection.ask(request("/points", [{"x": "long" * 100_000}]))
    assert answer.status == 422
    assert len(answer.body) < 2000


@pytest.mark.parametrize("value", [b"5", b"[1]", b'"x"', b"null"])
def test_what_cannot_be_keyword_arguments_is_invalid_input(connection, value):
    """The schema alone would let it pass."""
    answer = connection.ask(request("/loose", value))
    assert (answer.status, answer.code) == (422, "invalid-input")


def test_undeclared_properties_do_not_reach_the_callable(connection):
    assert connection.ask(request("/open", {"x": 1, "y": 2})).json == 1


def test_a_missing_optional_argument_without_default_is_the_targets_failure(connection):
    assert connection.ask(request("/open", {})).code == "target-raised"


@pytest.mark.parametrize("size", [1022, 1023])
def test_a_body_over_the_limit_is_413(app, size):
    body = b'"' + b"x" * size + b'"'
    with Connection(app.url) as connection:
        answer = connection.ask(json_request("/small", body))
        if len(body) <= 1024:
            assert answer.status == 200
        else:
            assert (answer.status, answer.code, answer.headers["connection"]) == (413, "body-too-large", "close")
            assert connection.ended()


def test_a_chunked_body_over_the_limit_is_413_while_it_comes(app):
    head = request("/small", None, headers={"transfer-encoding": "chunked", "content-type": "application/json"})
    with Connection(app.url) as connection:
        connection.send(head + chunked(*[b"x" * 600] * 2)[:-5])  # and no end
        answer = connection.answer()
        assert (answer.status, answer.code) == (413, "body-too-large")
        assert connection.ended()


@pytest.mark.parametrize("path", ["/any", "/small"])
def test_an_announced_gigabyte_is_refused_at_once(app, path):
    with Connection(app.url, patience_s=5) as connection:
        answer = connection.ask(request(path, None, headers={"content-length": str(2**30)}))
        assert (answer.status, answer.code) == (413, "body-too-large")
        assert connection.ended(5)


def test_a_client_that_goes_on_sending_still_gets_its_413(app):
    with Connection(app.url) as connection:
        connection.send(request("/small", None, headers={"content-length": str(2**30)}))
        try:
            for _ in range(64):
                connection.send(b"x" * 65536)
        except OSError:
            pytest.fail("the connection was reset before the answer could be read")
        assert connection.answer().code == "body-too-large"


def test_100_continue_is_not_said_to_a_body_that_is_too_large(app):
    with Connection(app.url) as connection:
        headers = {"content-length": "5000", "expect": "100-continue", "content-type": "application/json"}
        assert connection.ask(request("/small", None, headers=headers)).status == 413


def test_the_order_of_the_checks(app):
    long = b"x" * 2000
    text, html = {"content-type": "text/plain"}, {"accept": "text/html"}

    def code(path, body, headers, method="POST"):
        with Connection(app.url) as connection:
            return connection.ask(request(path, body, method, headers)).code

    assert code("/nothing", long, text | html, "PUT") == "not-found"
    assert code("/small", long, text | html, "PUT") == "method-not-allowed"
    assert code("/small", long, text | html) == "body-too-large"
    assert code("/small", b"x", text | html) == "unsupported-media-type"
    assert code("/small", b"x", html) == "not-acceptable"
    assert code("/points", b"x", {}) == "malformed-body"
    assert code("/points", b"1", {}) == "invalid-input"


def test_the_schema_comes_before_admission(app, tmp_path):
    gate = Gate(tmp_path / "gate")
    with Connection(app.url) as first, Connection(app.url) as second, Connection(app.url) as third:
        first.send(request("/hold", gate.input))
        gate.reached()
        second.send(request("/hold", gate.input))
        while third.ask(request("/hold", gate.input)).code != "queue-full":
            pass
        assert third.ask(request("/hold", {})).code == "invalid-input"
        gate.open()
        assert first.answer().status == second.answer().status == 200


def test_nothing_refused_has_reached_a_worker(app, connection):
    def calls():
        return app.service("answers")["workers"][0]["calls"]

    before = calls()
    for path, body in (("/nothing", b"1"), ("/any", b"{"), ("/points", b"1")):
        assert connection.ask(request(path, body)).status >= 400
    assert calls() == before


def test_a_client_that_leaves_amid_its_body_is_no_failure(app):
    with Connection(app.url) as connection:
        connection.send(request("/any", None, headers={"content-length": "100"}) + b"[1")
    with Connection(app.url) as connection:
        connection.socket.shutdown(socket.SHUT_WR)
        assert connection.ended()
    with Connection(app.url) as connection:
        assert connection.ask(request("/any", 1)).json == 1
    assert "Traceback" not in app.text()
