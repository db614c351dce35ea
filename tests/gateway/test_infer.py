"""One call through the gateway, good and bad."""

from __future__ import annotations

import asyncio
import gc
import math
import weakref

import pytest

from bentod.wire.entries import DONE, NAMED, POSITIONAL, RAISED
from tests.support.asgi import Client, api, method, refuse, serving, with_head
from tests.support.loops import run, turns, until

NUMBERS = {"type": "object", "properties": {"x": {"type": "number"}, "y": {"type": "number"}}, "required": ["x"]}


def sends(*args, api_=None, **options):
    """Serve one API, send one request; the response."""
    serve = {key: options.pop(key) for key in ("answer", "found", "ready", "admit", "types") if key in options}

    async def main():
        async with serving(api_ or api(), **serve) as bench:
            return await bench.send(*args, **options)

    return run(main())


# ── good calls ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("value", [None, 0, "text", [1, [2]], {"a": {"b": []}}, 1.5, True, "ä\u2028"], ids=repr)
def test_a_value_goes_in_and_comes_out(value):
    response = sends(value)
    assert (response.status, response.headers["content-type"], response.json) == (200, "application/json", value)
    assert "run;dur=250.000" in response.headers["server-timing"]


@pytest.mark.parametrize(
    ("schema", "value", "kind"),
    [
        (NUMBERS, {"x": 1}, NAMED),
        ({"$ref": "#/types/N"}, {"x": 1}, NAMED),
        (True, {"x": 1}, POSITIONAL),
        ({"type": "object"}, {"x": 1}, POSITIONAL),
        ({"type": "array"}, [1], POSITIONAL),
    ],
)
def test_objects_with_properties_are_keyword_arguments_and_all_else_is_one_argument(schema, value, kind):
    async def main():
        async with serving(api(input=schema), types={"N": NUMBERS}) as bench:
            await bench.send(value)
            assert bench.asked[0][0] == kind
            assert bench.asked[0][4] == value

    run(main())


@pytest.mark.parametrize(("any_name", "passed"), [(False, {"x": 1}), (True, {"x": 1, "extra": 2})])
def test_undeclared_properties_only_reach_a_callable_that_takes_any(any_name, passed):
    async def main():
        async with serving(api(input=NUMBERS), found=method("f", "x", "y", any_name=any_name)) as bench:
            assert (await bench.send({"x": 1, "extra": 2})).json == passed

    run(main())


@pytest.mark.parametrize("value", [5, "text", [1], None])
def test_what_is_no_object_cannot_be_keyword_arguments(value):
    response = sends(value, api_=api(input={"properties": {"x": {"type": "number"}}}), found=method("f", "x"))
    assert (response.status, response.code) == (422, "invalid-input")
    assert response.json["errors"][0]["pointer"] == ""


def test_a_callable_with_context_gets_id_and_headers_and_others_do_not():
    async def main():
        for found, expected in (
            (method("f", "x", "context"), ["id-7", {"x-request-id": "id-7", "accept": "*/*"}]),
            (method("f", "x"), None),
        ):
            async with serving(api(input=NUMBERS), found=found) as bench:
                await bench.send({"x": 1}, headers={"X-Request-Id": "id-7", "Accept": "*/*"})
                assert bench.asked[0][5] == expected
                assert "context" not in bench.asked[0][4]

    run(main())


def test_a_property_called_context_is_the_clients():
    schema = {"type": "object", "properties": {"context": {"type": "string"}}}

    async def main():
        async with serving(api(input=schema), found=method("f", "context")) as bench:
            assert (await bench.send({"context": "mine"})).json == {"context": "mine"}
            assert bench.asked[0][5] is None

    run(main())


def test_the_deadline_travels_with_the_call():
    async def main():
        async with serving(api(timeout_s=5.0)) as bench:
            await bench.send(1)
            await bench.send(2)
            first, second = (entry[3] for entry in bench.asked)
            assert 0 < second - first < 5
            assert bench.asked[0][1] != bench.asked[1][1]

    run(main())


