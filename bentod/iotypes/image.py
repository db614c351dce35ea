"""Pictures: what an encoded one is, decided by its head; decoded and encoded where the callable runs.

Pillow is imported when it is first needed.
"""

from __future__ import annotations

import io
import re
import struct
import warnings
import weakref
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from bentod.iotypes.image_frames import TooManyPixels, gif_pixels, jpeg_scans, tiff_pixels
from bentod.iotypes.media_types import OCTETS, canonical, lies_in
from bentod.iotypes.parts import Memory
from bentod.iotypes.special import MAX_PIXELS, ImageType

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFile import ImageFile

__all__ = ["FORMATS", "TooManyPixels", "encode", "examine", "load", "prepare", "readable", "writable"]

FORMATS = {
    "image/png": "PNG",
    "image/jpeg": "JPEG",
    "image/webp": "WEBP",
    "image/gif": "GIF",
    "image/bmp": "BMP",
    "image/tiff": "TIFF",
}
"""The media types of pictures in answers, the best first, and Pillow's names for them."""

_READ_ONLY = {
    "image/sgi": "SGI",
    "image/x-pcx": "PCX",
    "image/x-portable-anymap": "PPM",
}
"""Further ones that are read: those whose head bounds what decoding costs, in memory and in time, and for which Pillow
calls no other program. AVIF and JPEG 2000 decode more than their heads tell, or slowly; PSD has layers of other sizes;
QOI and DDS are decoded in Python, a thousand times slower than in C."""

_PLUGINS = {"PNG": "Png", "JPEG": "Jpeg", "WEBP": "WebP", "TIFF": "Tiff"}
_ANIMATED = frozenset(("image/png", "image/webp", "image/gif", "image/tiff"))
_MODES = {
    "image/png": ("1", "L", "LA", "P", "I;16", "RGB", "RGBA"),
    "image/jpeg": ("L", "RGB"),
    "image/webp": ("RGB", "RGBA"),
    "image/gif": ("1", "L", "P", "RGB", "RGBA"),
    "image/bmp": ("1", "L", "P", "RGB"),
    "image/tiff": ("1", "L", "LA", "P", "I", "I;16", "F", "RGB", "RGBA", "CMYK", "YCbCr", "LAB"),
}
_COUNTERS = {"image/gif": gif_pixels, "image/jpeg": jpeg_scans, "image/tiff": tiff_pixels}
_OPAQUE = frozenset(("image/jpeg", "image/bmp"))
_QUALITY = 90
_MOST_READS, _MOST_DEAR, _SPARE_BYTES = 10_000, 8, 1 << 20
_DEAR = re.compile(rb"Exif\0\0|Photoshop 3\.0\0|....(?:zTXt|iTXt|iCCP)", re.DOTALL)
_CLAIMLESS = frozenset(("", OCTETS))
_BROKEN = "is cut off or broken"
_ORIENTATION, _TURNED = 0x0112, range(2, 9)


class _Head(io.BytesIO):
    """A body whose head may be read in so many steps: Pillow's parsers are slow with what has millions of pieces, and
    with many of the few kinds that they decompress or take apart."""

    def __init__(self, data: Memory) -> None:
        super().__init__(data)
        self._reads, self._dear = _MOST_READS, _MOST_DEAR
        self._bytes = 2 * len(data) + _SPARE_BYTES

    def read(self, size: int | None = -1) -> bytes:
        """Raises ValueError where a head is too long."""
        found = super().read(size)
        self._reads -= 1
        self._bytes -= len(found)
        self._dear -= _DEAR.match(found) is not None
        if min(self._reads, self._bytes, self._dear) < 0:
            raise ValueError("consists of too many pieces")
        return found


def prepare() -> None:
    """Load Pillow and its plug-ins, which takes a moment."""
    _makers()


def writable(media_type: str) -> tuple[str, ...]:
    """The media types in a range that answers can have, the best first."""
    return tuple(known for known in FORMATS if lies_in(known, media_type))


