"""The page of `/docs` in a real browser, against a stand-in for the gateway: reading, and calls in JSON."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from selenium.webdriver.common.keys import Keys

from bentod.gateway import docs
from bentod.wire.messages import ApiRoute, Example, RouteTable
from tests.support import docs_page
from tests.support.docs_page import WITHIN_S, Browser, Gateway, Handler, api

HOSTILE = "</script><img src=x onerror=\"document.title='broken'\"><b>bold</b>{{7*7}}${1}'\\"

# ── what is served ───────────────────────────────────────────────────────────────────────────────

TYPES: dict[str, Any] = {
    "Tree": {
        "type": "object",
        "description": "A node and what hangs below it.",
        "properties": {
            "label": {"type": "string", "maxLength": 40},
            "children": {"type": "array", "items": {"$ref": "#/types/Tree"}},
        },
        "required": ["label"],
    },
    "Language": {"enum": ["en", "de", "fr"], "default": "en"},
}
EMBED_INPUT: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["text"],
    "properties": {
        "text": {"type": "string", "minLength": 1, "description": "What is turned into a vector; `UTF-8`."},
        "language": {"$ref": "#/types/Language", "description": "The language of the text."},
        "limit": {"anyOf": [{"type": "integer"}, {"type": "null"}], "default": None},
        "pooling": {
            "oneOf": [
                {"type": "object", "properties": {"mean": {"type": "boolean"}}},
                {"const": "cls", "description": "Only the first token."},
            ]
        },
        "tree": {"$ref": "#/types/Tree"},
    },
}
EMBED_OUTPUT: dict[str, Any] = {"type": "array", "format": "tensor", "dtype": "float32", "shape": [384]}


def embed(prefix: str = "") -> ApiRoute:
    return api(
        "embed",
        prefix,
        summary="Sentences to vectors",
        description="One vector per sentence.\nVectors have length one.",
        tags=("text",),
        input=EMBED_INPUT,
        output=EMBED_OUTPUT,
        errors={"builtins:ValueError": 409},
        examples=(
            Example("short", {"text": "Hello, world"}, [0.25, 0.5], has_output=True),
            Example("it's long", {"text": "A 'quoted' text", "language": "de"}),
        ),
    )


def similar(prefix: str = "") -> ApiRoute:
    return api("similar", prefix, summary="How alike two texts are", deprecated=True, input=EMBED_INPUT)


ANSWER = b'{"vector": [1.0, 2.50], "big": 12345678901234567890, "said": "\\u003cb\\u003e"}'
PROBLEM = {
    "type": "https://bentod.dev/problems/invalid-input",
    "title": "The input does not match the schema",
    "status": 422,
    "detail": "2 parts of the body are wrong.",
    "code": "invalid-input",
    "request_id": "r-1",
    "errors": [
        {"pointer": "/text", "detail": "is shorter than 1 character"},
        {"pointer": "/tree/children/1", "detail": f"is not of type object {HOSTILE}"},
    ],
}


def table(*apis: ApiRoute, **changed: Any) -> RouteTable:
    return docs_page.table(*apis, **{"types": TYPES} | changed)


def reply(handler: Handler, body: bytes) -> None:
    if b"wait" in body:
        handler.server.release.wait(WITHIN_S)
    headers = {
        "Content-Type": "application/json",
        "X-Request-Id": "r-1",
        "Server-Timing": "queue;dur=0.25, run;dur=3.5",
    }
    if b'"text": ""' in body:
        headers["Content-Type"] = "application/problem+json"
        handler.answer(422, headers, json.dumps(PROBLEM).encode())
    else:
        handler.answer(200, headers, ANSWER)


def serving(routes: RouteTable) -> contextlib.AbstractContextManager[Gateway]:
    return docs_page.serving(routes, reply)


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    with serving(table(embed(), similar())) as server:
        yield server


# ── without a browser ────────────────────────────────────────────────────────────────────────────


def test_the_page_is_one_small_answer_that_names_no_other_host() -> None:
    page = docs.page()
    assert len(page) < 72 * 1024
    assert b"{{style}}" not in page
    assert b"{{script}}" not in page
    assert not re.search(rb"//[a-z]|src=|@import|:\s*url\(", page)
    assert not re.search(rb"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|Function\(", page)
    assert page.count(b"<script>") == page.count(b"</script>") == page.count(b"<style>") == page.count(b"</style>") == 1


def test_the_policy_allows_the_page_s_own_script_and_nothing_from_elsewhere() -> None:
    headers = docs.headers(docs.page())
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert re.search(r"script-src 'sha256-[A-Za-z0-9+/]{43}='; style-src 'sha256-[A-Za-z0-9+/]{43}=';", policy)
    assert "unsafe" not in policy
    assert headers["Content-Type"] == "text/html; charset=utf-8"


# ── reading ──────────────────────────────────────────────────────────────────────────────────────


def test_it_shows_what_the_document_says(browser: Browser, gateway: Gateway) -> None:
    browser.open(gateway.url + "/docs")
    assert browser.text("h1") == "embeddings"
    assert browser.text("#version") == "1.4.0"
    assert browser.text("#description") == "Sentence vectors, on CPU."
    assert browser.texts("nav a") == ["embed", "similar"]
    assert browser.text("main h2") == "Sentences to vectors"
    assert browser.text(".route") == "POST\n/embed"
    assert browser.text(".head .prose") == "One vector per sentence.\nVectors have length one."
    assert browser.texts(".head .chip") == ["text"]
    assert browser.driver.title == "Sentences to vectors · embeddings"
    assert browser.texts("footer a") == ["/", "/openapi.json", "/livez", "/healthz", "/readyz"]
    assert "409" in browser.content("dl")


def test_the_input_is_a_table_of_names_types_and_limits(browser: Browser, gateway: Gateway) -> None:
    browser.open(gateway.url + "/docs")
    rows = browser.texts("section[aria-labelledby=input] tbody tr")
    first, second = rows[:2]
    assert all(part in first for part in ("text", "required", "string", "What is turned into", "characters ≥ 1"))
    assert all(part in second for part in ("language", "Language (string)", "The language of the text."))
    everything = browser.text("section[aria-labelledby=input]")
    assert 'one of "en", "de", "fr"' in everything
    assert 'default "en"' in everything
    assert "integer or null" in everything
    assert "either" in everything
    assert 'always "cls"' in everything
    assert "Tree (object)" in everything
    assert "as above" in everything
    assert "no other properties" in everything
    output = browser.text("section[aria-labelledby=output]")
    assert "tensor" in output
    assert "dtype float32" in output
    assert "shape [384]" in output


def test_an_api_is_chosen_by_its_link_and_the_heading_takes_the_focus(browser: Browser, gateway: Gateway) -> None:
    browser.open(gateway.url + "/docs")
    browser.click("nav li:nth-child(1) a[href='#/similar']")
    browser.until(lambda: browser.text("main h2") == "How alike two texts are", "the other API")
    assert browser.driver.switch_to.active_element.get_attribute("id") == "api"
    assert browser.texts(".chip.warn") == ["deprecated"]
    assert browser.texts("nav a[aria-current=page]") == ["similar"]
    browser.open(gateway.url + "/docs#/similar")
    assert browser.text("main h2") == "How alike two texts are"


def test_every_control_has_a_name_and_the_page_its_landmarks(browser: Browser, gateway: Gateway) -> None:
    browser.open(gateway.url + "/docs")
    named = browser.all("button, input:not([hidden] *), textarea, a, nav, form, section, [role=group], [role=region]")
    assert [element.get_attribute("outerHTML") for element in named if not element.accessible_name] == []
    assert [len(browser.all(tag)) for tag in ("header", "nav", "main", "footer", "h1", "main h2")] == [1] * 6
    ids = [element.get_attribute("id") for element in browser.all("[id]")]
    assert len(ids) == len(set(ids))
    browser.run("document.body.focus()")
    browser.one("body").send_keys(Keys.TAB)
    assert browser.driver.switch_to.active_element.text == "Skip to the API"


# ── trying ───────────────────────────────────────────────────────────────────────────────────────


def test_examples_fill_the_editor(browser: Browser, gateway: Gateway) -> None:
    browser.open(gateway.url + "/docs")
    assert browser.value() == '{\n  "text": "Hello, world"\n}'
    assert browser.texts("button.example") == ["short", "it's long"]
    browser.click("button.example:last-child")
    assert json.loads(browser.value()) == {"text": "A 'quoted' text", "language": "de"}


def test_without_examples_the_editor_begins_with_the_schema_s_shape(browser: Browser) -> None:
    schema = {
        "type": "object",
        "properties": {
            "point": {"$ref": "#/types/Tree"},
            "lang": {"$ref": "#/types/Language"},
            "rows": {"type": "array", "format": "tensor", "dtype": "float32", "shape": ["n", 3]},
            "many": {"type": "array", "items": {"type": "integer", "minimum": 3}},
            "either": {"anyOf": [{"const": "a"}, {"type": "null"}]},
            "all": {"allOf": [{"$ref": "#/types/Tree"}, {"properties": {"size": {"type": "number"}}}]},
        },
    }
    with serving(table(api("plain", input=schema))) as gateway:
        browser.open(gateway.url + "/docs")
        assert json.loads(browser.value()) == {
            "point": {"label": ""},
            "lang": "en",
            "rows": [[0, 0, 0]],
            "many": [3],
            "either": "a",
            "all": {"label": "", "size": 0},
        }


def test_send_shows_the_answer_with_its_numbers_untouched(browser: Browser, gateway: Gateway) -> None:
    browser.open(gateway.url + "/docs")
    browser.write('{"text": "hi", "big": 12345678901234567890}')
    browser.click("#send")
    browser.until(lambda: browser.all("#answer-body"), "the answer")
    assert gateway.calls() == [("/embed", '{"text": "hi", "big": 12345678901234567890}')]
    assert browser.text("#answer .status") == "200 OK"
    assert browser.content("#answer-body") == (
        '{\n  "vector": [1.0, 2.50],\n  "big": 12345678901234567890,\n  "said": "\\u003cb\\u003e"\n}'
    )
    assert "queue 0.25 ms · run 3.5 ms" in browser.text("#answer")
    assert browser.text("#request-id") == "r-1"
    assert browser.content("#said").startswith("200 OK in ")


def test_the_keyboard_sends_too(browser: Browser, gateway: Gateway) -> None:
    browser.open(gateway.url + "/docs")
    browser.one("#body").send_keys(Keys.CONTROL, Keys.ENTER)
    browser.until(gateway.calls, "the call")
    browser.until(lambda: browser.all("#answer-body"), "the answer")


def test_a_problem_shows_its_pointers_and_they_select_in_the_editor(browser: Browser, gateway: Gateway) -> None:
    browser.open(gateway.url + "/docs")
    browser.write('{"text": "", "tree": {"children": [1, {"x": [2]}], "label": "a"}}')
    browser.click("#send")
    browser.until(lambda: browser.all(".problem"), "the problem")
    assert "The input does not match the schema" in browser.text(".problem")
    assert "invalid-input" in browser.text(".problem")
    assert browser.texts(".problem button") == ["/text", "/tree/children/1"]
    assert f"is not of type object {HOSTILE}" in browser.text(".problem")
    browser.click(".problem li:last-child button")
    selected = "const b = document.getElementById('body'); return b.value.slice(b.selectionStart, b.selectionEnd)"
    assert browser.run(selected) == '{"x": [2]}'
    browser.click(".problem li:first-child button")
    assert browser.run(selected) == '""'


def test_what_is_no_json_is_said_at_once_and_can_still_be_sent(browser: Browser, gateway: Gateway) -> None:
    browser.open(gateway.url + "/docs")
    browser.write('{"text": ')
    assert browser.text("#note").startswith("Not JSON: ")
    assert browser.one("#body").get_attribute("aria-invalid") == "true"
    browser.click("#send")
    browser.until(lambda: gateway.calls() == [("/embed", '{"text": ')], "the call")
    browser.until(lambda: browser.all("#answer-body"), "the answer")


def test_curl_follows_the_editor_and_survives_the_shell(browser: Browser, gateway: Gateway) -> None:
    browser.open(gateway.url + "/docs")
    browser.write("""{"text": "it's $HOME `id` !"}""")
    command = browser.content("#curl")
    assert command == (
        f"curl -sS '{gateway.url}/embed' \\\n  -H 'Content-Type: application/json' \\\n"
        """  --data-raw '{"text": "it'\\''s $HOME `id` !"}'"""
    )