# ── refused before the worker ────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("options", "status", "code"),
    [
        pytest.param({"body": b""}, 400, "malformed-body", id="empty"),
        pytest.param({"body": b"{"}, 400, "malformed-body", id="cut off"),
        pytest.param({"body": b"[NaN]"}, 400, "malformed-body", id="NaN"),
        pytest.param({"body": b'"\xff"'}, 400, "malformed-body", id="not UTF-8"),
        pytest.param({"body": b'{"x":1,"x":2}'}, 400, "malformed-body", id="name twice"),
        pytest.param({"body": b"[" * 65 + b"]" * 65}, 400, "malformed-body", id="depth 65"),
        pytest.param({"body": b'{"x":' * 33 + b"[" * 33}, 400, "malformed-body", id="deep and cut off"),
        pytest.param({"headers": {"Content-Length": "x"}}, 400, "malformed-body", id="length is no number"),
        pytest.param({"method": "GET"}, 405, "method-not-allowed", id="GET"),
        pytest.param({"method": "post"}, 405, "method-not-allowed", id="small letters"),
        pytest.param({"headers": {"Accept": "text/html"}}, 406, "not-acceptable", id="accepts something else"),
        pytest.param({"headers": {"Accept": "*/*;q=0"}}, 406, "not-acceptable", id="accepts nothing"),
        pytest.param({"body": b'"' + b"x" * 199 + b'"'}, 413, "body-too-large", id="too large"),
        pytest.param({"headers": {"Content-Length": "201"}}, 413, "body-too-large", id="announced too large"),
        pytest.param({"headers": {"Content-Length": "9" * 4000}}, 413, "body-too-large", id="announced 10^4000 bytes"),
        pytest.param({"headers": {"Content-Type": "text/plain"}}, 415, "unsupported-media-type", id="text"),
        pytest.param({"headers": {"Content-Type": ""}}, 415, "unsupported-media-type", id="empty type"),
        pytest.param(
            {"headers": {"Content-Type": "application/json; charset=latin-1"}},
            415,
            "unsupported-media-type",
            id="latin-1",
        ),
        pytest.param({"headers": {"Content-Encoding": "gzip"}}, 415, "unsupported-media-type", id="compressed"),
        pytest.param({"value": {"y": 1}}, 422, "invalid-input", id="missing property"),
        pytest.param({"value": {"x": "1"}}, 422, "invalid-input", id="wrong type"),
    ],
)
def test_a_bad_request_never_reaches_a_worker(options, status, code):
    async def main():
        async with serving(api(input=NUMBERS, max_body=200)) as bench:
            response = await bench.send(**{"value": {"x": 1}} | options)
            assert (response.status, response.code) == (status, code)
            assert response.json.get("detail")
            assert bench.asked == []
            assert bench.counts() == {code: 1}
            assert [(exchange.status, exchange.code, name) for exchange, name in bench.logged] == [(status, code, "f")]

    run(main())


@pytest.mark.parametrize(
    ("headers", "header"),
    [
        ({"Content-Type": "text/plain"}, ("accept-post", "application/json, application/msgpack")),
        ({"Content-Length": "9000"}, ("connection", "close")),
    ],
)
def test_a_refusal_says_what_would_be_right(headers, header):
    response = sends(1, api_=api(max_body=200), headers=headers)
    assert header in response.headers.items()
    assert sends(1, method="GET").headers["allow"] == "POST"


@pytest.mark.parametrize(
    ("options", "code"),
    [
        pytest.param({"method": "PUT", "headers": {"Content-Length": "900", "Content-Type": "a/b"}}, 405, id="method"),
        pytest.param({"headers": {"Content-Length": "900", "Content-Type": "a/b"}}, 413, id="length"),
        pytest.param({"headers": {"Content-Type": "a/b"}, "body": b"{"}, 415, id="media type"),
        pytest.param({"body": b"{"}, 400, id="decode"),
        pytest.param({"body": b"{}"}, 422, id="schema"),
        pytest.param({"body": b'{"x": 1}'}, 503, id="admission"),
    ],
)
def test_checks_are_made_in_the_documented_order(options, code):
    """Each request has everything wrong that comes later."""
    bad = api(input=NUMBERS, max_body=200)
    assert sends(api_=bad, ready=False, admit=False, **options).status == code


