"""Tensors, images, files and bytes in words that any OpenAPI tool knows: their form in JSON, and as raw bodies.

The users' annotations stay. JSON Schema has no bytes, so raw ones are `{type: string, format: binary}`, as OpenAPI's
registry of formats has it: tools that generate clients, forms or test data know nothing else for them.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from math import prod
from typing import Any

from bentod.codec.outbound import json_form
from bentod.codec.places import emptied
from bentod.errors import OutputUnserializable
from bentod.iotypes.layout import Layout
from bentod.iotypes.media_types import NPY
from bentod.iotypes.special import ITEM_BYTES, SpecialType, TensorType
from bentod.iotypes.tensor import from_memory

_LETTER = "[A-Za-z0-9+/]"
_ENDS = ("", f"{_LETTER}{{2}}==", f"{_LETTER}{{3}}=")
BASE64 = f"^(?:{_LETTER}{{4}})*(?:{_ENDS[1]}|{_ENDS[2]})?$"

_NOT_FOR_CLIENTS = frozenset(("within",))
_TOO_LARGE = {"float16": 65520.0, "float32": (2 - 2**-24) * 2.0**127}  # the first that are rounded to infinity
_ANNOTATIONS = ("title", "description", "deprecated")


def in_json(schema: Mapping[str, Any], kind: SpecialType, *, answer: bool) -> dict[str, Any]:
    """The schema of a special value's JSON form. A tensor in an answer is always a nested list."""
    kept = {key: value for key, value in schema.items() if key not in _NOT_FOR_CLIENTS}
    if isinstance(kind, TensorType):
        return kept | _nested(kind, nullable=kind.nullable) if answer else _either(kept, kind)
    if kept["format"] == "binary":  # would say to OpenAPI's tools that it is not base64
        del kept["format"]
    return kept | {"contentEncoding": "base64", "pattern": BASE64}


def raw(kind: SpecialType, said: Mapping[str, Any], media_type: str = "", *, part: bool = False) -> dict[str, Any]:
    """The schema of a special value that is a body, or a part of one, as it is. `said` may hold texts about it."""
    texts = {key: said[key] for key in _ANNOTATIONS if key in said}
    if isinstance(kind, TensorType):
        dims = ", ".join(map(str, kind.shape))
        form = f"A NumPy file (`.npy`) of dtype {kind.dtype} and shape [{dims}]" + (", or JSON" if part else "")
        texts["description"] = " ".join(filter(None, (texts.get("description"), f"{form}.")))
        return texts | {"type": "string", "format": "binary", "contentMediaType": NPY}
    media_type = media_type or kind.media_type
    named = {} if media_type == "*/*" else {"contentMediaType": media_type}
    return texts | {"type": "string", "format": "binary"} | named


def part_type(kind: SpecialType) -> str:
    """The media type, or range, of a part of a form that holds the value; '' for any."""
    if isinstance(kind, TensorType):
        return NPY
    return "" if kind.media_type == "*/*" else kind.media_type


def answered(value: Any, layout: Layout | None) -> Any:
    """An example of an answer as it is sent: with nested lists for its tensors."""
    if layout is None:
        return value
    root, places = emptied(value, layout)
    for place in places:
        place.fill(_unpacked(place.value) if isinstance(place.value, dict) else place.value)
    return root[0]


def _unpacked(value: Mapping[str, Any]) -> Any:
    try:
        found = json_form(from_memory(value["dtype"], value["shape"], base64.b64decode(value["data"])))
    except OutputUnserializable:  # NaN: a client must ask for another media type
        return value
    return found.tolist() if hasattr(found, "tolist") else found


# ── tensors ──────────────────────────────────────────────────────────────────────────────────────


def _either(kept: dict[str, Any], kind: TensorType) -> dict[str, Any]:
    null = [{"type": "null"}] if kind.nullable else []
    kept.pop("type", None)
    return kept | {"oneOf": [_nested(kind), _packed(kind), *null]}


def _nested(kind: TensorType, *, nullable: bool = False) -> dict[str, Any]:
    """Lists in lists, as deep as the shape is long."""
    found = _element(kind.dtype)
    for length in reversed(kind.shape):
        found = {"type": "array", "items": found} | _exactly(length)
    return found | {"type": [found["type"], "null"]} if nullable else found


def _exactly(length: int | str) -> dict[str, int]:
    return {"minItems": length, "maxItems": length} if isinstance(length, int) and length >= 0 else {}


def _element(dtype: str) -> dict[str, Any]:
    if dtype == "bool":
        return {"type": "boolean"}
    if dtype.startswith("complex"):
        return {
            "type": "array",
            "description": "Real and imaginary part.",
            "items": {"type": "number"},
            "minItems": 2,
            "maxItems": 2,
        }
    if dtype.startswith("float"):
        most = _TOO_LARGE.get(dtype)
        return {"type": "number"} | ({"exclusiveMinimum": -most, "exclusiveMaximum": most} if most else {})
    bits = 8 * ITEM_BYTES[dtype]
    low, high = (0, 2**bits - 1) if dtype.startswith("u") else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    return {"type": "integer", "minimum": low, "maximum": high}


def _packed(kind: TensorType) -> dict[str, Any]:
    """The object with the memory in base64; its length is known where every dimension is."""
    known = [n for n in kind.shape if isinstance(n, int) and n >= 0]
    lengths = {"type": "array", "items": {"type": "integer", "minimum": 0}} | _exactly(len(kind.shape))
    fixed = len(known) == len(kind.shape)
    return {
        "type": "object",
        "required": ["dtype", "shape", "data"],
        "additionalProperties": False,
        "properties": {
            "dtype": {"const": kind.dtype},
            "shape": {"const": known} if fixed else lengths,
            "data": {
                "type": "string",
                "description": "The elements in C order, little-endian.",
                "contentEncoding": "base64",
                "pattern": _base64_of(ITEM_BYTES[kind.dtype] * prod(known)) if fixed else BASE64,
            },
        },
    }


def _base64_of(size: int) -> str:
    """The pattern of so many bytes in base64."""
    return f"^(?:{_LETTER}{{4}}){{{size // 3}}}{_ENDS[size % 3]}$"
