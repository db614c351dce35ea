"""`bentod call` against a running daemon: files, forms, tensors and streams, there and back."""

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from tests.support.daemon import eventually, running
from tests.support.project import project

pytestmark = [pytest.mark.e2e, pytest.mark.beside]

TARGETS = """
import asyncio
from pathlib import Path


def half(array):
    return array / 2


def turn(picture, degrees, title=""):
    turned = picture.rotate(degrees, expand=True)
    turned.info["title"] = title
    return turned


def pack(file):
    packed = file.with_name("packed.bin")
    packed.write_bytes(file.read_bytes()[::-1])
    return packed


async def talk(words, fail=False, wait=""):
    try:
        for word in words:
            yield word
            await asyncio.sleep(0)
        if fail:
            raise ValueError("nothing more to say")
        if wait:
            await asyncio.Event().wait()
    finally:
        if wait:
            Path(wait).touch()
"""
TENSOR = {"type": "array", "format": "tensor", "dtype": "float32", "shape": [-1, 2]}
PICTURE = {"type": "string", "format": "image"}
FILE = {"type": "string", "format": "file"}
TALK = {
    "type": "object",
    "properties": {
        "words": {"type": "array", "items": {"type": "string"}},
        "fail": {"type": "boolean"},
        "wait": {"type": "string"},
    },
    "required": ["words"],
    "additionalProperties": False,
}
TURN = {
    "type": "object",
    "properties": {"picture": PICTURE, "degrees": {"type": "integer"}, "title": {"type": "string"}},
    "required": ["picture", "degrees"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    talk = {"service": "s", "method": "talk", "input": TALK, "output": {"type": "string"}}
    folder = project(
        tmp_path_factory.mktemp("call"),
        files={"targets.py": TARGETS},
        services={"s": {"target": "targets.py"}},
        server={"docs": False},
        apis={
            "half": {"service": "s", "input": {"$ref": "#/types/Pairs"}, "output": {"$ref": "#/types/Pairs"}},
            "turn": {"service": "s", "input": TURN, "output": PICTURE},
            "pack": {"service": "s", "input": FILE, "output": FILE},
            **{form: {**talk, "stream": form} for form in ("sse", "ndjson", "raw")},
        },
        types={"Pairs": TENSOR},
    )
    with running(folder) as app:
        yield app


def called(app, *words, stdin=b""):
    """Exit code, stdout as bytes, stderr."""
    command = [sys.executable, "-P", "-m", "bentod", "call", *app.spec, *words]
    done = subprocess.run(command, env=app.environ, input=stdin, capture_output=True, timeout=60)
    return done.returncode, done.stdout, done.stderr.decode()


def test_a_tensor_in_every_form(app, tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, np.array([[1, 2], [3, 4]], np.float32))
    assert json.loads(called(app, "half", "[[1, 2], [3, 4]]")[1]) == [[0.5, 1], [1.5, 2]]
    assert json.loads(called(app, "half", f"@{path}")[1]) == [[0.5, 1], [1.5, 2]]
    code, out, err = called(
        app, "half", "-", "--accept", "application/x-npy", "-o", str(tmp_path / "b.npy"), stdin=path.read_bytes()
    )
    assert (code, out, err) == (0, b"", "")
    assert np.load(tmp_path / "b.npy").tolist() == [[0.5, 1], [1.5, 2]]


def test_a_form_with_a_picture(app, tmp_path):
    Image.new("RGB", (6, 4), "red").save(tmp_path / "a.jpg")
    out = tmp_path / "b.png"
    assert called(app, "turn", f"picture=@{tmp_path / 'a.jpg'}", "degrees=90", "title=5", "-o", str(out)) == (
        0,
        b"",
        "",
    )
    with Image.open(out) as turned:
        assert (turned.format, turned.size) == ("PNG", (4, 6))


def test_a_file(app, tmp_path):
    (tmp_path / "a.json").write_bytes(b'{"a"')
    assert called(app, "pack", f"@{tmp_path / 'a.json'}") == (0, b'"a"{', "")


def test_a_file_that_is_too_large(app, tmp_path):
    with (tmp_path / "large").open("wb") as large:
        large.truncate(64 * 1024 * 1024)
    code, out, err = called(app, "pack", f"@{tmp_path / 'large'}")
    assert (code, out, json.loads(err)["code"]) == (4, b"", "body-too-large")


@pytest.mark.parametrize("form", ["sse", "ndjson", "raw"])
def test_a_stream(app, form):
    assert called(app, form, 'words=["Hel", "lo é\\n", "!"]') == (0, "Hello é\n!\n".encode(), "")


@pytest.mark.parametrize(
    ("form", "said"), [("sse", "target-raised"), ("ndjson", "target-raised"), ("raw", "broke off")]
)
def test_a_stream_that_fails(app, form, said):
    code, out, err = called(app, form, '{"words": ["one", "two"], "fail": true}')
    assert (code, out.rstrip()) == (4, b"onetwo")
    assert said in err
    assert "nothing more" not in err


def test_an_interrupt_ends_the_stream_and_its_generator(app, tmp_path):
    words = ["call", *app.spec, "sse", 'words=["one"]', f"wait={tmp_path / 'gone'}"]
    command = [sys.executable, "-P", "-m", "bentod", *words]
    with subprocess.Popen(command, env=app.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout.read(3) == b"one"
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=30) == (b"\n", b"")
    assert process.returncode == 130
    eventually((tmp_path / "gone").exists)


def test_a_terminal_is_spared(app, tmp_path):
    (tmp_path / "a").write_bytes(b"\x1b[2J")
    ours, theirs = os.openpty()
    command = [sys.executable, "-P", "-m", "bentod", "call", *app.spec, "pack", f"@{tmp_path / 'a'}"]
    done = subprocess.run(command, env=app.environ, stdout=theirs, stderr=subprocess.PIPE, timeout=60)
    os.close(theirs)
    os.close(ours)
    assert done.returncode == 2
    assert b"4 bytes" in done.stderr
    assert b"-o FILE" in done.stderr
