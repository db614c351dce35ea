"""The page of `/docs` of a real daemon in a real browser: pictures, tensors, problems, and a stream that is stopped."""

import base64
import io
import json

import pytest
from PIL import Image, ImageChops, ImageStat

from tests.support.daemon import running
from tests.support.examples import ROOT, TOUR
from tests.support.project import Gate, api, project

pytestmark = [pytest.mark.e2e, pytest.mark.beside]
FILTER = ROOT / "specs/image-filter"
PHOTO = FILTER / "photo.jpg"


@pytest.fixture(scope="module")
def pictures():
    with running(FILTER) as app:
        yield app


@pytest.fixture(scope="module")
def tour():
    with running(ROOT, spec=TOUR.name) as app:
        yield app


def opened(browser, app, api, prefix=""):
    browser.open(f"{app.url}{prefix}/docs#/{api}")
    browser.until(lambda: browser.all("#send"), "the form")


def answered(browser):
    """Send, and wait for the answer."""
    browser.click("#send")
    browser.until(lambda: browser.all("#facts") and browser.text("#send") == "Send", "the answer")


def shown(browser):
    """The picture that the answer shows."""
    browser.until(lambda: browser.run("return document.querySelector('#answer img')?.naturalWidth > 0"), "the picture")
    width, height, pixels = browser.run(
        "const image = document.querySelector('#answer img');"
        "const canvas = new OffscreenCanvas(image.naturalWidth, image.naturalHeight);"
        "const context = canvas.getContext('2d'); context.drawImage(image, 0, 0);"
        "const { data } = context.getImageData(0, 0, canvas.width, canvas.height);"
        "return [canvas.width, canvas.height, data.toBase64 ? data.toBase64() : btoa(Array.from(data, "
        "(each) => String.fromCharCode(each)).join(''))];"
    )
    return Image.frombytes("RGBA", (width, height), base64.b64decode(pixels)).convert("RGB")


def called(app, path, value, accept):
    """The picture that the same call answers without a page."""
    status, headers, body = app.post(path, value, {"accept": accept})
    assert (status, headers["content-type"]) == (200, accept)
    return Image.open(io.BytesIO(body)).convert("RGB")


def difference(one, other):
    """The mean difference of two pictures' pixels."""
    assert one.size == other.size
    return sum(ImageStat.Stat(ImageChops.difference(one, other)).mean)


def test_a_picture_in_a_form_comes_back_changed(browser, pictures):
    opened(browser, pictures, "filter")
    browser.one("#field-0").send_keys(str(PHOTO))
    browser.one("#field-1").send_keys("edges")
    browser.one("#field-2").clear()
    browser.one("#field-2").send_keys("1.5")
    answered(browser)
    value = {"image": base64.b64encode(PHOTO.read_bytes()).decode(), "kind": "edges", "strength": 1.5}
    found = shown(browser)
    browser.picture("real-form")
    assert difference(found, called(pictures, "/filter", value, "image/png")) == 0
    with Image.open(PHOTO) as photo:
        assert found.size == photo.size


def test_a_picture_is_the_whole_body(browser, pictures):
    opened(browser, pictures, "thumbnail")
    browser.one("#file").send_keys(str(PHOTO))
    answered(browser)
    found = shown(browser)
    browser.picture("real-raw")
    photo = base64.b64encode(PHOTO.read_bytes()).decode()
    assert difference(found, called(pictures, "/thumbnail", photo, "image/jpeg")) < 3  # decoders differ a little
    assert max(found.size) == 256


def test_a_problem_leads_to_its_field(browser, pictures):
    opened(browser, pictures, "filter")
    browser.one("#field-0").send_keys(str(PHOTO))
    browser.one("#field-1").send_keys("blur")
    browser.one("#field-2").clear()
    browser.one("#field-2").send_keys("50")
    answered(browser)
    browser.picture("real-problem")
    assert "20" in browser.text(".problem li")
    browser.click(".problem li button")
    assert browser.driver.switch_to.active_element.get_attribute("id") == "field-2"


def test_what_is_no_picture_is_said_at_its_field(browser, pictures, tmp_path):
    (tmp_path / "no.png").write_bytes(b"no picture")
    opened(browser, pictures, "filter")
    browser.one("#field-0").send_keys(str(tmp_path / "no.png"))
    answered(browser)
    assert browser.texts(".problem li button") == ["/image"]
    browser.click(".problem li button")
    assert browser.driver.switch_to.active_element.get_attribute("id") == "field-0"


def test_a_tensor_is_written_in_json_or_in_a_form(browser, tour):
    opened(browser, tour, "center", "/v1")
    browser.write(json.dumps({"points": [[0, 0], [2, 4], [4, 8]]}))
    answered(browser)
    browser.picture("real-tensor")
    assert json.loads(browser.content("#answer-body")) == [2, 4]
    browser.click(".choice label:last-child")
    browser.one("#field-0").clear()
    browser.one("#field-0").send_keys("[[1, 1], [3, 5]]")
    answered(browser)
    browser.picture("real-tensor-form")
    assert json.loads(browser.content("#answer-body")) == [2, 3]


def test_a_file_that_comes_back_is_kept(browser, tour):
    opened(browser, tour, "packed", "/v1")
    answered(browser)
    assert "application/gzip" in browser.text("#answer")
    assert browser.one("#answer a.keep").get_attribute("download").startswith("answer.")


def test_words_appear_one_after_the_other(browser, tour):
    opened(browser, tour, "words", "/v1")
    browser.write(json.dumps("one two three"))
    browser.click("#send")
    browser.until(lambda: "Complete. 3 chunks." in browser.content("#said"), "the end")
    assert browser.content("#stream-text") == "onetwothree"


def test_a_stream_grows_and_stop_closes_its_generator(browser, tmp_path):
    gate = Gate(tmp_path / "gate")
    tell = api("s", "steady", "gate", stream="sse", output={"type": "integer"})
    folder = project(tmp_path / "app", "streaming", services={"s": {"target": "streaming"}}, apis={"tell": tell})
    with running(folder) as app:
        opened(browser, app, "tell")
        if not browser.all("#body"):
            browser.click(".choice label:last-child")
        browser.write(json.dumps(gate.input))
        browser.click("#send")
        browser.until(lambda: browser.all("#chunks li:nth-child(3)"), "three chunks")
        some = len(browser.all("#chunks li"))
        browser.until(lambda: len(browser.all("#chunks li")) > some, "more chunks")
        assert gate.count("closed") == 0
        browser.picture("real-stream")
        browser.click("#send")
        gate.reached(1, "closed")
        browser.until(lambda: browser.text("#send") == "Send", "the button")
        assert "Stopped." in browser.text("#stream-state")