def test_a_call_can_be_cancelled(browser: Browser, gateway: Gateway) -> None:
    browser.open(gateway.url + "/docs")
    browser.write('{"text": "wait"}')
    browser.click("#send")
    browser.until(gateway.calls, "the call")
    assert browser.text("#send") == "Cancel"
    browser.click("#send")
    browser.until(lambda: browser.text("#progress") == "Cancelled.", "the end")
    assert browser.text("#send") == "Send"


def test_drafts_stay_when_another_api_is_read(browser: Browser, gateway: Gateway) -> None:
    browser.open(gateway.url + "/docs")
    browser.write('{"text": "mine"}')
    browser.click("a[href='#/similar']")
    browser.until(lambda: browser.text("main h2") == "How alike two texts are", "the other API")
    browser.click("a[href='#/embed']")
    browser.until(lambda: browser.text("main h2") == "Sentences to vectors", "the first API")
    assert browser.value() == '{"text": "mine"}'


# ── places and sizes ─────────────────────────────────────────────────────────────────────────────


def test_below_a_prefix_all_addresses_stay_below_it(browser: Browser) -> None:
    with serving(table(embed("/v1"), prefix="/v1")) as gateway:
        browser.open(gateway.url + "/docs")
        browser.click("#send")
        browser.until(lambda: browser.all("#answer-body"), "the answer")
        assert [path for path, _ in gateway.calls()] == ["/v1/embed"]
        assert f"'{gateway.url}/embed'" in browser.content("#curl")
        assert {path for _, path, _ in gateway.seen} == {"/v1/docs", "/v1/openapi.json", "/v1/embed"}


