"""Limits of bodies with IO types, at their edge and one beyond; what is too much costs nobody else anything."""

import io
import os
import struct
import time
import zlib

import msgpack
import numpy as np
import pytest
from PIL import Image

from tests.support.daemon import running
from tests.support.forms import Part, form
from tests.support.http import Connection, chunked, request
from tests.support.project import project
from tests.support.samples import npy, picture

pytestmark = [pytest.mark.e2e, pytest.mark.beside]
JSON, MSGPACK, NPY, OCTETS = "application/json", "application/msgpack", "application/x-npy", "application/octet-stream"
TENSOR = {"type": "array", "format": "tensor", "dtype": "float32", "shape": [-1, 3]}
SQUARE = {"type": "array", "format": "tensor", "dtype": "float32", "shape": ["n", "n"]}
VECTOR = {"type": "array", "format": "tensor", "dtype": "float32", "shape": ["n"]}
IMAGE = {"type": "string", "format": "image"}
FILE = {"type": "string", "format": "file"}
BINARY = {"type": "string", "format": "binary"}
SMALL = 2048
UNFOLDS = zlib.compress(b"\0" * 10**8)


def target(method, input_=True, output=True, **more):
    return {"service": "s", "method": method, "input": input_, "output": output, **more}


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    pair = {"type": "object", "properties": {"a": VECTOR, "b": VECTOR}, "required": ["a", "b"]}
    words = {"type": "array", "items": {"type": "string"}}
    apis = {
        "file": target("seen", FILE, max_body="2KiB"),
        "binary": target("seen", BINARY, max_body="2KiB"),
        "large": target("seen", BINARY),
        "form": target("seen_all", {"type": "object", "properties": {"value": FILE}}, max_body="2KiB"),
        "parts": target("seen_all", {"type": "object", "properties": {"value": words}}),
        "pixels": target("seen", {**IMAGE, "maxPixels": 100}),
        "image": target("seen", IMAGE),
        "flip": target("same", IMAGE, IMAGE),
        "tensor": target("seen", TENSOR),
        "square": target("seen", SQUARE),
        "pair": target("outer", pair, SQUARE),
        "marked": target("marked", {"type": "object", "properties": {"mark": {"type": "string"}}}, IMAGE),
        "marked_npy": target("marked", {"type": "object", "properties": {"mark": {"type": "string"}, "value": TENSOR}}),
    }
    folder = project(tmp_path_factory.mktemp("limits"), "typed", services={"s": {"target": "typed.py"}}, apis=apis)
    with running(folder) as app:
        yield app


def test_an_answer_that_is_not_acceptable_is_told_before_the_model_runs(ask, tmp_path):
    mark = tmp_path / "mark"
    for accept in ("text/html", "image/png;q=0, image/avif", "application/json;q=0, text/*"):
        assert ask("/marked", {"mark": str(mark)}, accept=accept).code == "not-acceptable"
    assert ask("/marked", b"x", "video/mp4").code == "unsupported-media-type"
    assert not mark.exists()
    assert ask("/marked", {"mark": str(mark)}, accept="image/*").status == 200
    assert mark.exists()


@pytest.mark.parametrize("path", ["/file", "/binary"])
@pytest.mark.parametrize("how", ["length", "chunked", "one chunk"])
def test_max_body_of_raw_bodies(app, path, how):
    for size, wanted in ((SMALL, 200), (SMALL + 1, 413)):
        data = os.urandom(size)
        headers = {"content-type": OCTETS}
        if how == "length":
            whole = request(path, data, headers=headers)
        else:
            chunks = [data] if how == "one chunk" else [data[at : at + 100] for at in range(0, size, 100)]
            whole = request(path, None, headers={**headers, "transfer-encoding": "chunked"}) + chunked(*chunks)
        with Connection(app.url) as connection:
            answer = connection.ask(whole)
            assert answer.status == wanted
            if wanted == 200:
                assert answer.json["bytes"] == size
            else:
                assert (answer.code, answer.headers["connection"]) == ("body-too-large", "close")
                assert connection.ended()


def test_max_body_of_a_form_counts_all_of_it(ask):
    empty, _ = form(Part("value", b"", OCTETS, "a.bin"))
    for more, wanted in ((0, 200), (1, 413)):
        body, header = form(Part("value", b"x" * (SMALL - len(empty) + more), OCTETS, "a.bin"))
        assert len(body) == SMALL + more
        assert ask("/form", body, header["content-type"]).status == wanted


