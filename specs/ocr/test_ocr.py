"""The reader, called directly and over HTTP, on pictures that are painted here."""

import base64
import io

import pytest

pytest.importorskip("rapidocr", reason="specs/ocr/requirements.txt is not installed")
pytest.importorskip("onnxruntime", reason="specs/ocr/requirements.txt is not installed")

from ocr import Reader, pixels
from PIL import Image, ImageDraw, ImageFont

from tests.support.forms import Part, form

INK = {"1": 0, "L": 0, "P": 0, "RGB": "black", "RGBA": "black", "CMYK": (0, 0, 0, 255)}


def painted(*lines, mode="RGB", paper="white"):
    image = Image.new(mode, (480, 70 * len(lines) + 20), paper)
    for number, line in enumerate(lines):
        ImageDraw.Draw(image).text((20, 20 + 70 * number), line, INK[mode], ImageFont.load_default(40))
    return image


def png(image):
    buffer = io.BytesIO()
    image.save(buffer, "png")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def reader():
    return Reader()


def texts(lines):
    return [line["text"] for line in lines]


def test_lines_are_read_from_top_to_bottom(reader):
    assert texts(reader.read(painted("Hello 12345", "Serve models"))) == ["Hello 12345", "Serve models"]


def test_a_box_lies_around_its_line(reader):
    first, second = reader.read(painted("Hello 12345", "Serve models"))
    assert (first["box"].shape, first["box"].dtype) == ((4, 2), "float32")
    (left, top), _, (right, bottom), _ = first["box"]
    assert 0 <= left < 40
    assert 200 < right < 300
    assert 10 < top < 40 < bottom < 90
    assert second["box"][0][1] > bottom - 10


@pytest.mark.parametrize("mode", ["L", "RGBA", "CMYK", "P"])
def test_any_kind_of_picture_is_read(reader, mode):
    image = painted("Hello 12345").convert(mode)
    assert texts(reader.read(image)) == ["Hello 12345"]


def test_what_is_transparent_is_white(reader):
    assert texts(reader.read(painted("Hello 12345", mode="RGBA", paper=(0, 0, 0, 0)))) == ["Hello 12345"]


def test_a_picture_that_lies_on_its_side_is_turned_as_its_exif_data_says():
    image = painted("Hello 12345")
    image.getexif()[0x0112] = 6  # turn it a quarter to the right
    assert pixels(image).shape == (480, 90, 3)


def test_doubtful_lines_are_left_out(reader):
    assert reader.read(painted("Hello 12345"), min_score=1.0) == []


@pytest.mark.parametrize("size", [(1, 1), (3000, 1), (1, 3000), (10, 10), (600, 400)])
def test_a_picture_without_text_has_no_lines_whatever_its_shape(reader, size):
    assert reader.read(Image.new("RGB", size, "white")) == []


def test_a_narrow_picture_is_not_blown_up():
    assert pixels(Image.new("RGB", (3200, 1))).shape == (200, 3200, 3)


@pytest.mark.e2e
@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
def test_a_form_with_a_picture(app, kind):
    buffer = io.BytesIO()
    painted("Hello 12345").save(buffer, kind)
    image = Part("image", buffer.getvalue(), f"image/{kind}", f"hello.{kind}")
    status, _, lines = app.send("/read", *form(image, Part("min_score", b"0.8")))
    assert status == 200, lines
    assert texts(lines) == ["Hello 12345"]
    assert [len(corner) for corner in lines[0]["box"]] == [2, 2, 2, 2]


@pytest.mark.e2e
def test_json_with_a_picture(app):
    status, _, lines = app.post("/read", {"image": base64.b64encode(png(painted("Serve models"))).decode()})
    assert (status, texts(lines)) == (200, ["Serve models"])


@pytest.mark.e2e
def test_a_picture_with_too_many_pixels_is_refused_before_it_is_decoded(app):
    image = Part("image", png(Image.new("1", (6000, 6000))), "image/png", "large.png")
    status, _, problem = app.send("/read", *form(image))
    assert (status, problem["code"]) == (413, "body-too-large")


@pytest.mark.e2e
def test_what_is_no_picture_is_refused_with_its_place(app):
    status, _, problem = app.send("/read", *form(Part("image", b"no picture", "image/png", "broken.png")))
    assert (status, problem["code"]) == (422, "invalid-input")
    assert [error["pointer"] for error in problem["errors"]] == ["/image"]
