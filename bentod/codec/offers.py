"""What an output can be sent as, from its schema: media types in the order in which they are offered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bentod.codec import npy
from bentod.codec.negotiate import JSON
from bentod.iotypes.layout import Layout, specials
from bentod.iotypes.references import resolved
from bentod.iotypes.special import BinaryType, FileType, ImageType, TensorType

TEXT = "text/plain"
MSGPACK = ("application/msgpack", "application/x-msgpack", "application/vnd.msgpack")


def offers(schema: Any, types: Mapping[str, Any], layout: Layout | None) -> tuple[str, ...]:
    """The media types; the first is for those who accept anything."""
    kind = layout.special if layout is not None else None
    if isinstance(kind, ImageType):
        return (*pictures(layout), JSON, *MSGPACK)
    if isinstance(kind, FileType | BinaryType):
        return (kind.media_type, *(other for other in (JSON, *MSGPACK) if other != kind.media_type))
    if isinstance(kind, TensorType):
        return (JSON, *MSGPACK, npy.MEDIA_TYPE)
    return (JSON, TEXT, *MSGPACK) if _is_text(schema, types) else (JSON, *MSGPACK)


def pictures(layout: Layout | None) -> tuple[str, ...]:
    """The media types in which all pictures of an output can be encoded, else those of its first; () without any."""
    ranges = list(dict.fromkeys(kind.media_type for kind in specials(layout) if isinstance(kind, ImageType)))
    if not ranges:
        return ()
    from bentod.iotypes.image import writable

    common = tuple(kind for kind in writable(ranges[0]) if all(kind in writable(other) for other in ranges[1:]))
    return common or writable(ranges[0])


def _is_text(schema: Any, types: Mapping[str, Any]) -> bool:
    """Whether all answers are strings."""
    found = resolved(schema, types)
    return isinstance(found, dict) and found.get("type") == "string"