@pytest.mark.parametrize(
    "headers", [{}, {"Content-Type": 'Application/JSON;charset="UTF-8"'}, {"Content-Encoding": "Identity"}]
)
def test_json_is_json_however_it_is_called(headers):
    assert sends({"x": 1}, headers=headers).status == 200


def test_several_accept_headers_are_one_list():
    accepts = [("Accept", "application/json"), ("Accept", "text/html")]
    assert sends(1, headers=accepts).status == 200
    assert sends(1, headers=accepts[::-1]).status == 200


def test_all_errors_of_an_input_are_told_with_pointers():
    schema = {"type": "array", "items": {"type": "integer"}}
    response = sends(["a", 1, "b"], api_=api(input=schema))
    assert {error["pointer"] for error in response.json["errors"]} == {"/0", "/2"}
    assert all(error["detail"] for error in response.json["errors"])
    assert len(sends(["a"] * 300, api_=api(input=schema)).json["errors"]) == 100


def test_a_body_may_come_in_pieces_and_its_limit_is_exact():
    body = [b"[", b"", b"1,", b"2]"]
    assert sends(body=body, api_=api(max_body=5)).json == [1, 2]
    assert sends(body=body, api_=api(max_body=4)).code == "body-too-large"


def test_reading_stops_where_the_limit_is_passed():
    async def main():
        async with serving(api(max_body=100)) as bench:
            client = Client("/f", [b"x" * 60] * 50, "POST", [])
            await bench.app(client.scope, client.receive, client.send)
            assert client.response is not None
            assert client.response.status == 413
            assert len(client.unread) == 48

    run(main())


@pytest.mark.parametrize(("body_timeout_s", "timeout_s"), [(0.05, 30.0), (30.0, 0.05)])
def test_a_body_that_comes_too_slowly(body_timeout_s, timeout_s):
    async def main():
        async with serving(api(timeout_s=timeout_s), body_timeout_s=body_timeout_s) as bench:
            client = Client("/f", [b"["], "POST", [])
            client.stalled = True
            await bench.app(client.scope, client.receive, client.send)
            assert client.response is not None
            assert (client.response.status, client.response.code) in {(408, "body-timeout"), (504, "deadline-exceeded")}
            assert client.response.headers["connection"] == "close"

    run(main())


# ── the worker's answers ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("errors", "status", "detail"),
    [
        pytest.param({}, 500, None, id="nothing expected"),
        pytest.param({"builtins:KeyError": 404}, 500, None, id="another expected"),
        pytest.param({"builtins:ValueError": 422}, 422, "secret", id="expected"),
        pytest.param({"builtins:Exception": 418}, 418, "secret", id="its base expected"),
        pytest.param({"builtins:Exception": 400, "builtins:ValueError": 409}, 409, "secret", id="the nearest class"),
        pytest.param({"builtins:ValueError": 499}, 499, "secret", id="status without a name"),
    ],
)
def test_only_expected_exceptions_show_their_text(errors, status, detail):
    async def main():
        async with serving(api(errors=errors), answer=refuse()) as bench:
            response = await bench.send(1)
            assert (response.status, response.code, response.json.get("detail")) == (status, "target-raised", detail)
            assert bench.logged[0][0].log == "log of secret"
            assert "run;dur=250" in response.headers["server-timing"] or response.headers["server-timing"]
            if detail is None:
                assert b"secret" not in response.body

    run(main())


