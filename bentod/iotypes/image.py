"""Pictures: what an encoded one is, decided by its head; decoded and encoded where the callable runs.

Pillow is imported when it is first needed.
"""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING

from bentod.iotypes.media_types import canonical, lies_in
from bentod.iotypes.parts import Memory
from bentod.iotypes.special import ImageType, in_range

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = {
    "image/png": "PNG",
    "image/jpeg": "JPEG",
    "image/webp": "WEBP",
    "image/gif": "GIF",
    "image/bmp": "BMP",
    "image/tiff": "TIFF",
}
"""The media types of pictures, the best first, and Pillow's names for them."""


class TooManyPixels(ValueError):
    """A picture is larger, all its frames together, than its schema allows."""


def writable(media_type: str) -> tuple[str, ...]:
    """The media types in a range that answers can have, the best first."""
    return tuple(known for known in FORMATS if in_range(known, media_type))


def examine(kind: ImageType, data: Memory, said: str) -> str:
    """The media type of an encoded picture; its pixels are not decoded.

    Raises TooManyPixels, and ValueError for what is no picture, not the kind wanted, or not what was said.
    """
    from PIL import Image

    try:
        with (
            warnings.catch_warnings(action="ignore"),
            Image.open(io.BytesIO(data), formats=[*FORMATS.values()]) as image,
        ):
            actual = Image.MIME[image.format or ""]
            pixels = image.width * image.height * getattr(image, "n_frames", 1)
    except Exception as error:
        raise ValueError("is no image that can be read") from error
    if not lies_in(actual, kind.media_type):
        raise ValueError(f"is {actual}, not {kind.media_type}")
    if said.startswith("image/") and "*" not in said and canonical(said) != actual:
        raise ValueError(f"says {said}, but is {actual}")
    if pixels > kind.max_pixels:
        raise TooManyPixels(f"has {pixels} pixels; {kind.max_pixels} are allowed")
    return actual


def load(data: Memory) -> Image:
    """The decoded picture, turned as its EXIF data says. Raises ValueError for a broken one."""
    from PIL import Image, ImageOps

    try:
        image = Image.open(io.BytesIO(data), formats=[*FORMATS.values()])
        image.load()
        return ImageOps.exif_transpose(image)
    except Exception as error:
        raise ValueError("is no image that can be decoded") from error


def encode(image: Image, media_type: str) -> bytes:
    """A picture as a body. Raises ValueError if it cannot be encoded so."""
    out = io.BytesIO()
    image.save(out, FORMATS[media_type])
    return out.getvalue()