def test_behind_a_proxy_that_takes_the_prefix_away_calls_go_through_it(browser: Browser) -> None:
    with serving(table(embed("/v1"), prefix="/v1")) as gateway:
        gateway.prefix = "/outside"
        browser.open(gateway.url.removesuffix("/v1") + "/outside/docs")
        browser.click("#send")
        browser.until(lambda: browser.all("#answer-body"), "the answer")
        assert [path for path, _ in gateway.calls()] == ["/outside/embed"]


def test_a_hundred_apis_are_filtered_by_name_route_and_tag(browser: Browser) -> None:
    many = [api(f"model-{number}", tags=(f"team-{number % 3}",), summary="A model") for number in range(100)]
    with serving(table(*many)) as gateway:
        browser.open(gateway.url + "/docs")
        assert browser.text("#matches") == "100 APIs"
        assert browser.texts("nav h2") == ["team-0", "team-1", "team-2"]
        browser.one("body").send_keys("/")
        browser.driver.switch_to.active_element.send_keys("TEAM-1 model-9")
        browser.until(lambda: browser.text("#matches") == "3 of 100", "the filter")
        assert [text for text in browser.texts("nav a") if text] == ["model-91", "model-94", "model-97"]
        browser.driver.switch_to.active_element.send_keys(Keys.ENTER)
        browser.until(lambda: browser.text(".route") == "POST\n/model-91", "the first match")


