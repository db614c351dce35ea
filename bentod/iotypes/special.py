"""The four special types of the dialect: schemas whose values are tensors, images, files or bytes.

No NumPy and no Pillow here: this is what a schema says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bentod.iotypes.references import resolved

FORMATS = ("tensor", "image", "file", "binary")

ITEM_BYTES: dict[str, int] = {
    "bool": 1,
    "int8": 1,
    "int16": 2,
    "int32": 4,
    "int64": 8,
    "uint8": 1,
    "uint16": 2,
    "uint32": 4,
    "uint64": 8,
    "float16": 2,
    "float32": 4,
    "float64": 8,
    "complex64": 8,
    "complex128": 16,
}
"""The dtypes of tensors, by NumPy's names, and the bytes of one element."""

MAX_PIXELS = 64_000_000
"""Pixels that a decoded image may have, unless its schema says `maxPixels`."""


@dataclass(frozen=True, slots=True)
class TensorType:
    """An array of one dtype. A dimension is a length, -1 for any, or a name that means one length within a call."""

    dtype: str
    shape: tuple[int | str, ...]
    nullable: bool = False


@dataclass(frozen=True, slots=True)
class ImageType:
    """A picture; `media_type` may be a range such as `image/*`. `max_pixels` counts those of all its frames."""

    media_type: str = "image/*"
    max_pixels: int = MAX_PIXELS
    nullable: bool = False


@dataclass(frozen=True, slots=True)
class FileType:
    """A file. `within` are folders of the project, besides the call's own, from which an answer may come."""

    media_type: str = "*/*"
    within: tuple[str, ...] = ()
    nullable: bool = False


@dataclass(frozen=True, slots=True)
class BinaryType:
    """Bytes in memory."""

    media_type: str = "*/*"
    nullable: bool = False


SpecialType = TensorType | ImageType | FileType | BinaryType


def special(schema: Any, types: Mapping[str, Any]) -> SpecialType | None:
    """What a valid schema says of its values if they are special, directly or where its `$ref` leads."""
    schema = resolved(schema, types)
    return _read(schema) if isinstance(schema, dict) and schema.get("format") in FORMATS else None


def _read(schema: Mapping[str, Any]) -> SpecialType:
    kinds = schema.get("type")
    nullable = isinstance(kinds, list) and "null" in kinds
    media_type = str(schema.get("contentMediaType", "")).lower()
    match schema["format"]:
        case "tensor":
            return TensorType(schema["dtype"], tuple(schema["shape"]), nullable)
        case "image":
            return ImageType(media_type or "image/*", schema.get("maxPixels", MAX_PIXELS), nullable)
        case "file":
            return FileType(media_type or "*/*", tuple(schema.get("within", ())), nullable)
        case _:
            return BinaryType(media_type or "*/*", nullable)
