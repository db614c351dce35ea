"""The detector, called directly and over HTTP, on real files."""

import io
import json
import zipfile
from pathlib import Path

import pytest

pytest.importorskip("magika", reason="specs/file-type/requirements.txt is not installed")

from filetype import Detector
from PIL import Image

from tests.support.forms import Part, form

PYTHON = Path(__file__).read_bytes()


def picture():
    buffer = io.BytesIO()
    Image.effect_noise((64, 64), 50).save(buffer, "png")
    return buffer.getvalue()


def archive():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("picture.png", picture())
    return buffer.getvalue()


KINDS = {
    "python": PYTHON,
    "png": picture(),
    "zip": archive(),
    "json": json.dumps([{"a": 1}] * 50).encode(),
    "empty": b"",
}


@pytest.fixture(scope="module")
def detector():
    return Detector()


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_is_known_by_its_bytes(detector, tmp_path, kind):
    file = tmp_path / "upload.txt"
    file.write_bytes(KINDS[kind])
    found = detector.identify(file)
    assert found["label"] == kind
    assert 0.5 < found["score"] <= 1
    assert {type(value) for value in found.values()} == {str, bool, float}


def test_many_files_are_answered_in_their_order(detector, tmp_path):
    files = [tmp_path / str(number) for number in range(12)]
    for number, file in enumerate(files):
        file.write_bytes([PYTHON, picture(), b""][number % 3])
    assert [found["label"] for found in detector.identify_all(files)] == ["python", "png", "empty"] * 4


def test_a_file_that_cannot_be_read_is_no_file_type(detector, tmp_path):
    with pytest.raises(OSError, match="unreadable"):
        detector.identify(tmp_path / "missing")


@pytest.mark.e2e
@pytest.mark.parametrize("media_type", ["application/octet-stream", "image/png", "text/csv"])
def test_the_body_is_the_file_whatever_its_type_is_said_to_be(app, media_type):
    status, _, found = app.send("/identify", PYTHON, {"content-type": media_type})
    assert status == 200, found
    assert (found["label"], found["mime_type"], found["is_text"]) == ("python", "text/x-python", True)


@pytest.mark.e2e
def test_a_form_with_several_files(app):
    parts = [Part("files", data, "application/octet-stream", f"{kind}.bin") for kind, data in KINDS.items()]
    status, _, found = app.send("/identify_all", *form(*parts))
    assert status == 200, found
    assert [kind["label"] for kind in found] == list(KINDS)


@pytest.mark.e2e
def test_a_large_file(app):
    status, _, found = app.send("/identify", archive() + bytes(20_000_000), {"content-type": "application/zip"})
    assert status == 200, found


@pytest.mark.e2e
def test_files_are_gone_after_their_call(app):
    app.send("/identify", PYTHON, {"content-type": "text/x-python"})
    assert not [
        path for path in (*app.run.rglob("*"), *app.state.rglob("*")) if path.is_file() and path.read_bytes() == PYTHON
    ]
