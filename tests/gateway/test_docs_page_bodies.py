"""The page of `/docs` in a real browser: files, forms, media types, players, and streams as they come."""

from __future__ import annotations

import base64
import io
import json
import wave
from collections.abc import Callable, Iterator
from email import message_from_bytes
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from selenium.webdriver.common.keys import Keys

from bentod.wire.messages import Example, RouteTable
from tests.support.docs_page import WITHIN_S, Browser, Gateway, Handler, api, serving, table

IMAGE: dict[str, Any] = {"type": "string", "format": "image", "contentMediaType": "image/*"}
SOUND: dict[str, Any] = {"type": "string", "format": "file", "contentMediaType": "audio/*"}
BYTES: dict[str, Any] = {"type": "string", "format": "binary"}
ROWS: dict[str, Any] = {"type": "array", "format": "tensor", "dtype": "float32", "shape": ["n", 2]}
PROBLEM = {"title": "The model failed", "status": 500, "code": "target-raised", "request_id": "r"}
IDS = {"X-Request-Id": "r-1", "Server-Timing": "queue;dur=0.25, run;dur=3.5"}
FIELDS: dict[str, Any] = {
    "type": "object",
    "required": ["image", "prompt"],
    "properties": {
        "image": {**IMAGE, "description": "What is looked at."},
        "prompt": {"type": "string", "description": "What is asked."},
        "more": {"type": "array", "items": IMAGE},
        "rows": ROWS,
        "size": {"type": "integer", "default": 224},
        "mode": {"enum": ["fast", "good"]},
        "loud": {"type": "boolean"},
    },
}


def picture(width: int = 320, height: int = 200) -> bytes:
    image = Image.linear_gradient("L").resize((width, height))
    merged = Image.merge("RGB", (image, image.rotate(90).resize((width, height)), image.rotate(180)))
    target = io.BytesIO()
    merged.save(target, "PNG")
    return target.getvalue()


