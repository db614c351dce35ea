"""`bentod test` asks as a client does, and says of each example what came of it."""

import asyncio
import json

import pytest

from bentod.cli import examples
from bentod.cli.client import UnknownApi
from bentod.cli.examples import ERROR, FAILED, OK, Results, Tried, results
from bentod.cli.examples_report import document, lines, summary
from tests.support.answering import Answering, answer, answering

TENSOR = {"type": "array", "format": "tensor", "dtype": "float32", "shape": [-1]}


class Daemon:
    """A daemon's control socket."""

    def __init__(self, url, **apis):
        self.url = url
        self.apis = apis

    async def get(self, route):
        assert route == "/settled"
        return {"name": "app", "url": self.url, "apis": dict.fromkeys(self.apis)}

    async def api(self, name):
        if name not in self.apis:
            raise UnknownApi(name)
        return self.apis[name]


def api(*several, stream="", output=True, timeout=5.0):
    """What the daemon says of an API with these examples: inputs, or inputs with outputs."""
    return {
        "path": "/v1/f",
        "input": True,
        "output": output,
        "types": {},
        "stream": stream,
        "timeout_seconds": timeout,
        "stream_idle_seconds": 0.1,
        "examples": [
            {
                "name": f"{number}",
                "input": one[0],
                "output": one[1] if len(one) > 1 else None,
                "has_output": len(one) > 1,
                "tolerance": None,
            }
            for number, one in enumerate(several)
        ],
    }


def tried(serve, *names, **apis):
    """What comes of the examples if they are served so, and the requests."""

    async def main():
        asked = []
        async with answering() as server:

            def serving(request):
                asked.append((request.url, dict(request.headers), request.body))
                serve(request)

            server.serve = serving
            told = []
            found = await results(Daemon(server.url, **apis), names, told.append)
            assert tuple(told) == found.tried
            return found, asked

    return asyncio.run(main())


def test_examples_are_sent_as_json_and_judged():
    found, asked = tried(Answering.gives(answer(b"1"), answer(b"[2]")), f=api((0, 1), ([1], [3]), ({"a": 1},)))
    assert [one.outcome for one in found.tried] == [OK, FAILED, OK]
    assert found.tried[1].text == "/0: expected 3, got 2"
    assert found.tried[1].answer == "[2]"
    assert [json.loads(body) for _, _, body in asked] == [0, [1], {"a": 1}]
    assert {url for url, _, _ in asked} == {b"/v1/f"}
    assert {headers[b"accept"] for _, headers, _ in asked} == {b"application/json"}
    assert all(one.seconds > 0 for one in found.tried)


def test_only_the_apis_that_are_named_and_unknown_ones():
    apis = {"f": api((0, 1)), "g": api((0, 1)), "bare": api()}
    found, asked = tried(Answering.gives(answer(b"1")), "g", "bare", "g", **apis)
    assert [one.api for one in found.tried] == ["g"]
    assert found.bare == ("bare",)
    assert len(asked) == 1
    with pytest.raises(UnknownApi):
        tried(Answering.gives(answer()), "nothing", **apis)


def test_problems_are_failures():
    problem = json.dumps({"title": "The model failed", "detail": "no", "status": 500, "code": "target-raised"})
    found, _ = tried(Answering.gives(answer(problem.encode(), 500, "application/problem+json")), f=api((0,)))
    assert (found.tried[0].outcome, found.tried[0].text) == (FAILED, "500 The model failed: no")


@pytest.mark.parametrize(
    ("stream", "kind", "body", "outcome"),
    [
        ("sse", "text/event-stream; charset=utf-8", b"data: 1\n\nevent: end\ndata: null\n\n", OK),
        ("sse", "text/event-stream", b'data: 1\n\nevent: error\ndata: {"code": "no"}\n\n', FAILED),
        ("ndjson", "application/x-ndjson", b"1\n", OK),
        ("ndjson", "application/x-ndjson", b"1\n2\n", FAILED),
    ],
)
def test_streams(stream, kind, body, outcome):
    found, asked = tried(Answering.gives(answer(body, kind=kind)), f=api((0, [1]), stream=stream))
    assert found.tried[0].outcome == outcome
    assert asked[0][1].get(b"accept") == b"*/*"


def cut_off(request):
    request.transport.write(answer(b"12345")[:-2])
    request.transport.close()


def test_an_answer_that_breaks_off_is_a_failure():
    found, _ = tried(cut_off, f=api((0, 1)))
    assert found.tried[0].outcome == FAILED
    assert found.tried[0].text.startswith("the answer broke off")


def test_an_answer_that_does_not_come(monkeypatch):
    monkeypatch.setattr(examples, "_MARGIN_S", 0.05)
    found, _ = tried(lambda request: None, f=api((0, 1), timeout=0.05), g=api((0, 1), timeout=0.0, stream="raw"))
    assert [one.outcome for one in found.tried] == [FAILED, FAILED]
    assert [one.text for one in found.tried] == ["the answer was not complete after 0.1 s"] * 2


def test_an_answer_without_end(monkeypatch):
    monkeypatch.setattr(examples, "_MOST_ANSWER", 1000)
    found, _ = tried(Answering.gives(answer(b"x" * 1001)), f=api((0, 1)))
    assert found.tried[0].text == "the answer is larger than 1000 bytes"


def test_who_hangs_up_or_is_not_there_is_an_error():
    found, _ = tried(lambda request: request.transport.abort(), f=api((0, 1)))
    assert found.tried[0].outcome == ERROR

    async def main():
        return await results(Daemon("unix:/nowhere/s", f=api((0, 1))), (), lambda _: None)

    found = asyncio.run(main())
    assert found.tried[0].outcome == ERROR
    assert "does not answer" in found.tried[0].text


def test_what_is_shown():
    one = Tried("f", "plain", FAILED, 0.0123, "/0: expected 1, got 2\n/1: expected 1, got 2", '{"a":\n1}')
    assert list(lines(one)) == [
        "FAILED  f  plain  12 ms",
        "        /0: expected 1, got 2",
        "        /1: expected 1, got 2",
    ]
    assert list(lines(one, verbose=True))[3:] == ['        answered: {"a":', "        1}"]
    found = Results("app", "http://x", (one, Tried("f", "b", OK, 1.0)), ("g",))
    assert list(summary(found)) == ["-       g  has no examples", "2 examples at http://x: 1 ok, 1 FAILED"]
    assert list(summary(Results("app", "http://x", (), ()))) == ["0 examples at http://x: nothing to try"]
    assert document(found, scratch=True) == {
        "name": "app",
        "url": "http://x",
        "scratch": True,
        "ok": False,
        "counts": {"ok": 1, "failed": 1, "error": 0},
        "apis": {
            "g": [],
            "f": [
                {"name": "plain", "outcome": "failed", "seconds": 0.0123, "text": one.text},
                {"name": "b", "outcome": "ok", "seconds": 1.0, "text": ""},
            ],
        },
    }
