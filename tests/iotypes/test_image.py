"""Pictures: what they are is told from their heads, within bounds; workers decode and encode them."""

from __future__ import annotations

import gc
import io
import struct
import subprocess
import sys
import time
import weakref
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from bentod.iotypes import image
from bentod.iotypes.image import FORMATS, TooManyPixels, encode, examine, writable
from bentod.iotypes.special import ImageType
from tests.support.samples import picture

ANY = ImageType()
READ_ONLY = {
    "image/sgi": "SGI",
    "image/x-pcx": "PCX",
    "image/x-portable-anymap": "PPM",
}
ANIMATED = ("image/gif", "image/webp", "image/png", "image/tiff")


def load(body: bytes) -> Image.Image:
    """A picture, decoded."""
    loaded = image.load(body, ValueError)
    loaded.load()
    return loaded


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, *chunks: bytes) -> bytes:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(chunks) + chunk(b"IDAT", zlib.compress(b"\0\0")) + chunk(b"IEND", b"")


def tiff(*sizes: tuple[int, int], order="<", end=0) -> bytes:
    body = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, 8)
    for number, (width, height) in enumerate(sizes):
        tags = [(256, width), (257, height), (258, 8), (259, 1), (262, 1), (273, 0), (279, 1)]
        body += struct.pack(f"{order}H", len(tags))
        body += b"".join(struct.pack(f"{order}HHII", tag, 4, 1, value) for tag, value in tags)
        body += struct.pack(f"{order}I", len(body) + 4 if number + 1 < len(sizes) else end)
    return body


def test_pillow_is_not_loaded_before_it_is_needed():
    code = "import sys, bentod.iotypes.image as i; i.writable('image/*'); assert 'PIL' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("media_type", FORMATS)
@pytest.mark.parametrize("said", ["", "application/octet-stream", "itself", "image/*"])
def test_a_picture_is_what_its_bytes_say(media_type, said):
    body = picture(media_type)
    for data in (body, bytearray(body), memoryview(body)):
        assert examine(ANY, data, media_type if said == "itself" else said) == media_type
        assert examine(ImageType(media_type), data, "") == media_type


@pytest.mark.parametrize(
    ("kind", "said", "text"),
    [
        (ImageType("image/jpeg"), "", "is image/png, not image/jpeg"),
        (ANY, "image/jpeg", "says image/jpeg, but is image/png"),
        (ANY, "text/plain", "says text/plain, but is image/png"),
    ],
)
def test_the_wrong_kind_and_a_lie_are_refused(kind, said, text):
    with pytest.raises(ValueError, match=text):
        examine(kind, picture("image/png"), said)


def test_other_names_of_a_media_type_are_no_lies():
    assert examine(ImageType("image/jpg"), picture("image/jpeg"), "image/pjpeg") == "image/jpeg"
    assert examine(ANY, picture("image/bmp"), "image/x-ms-bmp") == "image/bmp"
    assert examine(ImageType("image/x-portable-pixmap"), b"P6\n1 1\n255\n123", "image/x-portable-pixmap")


@pytest.mark.parametrize("media_type", FORMATS)
def test_pixels_are_limited(media_type):
    body = picture(media_type, size=(10, 10))
    examine(ImageType(max_pixels=100), body, "")
    with pytest.raises(TooManyPixels, match="more than 99 pixels"):
        examine(ImageType(max_pixels=99), body, "")


@pytest.mark.parametrize("media_type", ANIMATED)
def test_all_frames_count(media_type):
    body = picture(media_type, size=(10, 10), frames=3)
    assert Image.open(io.BytesIO(body)).n_frames == 3
    examine(ImageType(max_pixels=300), body, "")
    with pytest.raises(TooManyPixels):
        examine(ImageType(max_pixels=299), body, "")


def test_each_frame_of_a_tiff_has_its_own_size():
    for order in "<>":
        body = tiff((1, 1), (60_000, 60_000), (2, 1), order=order)
        with pytest.raises(TooManyPixels):
            examine(ANY, body, "")
        examine(ImageType(max_pixels=3_600_000_003), body, "")