@pytest.mark.parametrize("media_type", ["multipart", "urlencoded"])
@pytest.mark.parametrize(("count", "wanted"), [(64, 200), (65, 413), (10_000, 413)])
def test_64_parts(ask, media_type, count, wanted):
    if media_type == "multipart":
        body, header = form(*[Part("value", b"x")] * count)
        media_type = header["content-type"]
    else:
        body, media_type = b"&".join([b"value=x"] * count), "application/x-www-form-urlencoded"
    answer = ask("/parts", body, media_type)
    assert answer.status == wanted
    if wanted == 200:
        assert answer.json["value"]["value"] == ["x"] * 64
    else:
        assert (answer.code, "64" in answer.json["detail"]) == ("body-too-large", True)


@pytest.mark.parametrize("media_type", ["image/png", "image/gif", "image/tiff", "image/webp"])
def test_max_pixels_counts_all_frames(ask, media_type):
    for size, frames, wanted in (((10, 10), 1, 200), ((101, 1), 1, 413), ((5, 5), 4, 200), ((5, 5), 5, 413)):
        body = picture(media_type, size, frames=frames)
        answer = ask("/pixels", body, media_type)
        assert answer.status == wanted, (size, frames, answer.body)
        if wanted == 413:
            assert (answer.code, "100 pixels" in answer.json["detail"]) == ("body-too-large", True)


@pytest.mark.parametrize("rows", [0, 1, 100])
@pytest.mark.parametrize("columns", [2, 3, 4])
def test_the_shape_of_a_tensor_is_as_declared(ask, rows, columns):
    array = np.zeros((rows, columns), np.float32)
    head = msgpack.packb(["float32", list(array.shape)])
    sent = [
        (npy(array), NPY),
        (msgpack.packb(msgpack.ExtType(1, head + array.tobytes())), MSGPACK),
        *([(array.tolist(), JSON)] if rows else []),
    ]
    for body, media_type in sent:
        answer = ask("/tensor", body, media_type)
        assert answer.status == (200 if columns == 3 else 422), answer.body
        if columns != 3:
            assert answer.json["errors"][0]["pointer"] == ""