def readable(media_type: str) -> tuple[str, ...]:
    """The media types in a range that are read, the best first."""
    return tuple(known for known in FORMATS | _READ_ONLY if lies_in(known, media_type))


def examine(kind: ImageType, data: Memory, said: str) -> str:
    """The media type of an encoded picture. Its pixels are not decoded, and no body makes this slow.

    Raises TooManyPixels, and ValueError for what is no picture, not of the kind wanted, or not what was said.
    """
    with warnings.catch_warnings(action="ignore"):
        found = _opened(_Head(data))
    actual = next(known for known, name in (FORMATS | _READ_ONLY).items() if name == found.format)
    if not lies_in(actual, kind.media_type):
        raise ValueError(f"is {actual}, not {kind.media_type}")
    if said not in _CLAIMLESS and "*" not in said and canonical(said) != canonical(actual):
        raise ValueError(f"says {said}, but is {actual}")
    if _decoded_in_python(found):
        raise ValueError(f"is {actual} of a kind that is not read")
    if min(found.size) < 1:
        raise ValueError("has no pixels")
    if found.width * found.height * _told_frames(found) > kind.max_pixels:
        raise TooManyPixels(kind.max_pixels)
    count = _COUNTERS.get(actual)
    if count is not None:
        try:
            count(data, kind.max_pixels)
        except (struct.error, IndexError) as error:
            raise ValueError("is an image that is cut off") from error
    return actual


def _decoded_in_python(image: ImageFile) -> bool:
    """Whether Pillow has a decoder in Python for the pixels: BMP with run lengths, a PPM of text or of odd depths."""
    from PIL import Image

    return any(tile.codec_name in Image.DECODERS for tile in image.tile)


def _told_frames(image: ImageFile) -> int:
    """How many frames a picture has, where its head tells."""
    return max(1, getattr(image, "n_frames", 1)) if image.format in ("PNG", "WEBP") else 1


def load(data: Memory, broken: Callable[[str], Exception]) -> Image:
    """The picture, turned as its EXIF data says. Other frames of an animation can still be reached.

    As with any picture that Pillow opens, the pixels are decoded at their first use: not all callables need them, and
    a thumbnail needs fewer. What cannot be seen to be complete is decoded at once. Raises what `broken` makes of a
    text, now or at the first use, for what is broken or cut off.
    """
    from PIL import ImageOps

    data = bytes(data)  # which the files below then share
    try:
        image = _opened(io.BytesIO(data))
        if _may_be_turned(image, data) and image.getexif().get(_ORIENTATION) in _TURNED:
            return ImageOps.exif_transpose(image)
        if not _complete(image, data):
            image.load()
    except Exception as error:  # Pillow's decoders raise whatever they meet
        raise broken(_BROKEN) from error
    image.load = _guarded(image, broken)  # type: ignore[method-assign]
    return image


def _guarded(image: ImageFile, broken: Callable[[str], Exception]) -> Callable[[], Any]:
    """What decodes a picture. It does not hold it: a picture and its pixels go as soon as nobody uses them."""
    decode, alive = type(image).load, weakref.ref(image)

    def decoded() -> Any:
        image = alive()
        assert image is not None
        try:
            return decode(image)
        except Exception as error:  # Pillow's decoders raise whatever they meet
            raise broken(_BROKEN) from error

    return decoded


def _may_be_turned(image: ImageFile, data: bytes) -> bool:
    """Whether to ask for EXIF data: of a PNG, Pillow would decode all pixels to see what follows them."""
    return image.format != "PNG" or any("exif" in str(name) for name in image.info) or b"eXIf" in data


def _complete(image: ImageFile, data: bytes) -> bool:
    """Whether a picture is known to be whole, without decoding it: all checksums of a PNG, the end of a JPEG."""
    if image.format == "PNG":
        _opened(io.BytesIO(data)).verify()
        return True
    return image.format == "JPEG" and data.endswith(b"\xff\xd9")