def test_a_limit_may_be_above_that_of_pillow():
    body = png(20_000, 20_000)
    with pytest.raises(TooManyPixels):
        examine(ANY, body, "")
    assert examine(ImageType(max_pixels=400_000_000), body, "") == "image/png"


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"not an image", id="text"),
        pytest.param(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", id="PostScript, which would be run"),
        pytest.param(png(0, 9), id="no width"),
        pytest.param(picture("image/png")[:20], id="cut off PNG"),
        pytest.param(picture("image/jpeg")[:20], id="cut off JPEG"),
        pytest.param(picture("image/gif")[:12], id="cut off GIF"),
        pytest.param(picture("image/webp")[:20], id="cut off WebP"),
        pytest.param(picture("image/bmp")[:20], id="cut off BMP"),
        pytest.param(tiff((1, 1))[:20], id="cut off TIFF"),
        pytest.param(tiff((1, 1), (1, 1))[:-20], id="TIFF cut off in its second frame"),
        pytest.param(picture("image/gif", frames=2)[:-1] + b",\0\0", id="GIF cut off in its third frame"),
        pytest.param(tiff((1, 1), (1, 1), end=8), id="TIFF that goes in circles"),
        pytest.param(tiff((1, 1), end=1 << 31), id="TIFF that goes far away"),
        pytest.param(b"II*\0" + b"\xff" * 40, id="TIFF of rubbish"),
    ],
)
def test_what_is_no_picture_is_refused_with_words(body):
    with pytest.raises(ValueError, match=r"^(is|has|consists) ") as raised:
        examine(ANY, body, "")
    assert "Error" not in str(raised.value)
    assert "0x" not in str(raised.value)


def gif_of(middle: bytes) -> bytes:
    body = picture("image/gif", size=(1, 1), mode="L")
    at = body.index(b",")
    return body[:at] + middle + body[at:]


def jpeg_of(segments: bytes) -> bytes:
    body = picture("image/jpeg", size=(1, 1))
    return body[:2] + segments + body[2:]


def exif() -> bytes:
    entries = b"".join(struct.pack("<HHII", tag, 7, 5, 900) for tag in range(65_000))
    data = b"II*\0" + struct.pack("<IH", 8, 65_000) + entries + bytes(4_000_000)
    parts = [b"Exif\0\0" + data[at : at + 65_000] for at in range(0, len(data), 65_000)]
    return b"".join(b"\xff\xe1" + struct.pack(">H", len(one) + 2) + one for one in parts)


FRAME = b",\0\0\0\0\1\0\1\0\0\x08\x04\0\x01\x04\x04\0"
MB = 1_000_000


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: png(1, 1, chunk(b"aaAa", b"") * MB), id="PNG of chunks"),
        pytest.param(
            lambda: png(1, 1, *(chunk(b"zTXt", b"%d\0\0" % n + zlib.compress(bytes(MB), 9)) for n in range(60))),
            id="PNG of compressed texts",
        ),
        pytest.param(lambda: jpeg_of(b"\xff\xfe\0\2" * 4 * MB), id="JPEG of comments"),
        pytest.param(lambda: jpeg_of(exif()), id="JPEG of EXIF"),
        pytest.param(lambda: gif_of(b"!\xfe" + b"\1a" * 8 * MB + b"\0"), id="GIF of a long comment"),
        pytest.param(lambda: gif_of(b"!\xfe\0" * 5 * MB), id="GIF of comments"),
        pytest.param(lambda: gif_of(FRAME * MB), id="GIF of frames"),
        pytest.param(lambda: gif_of(b"\0" * 16 * MB), id="GIF of nothing"),
        pytest.param(lambda: tiff(*[(1, 1)] * 20_000), id="TIFF of frames"),
        pytest.param(lambda: png(1, 1, chunk(b"acTL", struct.pack(">II", 1 << 30, 0))), id="PNG of frames"),
    ],
)
def test_many_pieces_are_not_followed(make):
    body = make()
    begun = time.process_time()
    with pytest.raises(ValueError, match=r"pieces|broken|pixels"):
        examine(ANY, body, "")
    assert time.process_time() - begun < 1  # Pillow alone takes up to nine seconds for some


@given(st.sampled_from(list(FORMATS)), st.data())
def test_no_damage_makes_reading_fail_otherwise(media_type, data):
    body = bytearray(picture(media_type, frames=2 if media_type in ANIMATED else 1))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(body) - 1))
        body[at : at + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))
    try:
        examine(ImageType(max_pixels=10_000), bytes(body), "")
        load(bytes(body))
    except ValueError:
        pass


