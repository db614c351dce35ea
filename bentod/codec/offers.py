"""What an output can be sent as, from its schema: media types in the order in which they are offered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bentod.iotypes.image import writable
from bentod.iotypes.layout import Layout, specials
from bentod.iotypes.media_types import JSON, MSGPACK_NAMES, NAME, NPY, OCTETS, TEXT
from bentod.iotypes.references import resolved
from bentod.iotypes.special import BinaryType, FileType, ImageType, TensorType


def offers(schema: Any, types: Mapping[str, Any], layout: Layout | None) -> tuple[str, ...]:
    """The media types; the first is for those who accept anything."""
    kind = layout.special if layout is not None else None
    if isinstance(kind, ImageType):
        return (*pictures(layout), JSON, *MSGPACK_NAMES)
    if isinstance(kind, FileType | BinaryType):
        others = (JSON, *MSGPACK_NAMES, OCTETS) if "*" in kind.media_type else (JSON, *MSGPACK_NAMES)
        return (kind.media_type, *(other for other in others if other != kind.media_type))
    if isinstance(kind, TensorType):
        return (JSON, *MSGPACK_NAMES, NPY)
    return (JSON, *texts(schema, types), *MSGPACK_NAMES)


def pictures(layout: Layout | None) -> tuple[str, ...]:
    """The media types in which all pictures of an output can be encoded, else those of its first; () without any."""
    ranges = list(dict.fromkeys(kind.media_type for kind in specials(layout) if isinstance(kind, ImageType)))
    if not ranges:
        return ()
    common = tuple(kind for kind in writable(ranges[0]) if all(kind in writable(other) for other in ranges[1:]))
    return common or writable(ranges[0])


def texts(schema: Any, types: Mapping[str, Any]) -> tuple[str, ...]:
    """The media types as which the strings of an output are sent as they are; () if not all answers are strings."""
    found = resolved(schema, types)
    if not isinstance(found, dict) or found.get("type") != "string":
        return ()
    said = str(found.get("contentMediaType", TEXT)).partition(";")[0].strip().lower()
    plain = "contentEncoding" not in found and NAME.fullmatch(said) and said not in (TEXT, JSON, *MSGPACK_NAMES)
    return (said, TEXT) if plain else (TEXT,)