def test_named_dimensions_agree_within_one_call(ask):
    assert ask("/square", [[1, 2], [3, 4]]).status == 200
    assert "'n'" in ask("/square", [[1, 2, 3], [4, 5, 6]]).json["errors"][0]["detail"]
    assert ask("/pair", {"a": [1, 2], "b": [3, 4]}).json == [[3, 4], [6, 8]]
    [error] = ask("/pair", {"a": [1, 2], "b": [3, 4, 5]}).json["errors"]
    assert error["pointer"] == "/b"
    assert ask("/pair", {"a": [], "b": []}).json == []


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, *more):
    head = chunk(b"IHDR", struct.pack(">2I5B", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(more) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def small_gif_frames(count):
    frame = b"\x2c" + struct.pack("<4H", 0, 0, 1, 1) + b"\0" + b"\2\2\x4c\1\0"
    return b"GIF89a" + struct.pack("<2H3B", 1, 1, 0, 0, 0) + frame * count + b";"


def tiff_directories(count):
    tags = [
        (256, 4, 1, 1),
        (257, 4, 1, 1),
        (258, 3, 1, 8),
        (259, 3, 1, 1),
        (262, 3, 1, 1),
        (273, 4, 1, 8),
        (279, 4, 1, 1),
    ]
    size = 2 + 12 * len(tags) + 4
    body = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags)
    at = [16 + size * number for number in range(count)]
    return b"II*\0" + struct.pack("<I", 16) + b"\0" * 8 + b"".join(body + struct.pack("<I", n) for n in [*at[1:], 0])


def huge_tiff():
    out = io.BytesIO()
    Image.new("L", (4, 4)).save(out, "TIFF")
    data = bytearray(out.getvalue())
    at = struct.unpack_from("<I", data, 4)[0]
    for number in range(struct.unpack_from("<H", data, at)[0]):
        if struct.unpack_from("<H", data, at + 2 + 12 * number)[0] in (256, 257):
            struct.pack_into("<HII", data, at + 2 + 12 * number + 2, 4, 1, 100_000)
    return bytes(data)


BOMBS = {
    "a PNG of 900 million pixels": lambda: png(30_000, 30_000),
    "a PNG of the most pixels": lambda: png(2**31 - 1, 2**31 - 1),
    "a PNG with a text that unfolds": lambda: png(1, 1, *[chunk(b"zTXt", b"a\0\0" + UNFOLDS)] * 100),
    "a PNG with a profile that unfolds": lambda: png(1, 1, chunk(b"iCCP", b"a\0\0" + UNFOLDS)),
    "a PNG of a million pieces": lambda: png(1, 1, chunk(b"tEXt", b"a\0b") * 1_000_000),
    "a GIF of a million frames": lambda: small_gif_frames(1_000_000),
    "a GIF of few, huge frames": lambda: b"GIF89a" + struct.pack("<2H3B", 65_535, 65_535, 0, 0, 0)
    + (b"\x2c" + struct.pack("<4H", 0, 0, 65_535, 65_535) + b"\0" + b"\2\2\x4c\1\0") * 4 + b";",
    "a TIFF of many directories": lambda: tiff_directories(150_000),
    "a TIFF of 10^10 pixels": huge_tiff,
}  # fmt: skip


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_is_refused_and_others_are_served_meanwhile(app, bomb):
    body = BOMBS[bomb]()
    assert len(body) < 2**24
    with Connection(app.url) as attacker, Connection(app.url) as other:
        other.ask(request("/livez", None, "GET"))
        attacker.send(request("/image", body, headers={"content-type": OCTETS}))
        slowest = 0.0
        attacker.socket.setblocking(False)
        while True:
            begun = time.monotonic()
            assert other.ask(request("/livez", None, "GET")).status == 200
            slowest = max(slowest, time.monotonic() - begun)
            try:
                attacker._read += attacker.socket.recv(65536)
                break
            except BlockingIOError:
                continue
        attacker.socket.settimeout(20)
        answer = attacker.answer()
    assert (answer.status, answer.code) in {(413, "body-too-large"), (422, "invalid-input")}, answer.body
    assert slowest < 2.0


def test_pixels_that_are_not_there_are_missed_when_they_are_used(ask):
    assert ask("/flip", png(10, 6), "image/png").code == "invalid-input"


@pytest.mark.parametrize(
    "body",
    [
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        b"\xdb\xff\xff\xff\xff",
        b"\xc9\xff\xff\xff\xff\x01",
        b"\xdd\x00\xff\xff\xff" * 1000,
        b"\x91" * 65 + b"\xc0",
        b"\x91" * 400_000 + b"\xc0",
        b"\x81\xa1a" * 400_000 + b"\xc0",
        b"\xc1",
        b"",
        b"\xc0\xc0",
        b"\x81\x01\x02",
        b"\xcb\x7f\xf8" + b"\0" * 6,
        b"\xd4\x02\x00",
        b"\xd6\xff\x00\x00\x00\x00",
    ],
    ids=lambda body: body[:12].hex() or "empty",
)
def test_msgpack_that_lies_or_goes_deep_is_malformed(ask, body):
    for path in ("/tensor", "/marked"):
        answer = ask(path, body, MSGPACK)
        assert (answer.status, answer.code) == (400, "malformed-body"), answer.body


@pytest.mark.parametrize(
    ("dtype", "shape", "data"),
    [
        ("float32", [1, 3], b"\0" * 11),
        ("float32", [1, 3], b"\0" * 13),
        ("float32", [2**62, 3], b""),
        ("float32", [2**32, 2**32], b""),
        ("float32", [-1, 3], b""),
        ("float32", [True, 3], b"\0" * 12),
        ("float32", ["1", 3], b"\0" * 12),
        ("float32", 3, b"\0" * 12),
        ("object", [1, 3], b"\0" * 24),
        ("O", [1, 3], b"\0" * 24),
        (5, [1, 3], b"\0" * 12),
        ("float32", [0] * 65, b""),
    ],
)
def test_a_tensor_that_is_not_as_large_as_it_says_is_refused(ask, dtype, shape, data):
    body = msgpack.packb(msgpack.ExtType(1, msgpack.packb([dtype, shape]) + data))
    assert ask("/tensor", body, MSGPACK).code in {"malformed-body", "invalid-input"}
    assert ask("/tensor", [[1, 2, 3]]).status == 200