def _opened(body: io.BytesIO) -> ImageFile:
    """The picture in a body, its head read. Raises ValueError.

    Not by `Image.open`: that has one limit for all of a process, and takes some JPEGs for something else.
    """
    prefix = body.read(16)
    for make, accept in _makers():
        if accept(prefix) is True:
            body.seek(0)
            try:
                return make(body, "")
            except Exception as error:  # Pillow's parsers raise whatever they meet
                raise ValueError("is an image whose head is broken") from error
    raise ValueError("is no image of a known kind")


@cache
def _makers() -> tuple[tuple[Callable[[io.BytesIO, str], ImageFile], Callable[[bytes], bool | str]], ...]:
    """What makes a picture of a body, and what tells from the first bytes whether it can."""
    from PIL import Image, JpegImagePlugin

    names = (*FORMATS.values(), *_READ_ONLY.values())
    for name in names:
        import_module(f"PIL.{_PLUGINS.get(name, name.capitalize())}ImagePlugin")
    known = {name: Image.OPEN[name] for name in names if name in Image.OPEN}
    known["JPEG"] = (JpegImagePlugin.JpegImageFile, known["JPEG"][1])
    return tuple((make, accept) for make, accept in known.values() if accept is not None)


def encode(image: Image, media_type: str) -> bytes:
    """A picture as a body, with all its frames where the media type can hold them. What it cannot hold of a mode is
    converted: transparency becomes white where there is none, 16 bits become 8. Of frames that must be converted and
    have more than 64 million pixels together, or several sizes, only the present one is written.

    Raises ValueError if there is no way.
    """
    out = io.BytesIO()
    options: dict[str, Any] = {"quality": _QUALITY} if media_type in ("image/jpeg", "image/webp") else {}
    try:
        several = media_type in _ANIMATED and getattr(image, "n_frames", 1) > 1
        fit = _fitting(image, media_type)
        if several and fit is not image:
            fit, *others = _fitting_frames(image, media_type) or [fit]
            several = bool(others)
            options |= {"append_images": others, **_pace(image, [fit, *others])} if others else {}
        fit.save(out, FORMATS[media_type], **options, **({"save_all": True} if several else {}))
    except Exception as error:  # Pillow's encoders raise whatever they meet
        raise ValueError(f"cannot be written as {media_type}") from error
    return out.getvalue()


def _fitting_frames(image: Image, media_type: str) -> list[Image]:
    """All frames in modes that the media type can hold; none if there are too many pixels or several sizes."""
    from PIL import ImageSequence

    if image.width * image.height * getattr(image, "n_frames", 1) > MAX_PIXELS:
        return []
    frames = [_fitting(frame.copy(), media_type) for frame in ImageSequence.Iterator(image)]
    return frames if len({frame.size for frame in frames}) == 1 else []


def _pace(image: Image, frames: list[Image]) -> dict[str, Any]:
    """How long each frame is shown, and how often all are, as far as the picture says: a silent GIF once, others on."""
    durations = [frame.info.get("duration") for frame in frames]
    known = {"duration": durations} if all(isinstance(one, int | float) for one in durations) else {}
    return {**known, "loop": image.info.get("loop", 1 if image.format == "GIF" else 0)}


def _fitting(image: Image, media_type: str) -> Image:
    """The picture in a mode that the media type can hold."""
    transparent = image.has_transparency_data
    if media_type in _OPAQUE and transparent:
        layer = image.convert("RGBA")
        paper = layer.copy()
        paper.paste("white", (0, 0, *image.size))
        paper.alpha_composite(layer)
        return paper.convert("RGB")
    modes = _MODES[media_type]
    if image.mode in modes:
        return image
    if image.mode.startswith("I"):
        grey = image if image.mode == "I" else image.convert("I")
        if "I;16" in modes:
            return grey.convert("I;16")
        return _fitting(grey.point(lambda value: value * (1 / 256)).convert("L"), media_type)
    if image.mode == "F" and "L" in modes:
        return image.convert("L")
    return image.convert("RGBA" if transparent and "RGBA" in modes else "RGB")
