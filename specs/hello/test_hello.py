"""The greetings, called directly and over HTTP."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from types import SimpleNamespace

import pytest
from hello import greet, greet_later, greet_reader


def test_greet():
    assert greet("Ada") == "Hello, Ada!"
    assert greet("Ada", greeting="Good evening") == "Good evening, Ada!"


def test_greet_later():
    assert asyncio.run(greet_later("Ada", seconds=0)) == "Hello, Ada!"


@pytest.mark.parametrize(
    ("header", "language"),
    [("de-CH,de;q=0.9", "de"), ("FR", "fr"), ("tlh", "en"), ("", "en")],
)
def test_greet_reader_knows_the_language(header, language):
    context = SimpleNamespace(headers={"accept-language": header}, response=SimpleNamespace(headers={}))
    assert greet_reader("Ada", context)["language"] == language
    assert context.response.headers == {"content-language": language}


@pytest.mark.e2e
def test_over_http(app):
    status, _, body = app.post("/greet", {"name": "Ada", "greeting": "Good evening"})
    assert (status, body) == (200, "Good evening, Ada!")


@pytest.mark.e2e
def test_what_the_schema_forbids_is_refused_with_the_place(app):
    status, _, body = app.post("/greet", {"name": "", "greting": "Hi"})
    assert (status, body["code"]) == (422, "invalid-input")
    assert "/name" in [error["pointer"] for error in body["errors"]]
    assert "greting" in str(body["errors"])


@pytest.mark.e2e
def test_waiting_calls_do_not_wait_for_each_other(app):
    with ThreadPoolExecutor(8) as threads:
        start = monotonic()
        answers = list(threads.map(lambda _: app.post("/greet/later", {"name": "Ada", "seconds": 1}), range(8)))
    assert [(status, body) for status, _, body in answers] == [(200, "Hello, Ada!")] * 8
    assert monotonic() - start < 6  # one after the other they would take 8 seconds


@pytest.mark.e2e
def test_the_context_gives_and_takes_headers(app):
    status, headers, body = app.post("/greet/reader", {"name": "Ada"}, {"accept-language": "fr-CA"})
    assert (status, body) == (200, {"text": "Bonjour, Ada!", "language": "fr"})
    assert headers["content-language"] == "fr"


@pytest.mark.e2e
def test_status_names_the_service(app):
    assert app.status()["services"]["greeter"]["state"] == "ready"