def test_no_apis_is_a_page_too(browser: Browser) -> None:
    with serving(table()) as gateway:
        browser.open(gateway.url + "/docs")
        assert browser.text("main") == "There are no APIs here."


def test_a_missing_document_is_said(browser: Browser) -> None:
    with serving(table()) as gateway:
        gateway.openapi = b"<html>"
        browser.open(gateway.url + "/docs")
        assert browser.text("main [role=alert]").startswith("openapi.json could not be read: ")


def test_hostile_texts_are_shown_as_texts(browser: Browser) -> None:
    schema = {
        "type": "object",
        "title": HOSTILE,
        "description": HOSTILE,
        "properties": {
            HOSTILE: {"description": HOSTILE, "const": HOSTILE, "default": HOSTILE},
            "__proto__": {"type": "string", "enum": [HOSTILE]},
            "broken": {"type": "string", "title": "BROKEN"},
        },
        "required": [HOSTILE, "__proto__"],
    }
    hostile = api(
        "x", summary=HOSTILE, description=HOSTILE, tags=(HOSTILE,), input=schema, output=schema,
        examples=(Example(HOSTILE, {HOSTILE: HOSTILE, "text": ""}),),
    )  # fmt: skip
    labels = {HOSTILE: HOSTILE}
    with serving(table(hostile, api("y"), description=HOSTILE, labels=labels)) as gateway:
        gateway.openapi = gateway.openapi.replace(b'{"type": "string", "title": "BROKEN"}', b'{"$ref": "#/types/%zz"}')
        browser.open(gateway.url + "/docs")
        browser.click("#send")
        browser.until(lambda: browser.all(".problem"), "the problem")
        assert browser.text("#description") == HOSTILE
        assert browser.texts("#labels li") == [f"{HOSTILE}: {HOSTILE}"]
        assert browser.text("main h2") == HOSTILE
        assert browser.driver.title == f"{HOSTILE} · embeddings"
        assert browser.all("img, b, main script") == []
        assert json.loads(browser.value()) == {HOSTILE: HOSTILE, "text": ""}
        assert {path for _, path, _ in gateway.seen} == {"/docs", "/openapi.json", "/x"}


@pytest.mark.parametrize("width", [500, 1000, 1360])
def test_nothing_is_wider_than_the_window(browser: Browser, gateway: Gateway, width: int) -> None:
    browser.driver.set_window_size(width, 900)
    browser.open(gateway.url + "/docs")
    browser.write('{"text": "' + "x" * 300 + '"}')
    browser.click("#send")
    browser.until(lambda: browser.all("#answer-body"), "the answer")
    assert browser.run("return document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
