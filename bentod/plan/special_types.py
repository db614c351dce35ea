"""Tensors, images, files and bytes in a comparison of schemas: what one takes, and what the other does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from bentod.iotypes.media_types import lies_in
from bentod.iotypes.special import FORMATS, ImageType, SpecialType, TensorType, special
from bentod.plan import values
from bentod.plan.findings import Path, Words
from bentod.plan.schema_side import Parts, Sameness
from bentod.plan.values import MISSING

_FREE = -1


class Comparison(Protocol):
    """What is told of what is found."""

    words: Words
    same: Sameness

    def report(self, path: Path, message: str) -> None:
        """Something may be wrong by the outer schema."""


def any_special(parts: Parts) -> bool:
    """Whether one of the parts is special."""
    return any(_is_special(part) for part in values.maps(parts))


def check(comparison: Comparison, inner: Parts, outer: Parts, path: Path) -> None:
    """Report where special values of the one kind may be wrong as the other, of which one at least is special."""
    left, right = _special(inner), _special(outer)
    words = comparison.words
    if False in outer:
        comparison.report(path, words.nothing())
        return
    if left is None or right is None or type(left) is not type(right):
        named = (
            next((part["format"] for part in values.maps(side) if _is_special(part)), MISSING)
            for side in (inner, outer)
        )
        comparison.report((*path, "format"), words.changed("format", *named))
        return
    for keyword, ours, theirs in _differences(left, right):
        comparison.report((*path, keyword), words.changed(keyword, ours, theirs))
    if left.nullable and not right.nullable:
        comparison.report((*path, "type"), words.types(["null"]))
    for part in outer:
        if not _is_special(part) and not any(comparison.same.schemas(one, part) for one in values.maps(inner)):
            comparison.report((*path, "$ref"), words.unproved("$ref"))


def _is_special(part: dict[str, Any]) -> bool:
    return isinstance(part.get("format"), str) and part["format"] in FORMATS


def _special(parts: Parts) -> SpecialType | None:
    return next((special(part, {}) for part in values.maps(parts) if _is_special(part)), None)


def _differences(inner: SpecialType, outer: SpecialType) -> Iterator[tuple[str, Any, Any]]:
    """The keywords in which values of the inner type may be wrong by the outer."""
    if isinstance(inner, TensorType) and isinstance(outer, TensorType):
        if inner.dtype != outer.dtype:
            yield "dtype", inner.dtype, outer.dtype
        if len(inner.shape) != len(outer.shape) or any(
            theirs not in (ours, _FREE) for ours, theirs in zip(inner.shape, outer.shape, strict=True)
        ):
            yield "shape", list(inner.shape), list(outer.shape)
    if isinstance(inner, TensorType) or isinstance(outer, TensorType):
        return
    if not lies_in(inner.media_type, outer.media_type):
        yield "contentMediaType", inner.media_type, outer.media_type
    if isinstance(inner, ImageType) and isinstance(outer, ImageType) and inner.max_pixels > outer.max_pixels:
        yield "maxPixels", inner.max_pixels, outer.max_pixels