def sound() -> bytes:
    target = io.BytesIO()
    with wave.open(target, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(1)
        file.setframerate(8000)
        file.writeframes(bytes(range(256)) * 8)
    return target.getvalue()


@pytest.fixture
def cat(tmp_path: Path) -> Path:
    path = tmp_path / "my cat.png"
    path.write_bytes(picture())
    return path


def whole(media_type: str, body: bytes, status: int = 200) -> Callable[[Handler, bytes], None]:
    return lambda handler, _: handler.answer(status, {"Content-Type": media_type, **IDS}, body)


def chunks(
    media_type: str, *pieces: bytes, pause: int = 0, head: dict[str, str] | None = None
) -> Callable[[Handler, bytes], None]:
    """Sends pieces one after the other; from number `pause` on only when the test says so."""

    def reply(handler: Handler, _: bytes) -> None:
        handler.begin(200, {"Content-Type": media_type, **IDS, **(head or {})})
        for number, piece in enumerate(pieces):
            if pause and number == pause:
                handler.server.release.wait(WITHIN_S)
            handler.wfile.write(piece)
            handler.wfile.flush()

    return reply


def parts(gateway: Gateway) -> list[tuple[str, str | None, str, bytes]]:
    """The parts of the last form: name, file name, media type, content."""
    head = f"Content-Type: {gateway.headers[-1]['content-type']}\r\n\r\n".encode()
    message = message_from_bytes(head + gateway.seen[-1][2])
    return [
        (
            str(part.get_param("name", header="content-disposition")),
            part.get_filename(),
            part.get_content_type() if part["content-type"] else "",
            part.get_payload(decode=True),
        )
        for part in message.get_payload()
    ]


def choose(browser: Browser, selector: str, *paths: Path) -> None:
    browser.one(selector).send_keys("\n".join(map(str, paths)))


def send(browser: Browser) -> None:
    browser.click("#send")
    browser.until(lambda: browser.all("#facts") and browser.text("#send") == "Send", "the answer")


def loaded(browser: Browser, selector: str) -> None:
    browser.until(lambda: browser.run(f"return document.querySelector({selector!r})?.naturalWidth > 0"), "the picture")


# ── bodies ───────────────────────────────────────────────────────────────────────────────────────


def test_an_image_goes_up_and_an_image_comes_back(browser: Browser, cat: Path) -> None:
    blur = api("blur", summary="Blur a picture", input=IMAGE, output=IMAGE, tags=("vision",))
    with serving(
        table(blur, labels={"team": "vision", "tier": "demo"}), whole("image/png", picture(64, 48))
    ) as gateway:
        browser.open(gateway.url + "/docs")
        assert browser.texts("#labels li") == ["team: vision", "tier: demo"]
        assert browser.texts(".choice label") == ["File", "JSON"]
        assert "--data-binary @input.png" in browser.content("#curl")
        choose(browser, "#file", cat)
        loaded(browser, ".preview img")
        assert "320 \u00d7 200 pixels" in browser.text(".preview")
        assert browser.content("#curl") == (
            f"curl -sS '{gateway.url}/blur' \\\n  -H 'Content-Type: image/png' \\\n"
            "  --data-binary '@my cat.png' \\\n  -o answer.png"
        )
        send(browser)
        loaded(browser, "#answer img")
        assert gateway.headers[-1]["content-type"] == "image/png"
        assert gateway.seen[-1][2] == cat.read_bytes()
        assert "64 \u00d7 48 pixels" in browser.text("#answer")
        assert browser.one("#answer a.keep").get_attribute("download") == "answer.png"
        assert "queue 0.25 ms" in browser.text("#facts")
        browser.picture("image")
        browser.dark(on=True)
        browser.picture("image-dark")
        browser.driver.set_window_size(500, 1600)
        browser.picture("image-narrow")
        assert browser.run("return document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0


def test_without_a_file_nothing_is_sent(browser: Browser) -> None:
    with serving(table(api("blur", input=IMAGE)), whole("image/png", b"")) as gateway:
        browser.open(gateway.url + "/docs")
        browser.click("#send")
        assert browser.text("#note") == "Choose a file first."
        assert browser.driver.switch_to.active_element.get_attribute("id") == "file"
        assert gateway.calls() == []


def test_the_answer_s_media_type_is_chosen(browser: Browser, cat: Path) -> None:
    with serving(table(api("blur", input=IMAGE, output=IMAGE)), whole("image/webp", b"no picture")) as gateway:
        browser.open(gateway.url + "/docs")
        options = browser.texts("#accept option")
        assert options[:3] == ["image/png (default)", "image/jpeg", "image/webp"]
        assert "application/json" in options
        choose(browser, "#file", cat)
        browser.one("#accept").send_keys("image/webp")
        browser.until(lambda: "-H 'Accept: image/webp'" in browser.content("#curl"), "the command")
        assert "-o answer.webp" in browser.content("#curl")
        send(browser)
        assert gateway.headers[-1]["accept"] == "image/webp"
        browser.until(lambda: "cannot show image/webp" in browser.text("#answer"), "the excuse")


def test_a_form_has_a_field_for_each_property(browser: Browser, cat: Path) -> None:
    with serving(
        table(api("ask", summary="Ask about a picture", input=FIELDS, output={"type": "string"})),
        whole("application/json", b'"A cat."'),
    ) as gateway:
        browser.open(gateway.url + "/docs")
        assert browser.texts(".choice label") == ["Form", "JSON"]
        assert browser.texts(".field label code") == list(FIELDS["properties"])
        choose(browser, "#field-0", cat)
        browser.one("#field-1").send_keys("it's; what?")
        choose(browser, "#field-2", cat, cat)
        browser.one("#field-3").send_keys("[[1, 2")
        assert "Not JSON" in browser.text(".form")
        browser.one("#field-3").send_keys("]]")
        assert "Not JSON" not in browser.text(".form")
        browser.one("#field-5").send_keys("good")
        browser.one("#field-6").send_keys("true")
        loaded(browser, "#field-0-preview img")
        assert browser.content("#curl") == (
            f"curl -sS '{gateway.url}/ask' \\\n"
            "  -F 'image=@my cat.png;type=image/png' \\\n"
            "  --form-string 'prompt=it'\\''s; what?' \\\n"
            "  -F 'more=@my cat.png;type=image/png' \\\n"
            "  -F 'more=@my cat.png;type=image/png' \\\n"
            "  --form-string 'rows=[[1, 2]]' \\\n"
            "  --form-string 'mode=good' \\\n"
            "  --form-string 'loud=true'"
        )
        send(browser)
        file = ("my cat.png", "image/png", cat.read_bytes())
        assert parts(gateway) == [
            ("image", *file),
            ("prompt", None, "", b"it's; what?"),
            ("more", *file),
            ("more", *file),
            ("rows", None, "", b"[[1, 2]]"),
            ("mode", None, "", b"good"),
            ("loud", None, "", b"true"),
        ]
        assert browser.content("#answer-body") == '"A cat."'
        browser.picture("form")


def test_files_of_any_type_are_a_form_too(browser: Browser, cat: Path) -> None:
    schema = {"type": "object", "properties": {"files": {"type": "array", "items": BYTES}}, "required": ["files"]}
    with serving(table(api("identify", input=schema)), whole("application/json", b"1")) as gateway:
        browser.open(gateway.url + "/docs")
        assert "-F 'files=@files.bin'" in browser.content("#curl")
        choose(browser, "#field-0", cat)
        send(browser)
        assert parts(gateway) == [("files", "my cat.png", "image/png", cat.read_bytes())]


def test_a_problem_leads_to_the_field(browser: Browser, cat: Path) -> None:
    errors = [{"pointer": "/prompt", "detail": "is too short"}, {"pointer": "/size", "detail": "is no integer"}]
    wrong = {**PROBLEM, "title": "The input does not match the schema", "code": "invalid-input", "errors": errors}
    with serving(
        table(api("ask", input=FIELDS)), whole("application/problem+json", json.dumps(wrong).encode(), 422)
    ) as gateway:
        browser.open(gateway.url + "/docs")
        browser.click("#send")
        assert "Choose a file first." in browser.text(".form")
        choose(browser, "#field-0", cat)
        send(browser)
        browser.picture("problem")
        browser.click(".problem li:last-child button")
        assert browser.driver.switch_to.active_element.get_attribute("id") == "field-4"


def test_an_example_fills_the_form_with_its_files(browser: Browser) -> None:
    value = {"image": base64.b64encode(picture()).decode(), "prompt": "What?", "size": 7}
    with serving(
        table(api("ask", input=FIELDS, examples=(Example("cat", value),))), whole("application/json", b"1")
    ) as gateway:
        browser.open(gateway.url + "/docs")
        loaded(browser, ".preview img")
        send(browser)
        assert parts(gateway) == [
            ("image", "image.png", "image/png", picture()),
            ("prompt", None, "", b"What?"),
            ("size", None, "", b"7"),
        ]
        browser.click(".choice label:last-child")
        assert json.loads(browser.value()) == value


def test_bodies_are_switched_by_the_keyboard_and_keep_what_they_hold(browser: Browser) -> None:
    with serving(table(api("rows", input=ROWS, output=ROWS)), whole("application/x-npy", b"\x93NUMPY")) as gateway:
        browser.open(gateway.url + "/docs")
        assert browser.texts(".choice label") == ["JSON", "File (.npy)"]
        assert json.loads(browser.value()) == [[0, 0]]
        browser.write("[[1, 2]]")
        browser.one(".choice input:checked").send_keys(Keys.ARROW_RIGHT)
        assert "-H 'Content-Type: application/x-npy' \\\n  --data-binary @input.npy" in browser.content("#curl")
        browser.one(".choice input:checked").send_keys(Keys.ARROW_LEFT)
        assert browser.value() == "[[1, 2]]"
        send(browser)
        assert browser.one("#answer a.keep").text == "Download answer.npy"


def test_a_text_is_sent_as_text(browser: Browser) -> None:
    with serving(
        table(api("shout", input={"type": "string"}, output={"type": "string"})), whole("text/plain", b"HI")
    ) as gateway:
        browser.open(gateway.url + "/docs")
        browser.click(".choice label:last-child")
        browser.write("hi there")
        assert "-H 'Content-Type: text/plain' \\\n  --data-raw 'hi there'" in browser.content("#curl")
        send(browser)
        assert gateway.headers[-1]["content-type"] == "text/plain"
        assert gateway.calls() == [("/shout", "hi there")]
        assert browser.content("#answer-body") == "HI"


def test_sound_is_played(browser: Browser) -> None:
    with serving(
        table(api("say", input={"type": "string"}, output={**SOUND, "contentMediaType": "audio/wav"})),
        whole("audio/wav", sound()),
    ) as gateway:
        browser.open(gateway.url + "/docs")
        send(browser)
        browser.until(
            lambda: browser.run("return document.querySelector('#answer audio').duration > 0.2"), "the player"
        )
        assert browser.one("#answer a.keep").get_attribute("download") == "answer.wav"


def test_pictures_in_json_are_shown(browser: Browser) -> None:
    output = {
        "type": "object",
        "properties": {"label": {"type": "string"}, "crops": {"type": "array", "items": {"$ref": "#/types/Crop"}}},
    }
    body = json.dumps({"label": "cat", "crops": [base64.b64encode(picture(40, 30)).decode(), "no base64!"]}).encode()
    with serving(table(api("crop", output=output), types={"Crop": IMAGE}), whole("application/json", body)) as gateway:
        browser.open(gateway.url + "/docs")
        send(browser)
        loaded(browser, "#answer img")
        assert browser.texts("#answer .found code") == ["/crops/0"]
        assert json.loads(browser.content("#answer-body"))["label"] == "cat"


# ── streams ──────────────────────────────────────────────────────────────────────────────────────

WORDS = [f'data: "word{number} "\n\n'.encode() for number in range(6)]


def chat(stream: str = "sse", output: Any = None) -> RouteTable:
    return table(
        api(
            "chat",
            summary="Talk to a model",
            input={"type": "string"},
            output=output or {"type": "string"},
            stream=stream,
        )
    )


@pytest.fixture
def half(browser: Browser) -> Iterator[Gateway]:
    """A stream that waits in the middle, while a person looks at it."""
    with serving(chat(), chunks("text/event-stream", *WORDS, b"event: end\ndata:\n\n", pause=3)) as gateway:
        browser.open(gateway.url + "/docs")
        browser.click("#send")
        browser.until(lambda: browser.all("#chunks li:nth-child(3)"), "three chunks")
        yield gateway


def test_a_stream_appears_as_it_comes(browser: Browser, half: Gateway) -> None:
    assert browser.content("#stream-text") == "word0 word1 word2 "
    assert browser.text("#send") == "Stop"
    browser.until(lambda: "3 chunks" in browser.text("#stream-state"), "the count")
    assert "Receiving…" in browser.text("#stream-state")
    assert "48 bytes" in browser.text("#stream-state")
    assert "curl -sSN" in browser.content("#curl")
    assert "streams events" in browser.text(".head")
    browser.click(".streamed summary")
    browser.picture("stream")
    browser.dark(on=True)
    browser.picture("stream-dark")
    half.release.set()
    browser.until(lambda: "Complete." in browser.text("#stream-state"), "the end")
    assert "6 chunks" in browser.text("#stream-state")
    assert browser.content("#stream-text") == "word0 word1 word2 word3 word4 word5 "
    assert browser.content("#chunks li:last-child") == '"word5 "'
    browser.until(lambda: browser.text("#send") == "Send", "the button")
    assert browser.content("#said") == "Complete. 6 chunks."


def test_a_stream_is_stopped_and_stays(browser: Browser, half: Gateway) -> None:
    browser.click("#send")
    browser.until(lambda: browser.text("#send") == "Send", "the button")
    assert "Stopped." in browser.text("#stream-state")
    assert browser.content("#stream-text") == "word0 word1 word2 "
    assert half.calls()


@pytest.mark.parametrize(
    ("pieces", "said", "text"),
    [
        ((b': idle\r\n\r\ndata: "a"\r', b'\n\r\nda', b'ta: "\xc3', b'\xa4"\n\nevent: end\n\n'), "Complete.", "a\u00e4"),
        ((b'data: "a\ndata: b"\n\n', b"event: end\ndata: \n\n"), "Complete.", ""),
        ((b'data: "a"\n\n',), "Broken off: the connection closed before the end.", "a"),
        ((b'data: "a"\n\n', b"event: error\ndata: ", json.dumps(PROBLEM).encode(), b"\n\n"), "Failed on the way.", "a"),
    ],
)  # fmt: skip
def test_events_are_read_however_they_are_cut(
    browser: Browser, pieces: tuple[bytes, ...], said: str, text: str
) -> None:
    with serving(chat(), chunks("text/event-stream", *pieces)) as gateway:
        browser.open(gateway.url + "/docs")
        send(browser)
        assert said in browser.text("#stream-state")
        assert browser.content("#stream-text") == text
        failed = said.startswith("Failed")
        assert [found.split("\n")[0] for found in browser.texts(".problem h4")] == (
            [PROBLEM["title"]] if failed else []
        )


@pytest.mark.parametrize("last", [b'{"n": 2}\n', b'{"n": 2}', json.dumps({"error": PROBLEM}).encode() + b"\n"])
def test_lines_are_rows(browser: Browser, last: bytes) -> None:
    output = {"type": "object", "properties": {"n": {"type": "integer"}}}
    with serving(
        chat("ndjson", output), chunks("application/x-ndjson", b'{"n": 0}\n{"n"', b': 1, "error": {}}\n', last)
    ) as gateway:
        browser.open(gateway.url + "/docs")
        send(browser)
        failed = b"error" in last
        assert ("Failed on the way." if failed else "Complete.") in browser.text("#stream-state")
        assert browser.texts("#chunks code")[:2] == ['{"n": 0}', '{"n": 1, "error": {}}']
        assert len(browser.texts("#chunks li")) == (2 if failed else 3)
        assert len(browser.all(".problem")) == failed


def test_chunks_of_one_text_each_are_read_as_one_text(browser: Browser) -> None:
    lines = b'{"text": "one "}\n{"text": "two"}\n'
    with serving(chat("ndjson", {"type": "object"}), chunks("application/x-ndjson", lines)) as gateway:
        browser.open(gateway.url + "/docs")
        send(browser)
        assert browser.text("#stream-text") == "one two"
        assert len(browser.all("#chunks li")) == 2


def test_raw_text_grows_and_a_broken_connection_is_told(browser: Browser) -> None:
    short = {"Content-Length": "99"}
    reply = chunks("text/plain; charset=utf-8", b"one ", b"two", b"!", pause=2, head=short)
    with serving(chat("raw"), reply) as gateway:
        browser.open(gateway.url + "/docs")
        browser.click("#send")
        browser.until(lambda: browser.content("#stream-text") == "one two", "the first words")
        gateway.release.set()
        browser.until(lambda: browser.text("#send") == "Send", "the end")
        assert "Broken off" in browser.text("#stream-state")
        assert browser.content("#stream-text").startswith("one two")
        assert all("ERR_CONTENT_LENGTH_MISMATCH" in each for each in browser.complaints())


def test_raw_sound_is_played_when_it_is_complete(browser: Browser) -> None:
    wav = sound()
    output = {**BYTES, "contentMediaType": "audio/wav"}
    with serving(chat("raw", output), chunks("audio/wav", wav[:100], wav[100:])) as gateway:
        browser.open(gateway.url + "/docs")
        send(browser)
        browser.until(
            lambda: browser.run("return document.querySelector('#answer audio').duration > 0.2"), "the player"
        )
        assert "Complete." in browser.text("#stream-state")


def test_a_problem_before_the_first_chunk_is_a_problem(browser: Browser) -> None:
    with serving(chat(), whole("application/problem+json", json.dumps(PROBLEM).encode(), 500)) as gateway:
        browser.open(gateway.url + "/docs")
        send(browser)
        assert browser.text(".problem h4") == PROBLEM["title"]


def test_many_chunks_do_not_grow_the_page_without_end(browser: Browser) -> None:
    lines = b"".join(b'{"n": %d}\n' % number for number in range(3000))
    with serving(chat("ndjson", {"type": "object"}), chunks("application/x-ndjson", lines)) as gateway:
        browser.open(gateway.url + "/docs")
        send(browser)
        assert "3000 chunks" in browser.text("#stream-state")
        assert len(browser.all("#chunks li")) == 500
        assert browser.content("#chunks li:last-child") == '{"n": 2999}'


def test_every_control_of_a_form_has_a_name(browser: Browser, half: Gateway) -> None:
    with serving(table(api("ask", input=FIELDS, output=IMAGE)), whole("image/png", b"")) as gateway:
        browser.open(gateway.url + "/docs")
        named = browser.all(
            "button, main input, main textarea, main select, fieldset, form, [role=region], ol, img, audio"
        )
        assert [element.get_attribute("outerHTML") for element in named if not element.accessible_name] == []
