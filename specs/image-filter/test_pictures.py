"""The filters, called directly and over HTTP."""

import base64
import io

import pytest
from pictures import FILTERS, apply, thumbnail
from PIL import Image

from tests.support.forms import Part, form


def half(mode="RGB"):
    """White on the left, black on the right."""
    image = Image.new("RGB", (64, 32), "white")
    image.paste("black", (32, 0, 64, 32))
    return image.convert(mode)


def encoded(image, kind="png", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def decoded(body):
    image = Image.open(io.BytesIO(body))
    image.load()
    return image


def test_blur_softens_the_border():
    assert 0 < apply(half(), "blur").getpixel((32, 16))[0] < 255


def test_edges_are_where_the_border_is():
    edges = apply(half(), "edges", strength=0)
    assert (edges.getpixel((8, 16)), edges.getpixel((56, 16))) == (0, 0)
    assert max(edges.getpixel((x, 16)) for x in range(30, 34)) == 255


def test_invert_and_grayscale():
    assert apply(half(), "invert").getpixel((0, 0)) == (0, 0, 0)
    assert apply(half(), "grayscale").mode == "L"


@pytest.mark.parametrize("kind", FILTERS)
@pytest.mark.parametrize("mode", ["1", "L", "P", "RGBA", "CMYK", "I;16"])
def test_every_filter_takes_every_kind_of_picture(kind, mode):
    image = half("L").convert("I").convert(mode) if mode == "I;16" else half(mode)
    assert apply(image, kind).size == (64, 32)


def test_a_thumbnail_keeps_the_proportions_and_leaves_the_original_alone():
    image = Image.new("RGBA", (1000, 500), (0, 0, 0, 0))
    small = thumbnail(image)
    assert (small.size, small.getpixel((5, 5))) == ((256, 128), (255, 255, 255))
    assert image.size == (1000, 500)
    assert thumbnail(half()).size == (64, 32)


def test_what_was_taken_on_its_side_is_turned():
    image = half()
    image.getexif()[0x0112] = 6
    assert thumbnail(image).size == (32, 64)


@pytest.mark.e2e
def test_a_form_with_a_picture_and_options(app):
    parts = [Part("image", encoded(half()), "image/png", "half.png"), Part("kind", b"blur"), Part("strength", b"4")]
    status, headers, body = app.send("/filter", *form(*parts))
    assert status == 200, body
    assert headers["content-type"] == "image/png"
    assert 0 < decoded(body).getpixel((32, 16))[0] < 255


@pytest.mark.e2e
@pytest.mark.parametrize(("accept", "kind"), [("image/jpeg", "JPEG"), ("image/webp", "WEBP"), ("image/*", "PNG")])
def test_accept_chooses_the_kind_of_picture(app, accept, kind):
    body, headers = form(Part("image", encoded(half()), "image/png", "half.png"), Part("kind", b"grayscale"))
    status, _, answer = app.send("/filter", body, {**headers, "accept": accept})
    assert status == 200, answer
    assert decoded(answer).format == kind


@pytest.mark.e2e
def test_json_in_and_out(app):
    picture = {"image": base64.b64encode(encoded(half())).decode(), "kind": "invert"}
    status, _, answer = app.post("/filter", picture, {"accept": "application/json"})
    assert status == 200, answer
    assert decoded(base64.b64decode(answer)).getpixel((0, 0)) == (0, 0, 0)


@pytest.mark.e2e
@pytest.mark.parametrize("kind", ["png", "jpeg", "gif", "webp", "bmp", "tiff"])
def test_the_body_is_the_picture(app, kind):
    large = half().resize((800, 400))
    status, headers, body = app.send("/thumbnail", encoded(large, kind), {"content-type": f"image/{kind}"})
    assert status == 200, body
    assert headers["content-type"] == "image/jpeg"
    assert (decoded(body).format, decoded(body).size) == ("JPEG", (256, 128))


@pytest.mark.e2e
def test_what_is_wrong_with_a_form_is_named(app):
    parts = [
        Part("image", b"GIF89a, or is it?", "image/gif", "x.gif"),
        Part("kind", b"sepia"),
        Part("strength", b"much"),
    ]
    status, _, problem = app.send("/filter", *form(*parts))
    assert (status, problem["code"]) == (422, "invalid-input")
    assert {error["pointer"] for error in problem["errors"]} == {"/image", "/kind", "/strength"}


@pytest.mark.e2e
def test_a_picture_that_says_it_is_something_else_is_refused(app):
    status, _, problem = app.send("/thumbnail", encoded(half()), {"content-type": "image/jpeg"})
    assert (status, problem["code"]) == (422, "invalid-input")
    status, _, problem = app.send("/thumbnail", encoded(half()), {"content-type": "application/pdf"})
    assert (status, problem["code"]) == (415, "unsupported-media-type")


@pytest.mark.e2e
def test_an_answer_that_nobody_accepts_is_not_computed(app):
    headers = {"content-type": "image/png", "accept": "image/avif"}
    status, _, problem = app.send("/thumbnail", encoded(half()), headers)
    assert (status, problem["code"]) == (406, "not-acceptable")
