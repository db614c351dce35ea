"""The media types that bodies have, those that have several names, and whether one lies in a range."""

from __future__ import annotations

import re

JSON = "application/json"
MSGPACK = "application/msgpack"
NPY = "application/x-npy"
OCTETS = "application/octet-stream"
TEXT = "text/plain"
MULTIPART = "multipart/form-data"
URLENCODED = "application/x-www-form-urlencoded"

MSGPACK_NAMES = (MSGPACK, "application/x-msgpack", "application/vnd.msgpack")
UTF_8 = frozenset(("utf-8", "utf8", "us-ascii"))
"""Values of `charset` that are UTF-8, or a part of it."""

NAME = re.compile(r"[a-z0-9!#$&^_.+-]+/[a-z0-9!#$&^_.+-]+")
"""One media type, in lower case: no range and no parameters."""

_ALIASES = {
    "application/x-zip-compressed": "application/zip",
    "audio/mp3": "audio/mpeg",
    "audio/vnd.wave": "audio/wav",
    "audio/wave": "audio/wav",
    "image/jpg": "image/jpeg",
    "image/pjpeg": "image/jpeg",
    "image/portable-bitmap": "image/portable-anymap",
    "image/portable-graymap": "image/portable-anymap",
    "image/portable-pixmap": "image/portable-anymap",
    "image/tif": "image/tiff",
    "image/x-ms-bmp": "image/bmp",
}


def canonical(media_type: str) -> str:
    """The one name of a media type (lower case, without parameters): `audio/x-wav` and `audio/wave` are `audio/wav`."""
    plain = _ALIASES.get(media_type, media_type)
    kind, _, subtype = plain.partition("/")
    plain = f"{kind}/{subtype.removeprefix('x-')}"
    return _ALIASES.get(plain, plain)


def lies_in(media_type: str, wanted: str) -> bool:
    """Whether a media type lies in a range, under whichever of its names."""
    return in_range(media_type, wanted) or in_range(canonical(media_type), canonical(wanted))


def in_range(media_type: str, wanted: str) -> bool:
    """Whether a media type lies in a range such as `image/*` (both in lower case, without parameters)."""
    return wanted in ("*/*", media_type) or (wanted.endswith("/*") and media_type.startswith(wanted[:-1]))