@pytest.mark.parametrize("media_type", FORMATS)
def test_a_picture_that_is_cut_off_is_not_half_loaded(media_type):
    noise = Image.effect_noise((64, 64), 90)
    body = encode(noise, media_type)
    assert load(body).size == (64, 64)
    with pytest.raises(ValueError, match=r"cut off or broken|head is broken"):
        load(body[: len(body) * 2 // 3])


@pytest.mark.parametrize(("media_type", "name"), READ_ONLY.items())
def test_other_formats_are_read(media_type, name):
    body = io.BytesIO()
    Image.effect_noise((64, 64), 90).convert("RGB").save(body, name)
    assert examine(ANY, body.getvalue(), media_type) == media_type
    assert load(body.getvalue()).size == (64, 64)
    with pytest.raises(ValueError, match=r"cut off or broken"):
        load(body.getvalue()[: len(body.getvalue()) * 2 // 3])


@pytest.mark.parametrize("name", ["AVIF", "JPEG2000", "QOI", "DDS", "TGA", "ICO"])
def test_what_costs_more_than_its_head_tells_is_not_read(name):
    body = io.BytesIO()
    Image.new("RGB", (8, 8)).save(body, name)
    with pytest.raises(ValueError, match="is no image of a known kind"):
        examine(ANY, body.getvalue(), "")


def rle_bmp(bits: int, compression: int) -> bytes:
    head = struct.pack("<IiiHHIIiiII", 40, 8000, 8000, 1, bits, compression, 0, 0, 0, 1 << bits, 0)
    palette = bytes(4 << bits)
    offset = 14 + len(head) + len(palette)
    return b"BM" + struct.pack("<IHHI", offset, 0, 0, offset) + head + palette + b"\1\1\0\0" * 8000 + b"\0\1"


def sgi(depth: int) -> bytes:
    return struct.pack(">HBBHHHH", 474, 0, depth, 2, 2, 2, 1).ljust(512, b"\0") + bytes(4 * depth)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(rle_bmp(8, 1), id="BMP of run lengths"),
        pytest.param(rle_bmp(4, 2), id="BMP of run lengths, 4 bits"),
        pytest.param(b"P6\n2 2\n254\n" + bytes(12), id="PPM with another maximum"),
        pytest.param(b"P5\n2 2\n256\n" + bytes(8), id="PGM with another maximum"),
        pytest.param(b"P3\n1 1\n255\n1 2 3\n", id="PPM as text"),
        pytest.param(b"P1\n2 2\n0 1 1 0\n", id="PBM as text"),
        pytest.param(sgi(2), id="SGI of 16 bits"),
    ],
)
def test_what_pillow_decodes_in_python_is_not_read(body):
    with pytest.raises(ValueError, match="of a kind that is not read"):
        examine(ANY, body, "")


@pytest.mark.parametrize(
    "body", [b"P4\n8 2\n\1\2", b"P5\n2 2\n255\n1234", b"P6\n1 1\n255\n123", b"P5\n1 1\n65535\n12", sgi(1)]
)
def test_what_pillow_decodes_in_c_is_read(body):
    assert examine(ANY, body, "") in READ_ONLY
    load(body)


def test_a_jpeg_of_scans_is_refused():
    out = io.BytesIO()
    Image.new("L", (640, 640)).save(out, "JPEG", progressive=True)
    body = out.getvalue()
    examine(ANY, body, "")
    first = body.index(b"\xff\xda")
    begin = body.index(b"\xff\xda", first + 2)
    scan = body[begin : body.index(b"\xff\xda", begin + 2)]
    many = body[:begin] + scan * 100 + body[begin:]
    load(many)  # Pillow takes it, however many there are
    for data in (many, bytearray(many), memoryview(many)):
        with pytest.raises(ValueError, match="too many pieces"):
            examine(ANY, data, "")


@pytest.mark.parametrize("media_type", ["image/png", "image/jpeg"])
def test_pixels_are_decoded_when_they_are_needed(media_type):
    body = encode(Image.effect_noise((640, 640), 90).convert("RGB"), media_type)
    loaded = image.load(body, ValueError)
    assert loaded.size == (640, 640)
    if media_type == "image/jpeg":
        loaded.draft("RGB", (80, 80))  # a small picture of a large JPEG costs little
        assert loaded.size == (80, 80)
    assert loaded.convert("L").resize((8, 8)).size == (8, 8)


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("media_type", FORMATS)
def test_a_picture_goes_when_nobody_uses_it(media_type, turned):
    exif_data = Image.Exif()
    exif_data[0x0112] = 6
    body = picture(media_type, **({"exif": exif_data} if turned else {}))
    gc.collect()
    gc.disable()
    try:
        loaded = image.load(body, ValueError)
        loaded.convert("L").getpixel((0, 0))
        alive = weakref.ref(loaded)
        del loaded
        assert alive() is None
    finally:
        gc.enable()


def test_what_is_found_broken_late_is_told_by_the_callers_error():
    class Broken(Exception):
        pass

    loaded = image.load(png(64, 64), Broken)  # its checksums are right, and most of its pixels are missing
    assert loaded.size == (64, 64)
    with pytest.raises(Broken):
        loaded.resize((8, 8))


@pytest.mark.parametrize("media_type", ["image/jpeg", "image/png", "image/webp", "image/tiff"])
def test_a_picture_is_turned_as_its_camera_said(media_type):
    exif_data = Image.Exif()
    exif_data[0x0112] = 6
    loaded = load(picture(media_type, size=(8, 4), exif=exif_data.tobytes()))
    assert loaded.size == (4, 8)
    assert loaded.getexif().get(0x0112, 1) == 1


@pytest.mark.parametrize("media_type", ANIMATED)
def test_the_other_frames_can_be_reached(media_type):
    loaded = load(picture(media_type, frames=3))
    loaded.seek(2)
    assert loaded.tell() == 2
    assert Image.open(io.BytesIO(encode(load(picture(media_type, frames=3)), media_type))).n_frames == 3


def animated(media_type: str, mode: str, size: tuple[int, int] = (8, 6)) -> bytes:
    """Four frames of several grays, each shown longer than the one before."""
    frames = [Image.new("L", size, 60 * at).convert(mode) for at in range(4)]
    out = io.BytesIO()
    options = {} if media_type == "image/tiff" else {"duration": [100, 200, 300, 400], "loop": 3}
    frames[0].save(out, FORMATS[media_type], save_all=True, append_images=frames[1:], **options)
    return out.getvalue()


@pytest.mark.parametrize("written", ANIMATED)
@pytest.mark.parametrize(
    ("read", "mode"),
    [("image/gif", "P"), ("image/gif", "L"), ("image/png", "LA"), ("image/tiff", "CMYK"), ("image/tiff", "F")],
)
def test_no_frame_is_lost_where_modes_must_be_converted(read, mode, written):
    found = load(encode(load(animated(read, mode)), written))
    assert found.n_frames == 4
    grays = []
    for at in range(4):
        found.seek(at)
        grays.append(found.convert("RGB").convert("L").getpixel((4, 4)))
    assert all(abs(gray - 60 * at) <= 3 for at, gray in enumerate(grays)), grays


def test_an_animation_keeps_its_pace():
    found = load(encode(load(animated("image/gif", "P")), "image/webp"))
    durations = []
    for at in range(4):
        found.seek(at)
        found.load()
        durations.append(found.info["duration"])
    assert durations == [100, 200, 300, 400]
    assert found.info["loop"] == 3


def test_one_frame_is_left_of_too_many_pixels_or_several_sizes(monkeypatch):
    monkeypatch.setattr("bentod.iotypes.image.MAX_PIXELS", 4 * 8 * 6 - 1)
    assert getattr(load(encode(load(animated("image/gif", "P")), "image/webp")), "n_frames", 1) == 1
    out = io.BytesIO()
    frames = [Image.new("CMYK", (2, 2)), Image.new("CMYK", (3, 3))]
    frames[0].save(out, "TIFF", save_all=True, append_images=frames[1:])
    found = load(encode(load(out.getvalue()), "image/webp"))
    assert (getattr(found, "n_frames", 1), found.size) == (1, (2, 2))


@pytest.mark.parametrize("media_type", FORMATS)
@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "P", "PA", "I", "I;16", "F", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV", "LAB"]
)
def test_every_mode_can_be_written_as_everything(media_type, mode):
    body = encode(Image.new(mode, (3, 2)), media_type)
    assert examine(ImageType(media_type), body, media_type) == media_type
    assert load(body).size == (3, 2)


@pytest.mark.parametrize("media_type", ["image/jpeg", "image/bmp"])
def test_transparency_becomes_white(media_type):
    for clear in (Image.new("RGBA", (8, 8), (0, 0, 0, 0)), Image.new("LA", (8, 8), (0, 0))):
        assert load(encode(clear, media_type)).convert("RGB").getpixel((4, 4)) == (255, 255, 255)


@pytest.mark.parametrize("media_type", ["image/jpeg", "image/webp", "image/gif", "image/bmp"])
@pytest.mark.parametrize("mode", ["I", "I;16"])
def test_sixteen_bits_become_eight(media_type, mode):
    grey = load(encode(Image.new(mode, (8, 8), 32768), media_type)).convert("L").getpixel((4, 4))
    assert abs(grey - 128) <= 1


def test_what_cannot_be_written_is_a_value_error():
    with pytest.raises(ValueError, match="cannot be written as image/webp"):
        encode(Image.new("L", (20_000, 1)), "image/webp")
    with pytest.raises(ValueError, match="cannot be written as image/x-unknown"):
        encode(Image.new("L", (1, 1)), "image/x-unknown")


@pytest.mark.parametrize(
    ("media_type", "known"),
    [
        ("image/*", tuple(FORMATS)),
        ("*/*", tuple(FORMATS)),
        ("image/webp", ("image/webp",)),
        ("image/jpg", ("image/jpeg",)),
        ("image/svg+xml", ()),
        ("video/*", ()),
    ],
)
def test_what_answers_can_be(media_type, known):
    assert writable(media_type) == known