@pytest.mark.parametrize(
    ("code", "status", "public"),
    [
        ("output-unserializable", 500, "output-unserializable"),
        ("deadline-exceeded", 504, "deadline-exceeded"),
        ("no-such-code", 500, "output-unserializable"),
    ],
)
def test_other_failures_of_a_worker(code, status, public):
    response = sends(1, answer=refuse(code), api_=api(errors={"builtins:Exception": 400}))
    assert (response.status, response.code) == (status, public)
    assert b"secret" not in response.body


@pytest.mark.parametrize(
    ("value", "schema", "code"),
    [
        pytest.param("text", {"type": "integer"}, "output-invalid", id="schema"),
        pytest.param(math.nan, True, "output-invalid", id="NaN"),
        pytest.param([{"a": math.inf}], True, "output-invalid", id="Infinity"),
        pytest.param(math.nan, {"type": "number"}, "output-invalid", id="NaN with schema"),
        pytest.param(b"bytes", True, "output-unserializable", id="bytes"),
        pytest.param(b"bytes", {"type": "string"}, "output-unserializable", id="bytes with schema"),
        pytest.param({1: 2}, True, "output-unserializable", id="number as name"),
        pytest.param({1: 2}, {"type": "object"}, "output-unserializable", id="number as name with schema"),
        pytest.param({(1, 2): 2}, True, "output-unserializable", id="tuple as name"),
    ],
)
def test_an_answer_that_breaks_the_contract(value, schema, code):
    async def main():
        async with serving(api(output=schema), answer=lambda _: [0, 0.25, value]) as bench:
            response = await bench.send(1)
            assert (response.status, response.code) == (500, code)
            assert bench.logged[0][0].log

    run(main())


def test_a_very_deep_answer_is_a_problem():
    deep: list = []
    for _ in range(400):
        deep = [deep]
    for schema in (True, {"type": "object"}, {"type": "array"}):
        assert sends(1, answer=lambda _: [0, 0.25, deep], api_=api(output=schema)).status == 500


def test_the_output_check_can_be_switched_off_but_not_json_itself():
    free = api(output={"type": "integer"}, output_check=False)
    assert sends("text", api_=free).json == "text"
    assert sends(1, answer=lambda _: [0, 0.25, math.nan], api_=free).code == "output-invalid"


@pytest.mark.parametrize("status", [200, 201, 202, 400, 404, 500, 599])
def test_a_callable_may_set_status_and_headers(status):
    response = sends(5, answer=with_head(status, {"X-Cache": "hit", "x-count": 3, "set-cookie": "a=\xe9"}))
    assert (response.status, response.json) == (status, 5)
    assert (response.headers["x-cache"], response.headers["x-count"]) == ("hit", "3")
    assert response.headers["set-cookie"] == "a=\xe9"


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        *[(status, {}) for status in (0, -1, 100, 199, 204, 205, 304, 600, "200", 200.0, True, [200])],
        *[
            (None, {name: "x"})
            for name in (
                "a b",
                "",
                "a:b",
                "ä",
                "a\n",
                "Content-Length",
                "X-REQUEST-ID",
                "connection",
                "transfer-encoding",
            )
        ],
        *[
            (None, {"x-ok": value})
            for value in ("a\r\nb: c", "a\n", "\0", "\u20ac", None, 1.5, ["a"], b"a", "x" * 5000)
        ],
        *[(None, {name: "x"}) for name in (5, None, b"a")],
        (None, [["x-ok", "a"]]),
        (None, "text"),
        (200, ["text"]),
    ],
    ids=repr,
)
def test_a_head_that_cannot_be_sent_is_an_invalid_output(status, headers):
    response = sends(5, answer=with_head(status, headers))
    assert (response.status, response.code) == (500, "output-invalid")


# ── waiting ──────────────────────────────────────────────────────────────────────────────────────


def test_full_and_not_ready_say_when_to_try_again():
    async def main():
        async with serving(api(queue=2), answer=None, threads=1) as bench:
            waiting = [asyncio.create_task(bench.send(number)) for number in range(3)]
            await turns(10)
            response = await bench.send(4)
            assert (response.status, response.code) == (503, "queue-full")
            assert response.headers["retry-after"].isdigit()
            for task in waiting:
                task.cancel()
            assert {(await task).code for task in waiting} == {"draining"}
        response = await send_unready()
        assert (response.status, response.code) == (503, "not-ready")
        assert response.headers["retry-after"].isdigit()

    async def send_unready():
        async with serving(ready=False, admit=False) as bench:
            return await bench.send(1)

    run(main())


def test_a_call_that_takes_too_long_is_answered_at_its_deadline():
    async def main():
        async with serving(api(timeout_s=0.1), answer=None, threads=1) as bench:
            running, waiting = await asyncio.gather(bench.send(1), bench.send(2))
            for response in (running, waiting):
                assert (response.status, response.code) == (504, "deadline-exceeded")
            assert len(bench.workers[1].calls) == len(bench.workers[1].cancels) == 1
            assert bench.routes.operations["/f"].counts.queue.waiting == 0

    run(main())


@pytest.mark.parametrize("retry", [True, False])
def test_a_worker_that_dies_with_a_call(retry):
    async def main():
        async with serving(api(retry=retry), answer=None) as bench:
            task = asyncio.create_task(bench.send(1))
            await until(lambda: bench.asked)
            bench.workers[1].die()
            if retry:  # it waits for another worker; this one is the last
                await turns()
                assert not task.done()
                task.cancel()
                assert (await task).code == "draining"
            else:
                response = await task
                assert (response.status, response.code) == (503, "worker-lost")

    run(main())


class GoneLater:
    """A connection whose client leaves when the test says so."""

    on_gone = None

    def take_body(self):
        return b"1"

    gone = False

    def respond(self, status, headers, body):
        return False


@pytest.mark.parametrize("running", [True, False])
def test_a_client_that_leaves_gets_nothing_and_its_call_is_given_up(running):
    async def main():
        async with serving(answer=None, threads=1) as bench:
            first = None if running else asyncio.create_task(bench.send(0))
            await turns()
            connection = GoneLater()
            client = Client("/f", [], "POST", [])
            client.scope["bentod.connection"] = connection
            task = asyncio.create_task(bench.app(client.scope, client.receive, client.send))
            await until(lambda: connection.on_gone)
            connection.on_gone()
            await task
            assert client.messages == []
            assert bench.counts() == {"client-gone": 1}
            assert [exchange.status for exchange, _ in bench.logged] == [499]
            assert len(bench.workers[1].cancels) == running
            if first is not None:
                first.cancel()
                await first

    run(main())


def test_a_client_that_leaves_while_it_sends():
    async def main():
        async with serving() as bench:
            client = Client("/f", [b"["], "POST", [], gone=True)
            await bench.app(client.scope, client.receive, client.send)
            assert client.messages == []
            assert bench.counts() == {"client-gone": 1}

    run(main())


def test_many_calls_at_once_get_their_own_answers():
    async def main():
        async with serving(api(queue=1000), threads=3) as bench:
            responses = await asyncio.gather(*(bench.send(number) for number in range(300)))
            assert [response.json for response in responses] == list(range(300))
            assert len({response.headers["x-request-id"] for response in responses}) == 300

    run(main())


@pytest.mark.parametrize("raised", [False, True])
def test_an_answer_is_forgotten_as_soon_as_it_is_sent(raised):
    class Large(list):
        """Something whose end can be seen."""

    async def main():
        async with serving(answer=None) as bench:
            task = asyncio.create_task(bench.send(1))
            await until(lambda: bench.asked)
            value = Large([1, 2, 3])
            alive = weakref.ref(value)
            call = bench.asked[0][1]
            bench.workers[1].tell(
                [RAISED, call, 1.0, "target-raised", "", "", value] if raised else [DONE, call, 1.0, value]
            )
            del value
            assert (await task).status == (500 if raised else 200)
            await turns()
            gc.collect()
            assert alive() is None  # the API's deadlines still know the call

    run(main())
