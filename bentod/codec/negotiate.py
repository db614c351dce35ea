"""Media types of requests and answers (RFC 9110, sections 8.3 and 12.5.1)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from bentod.iotypes.media_types import NAME, canonical, in_range, lies_in

_PERHAPS, _ALIAS, _ITSELF = range(3)


@lru_cache(maxsize=512)
def essence(content_type: bytes) -> tuple[str, dict[str, str]]:
    """Type and parameters of a Content-Type, names in lower case; an unreadable one has the type ''."""
    first, *rest = content_type.decode("latin-1").split(";")
    parameters = {}
    for item in rest:
        name, separator, value = item.partition("=")
        if separator:
            parameters[name.strip().lower()] = value.strip().strip('"')
    kind = first.strip().lower()
    return (kind if kind.count("/") == 1 else ""), parameters


@lru_cache(maxsize=512)
def accepted(accept: bytes, offers: tuple[str, ...]) -> str | None:
    """The offer that an Accept header likes best, the first of equals; None if it refuses all.

    The most specific range that matches an offer decides its weight; q=0 refuses. A media type may be named by any of
    its names. An offer may be a range itself, for an answer whose type is known later: it matches what overlaps with
    it, but an offer that is named comes before it.
    """
    ranges = _ranges(accept.decode("latin-1"))
    if not ranges:
        return offers[0]
    best, weight = None, (0.0, _ITSELF)
    for offer in offers:
        found = _weight(offer, ranges)
        if found > weight:
            best, weight = offer, found
    return best


def accepts(accept: bytes, media_type: str) -> bool:
    """Whether an Accept header allows a media type."""
    return accepted(accept, (media_type,)) is not None


def named(accept: bytes, wanted: str) -> str:
    """The media type in a range that an Accept header names and likes best; empty if it names none."""
    kinds = [(kind, q) for kind, q in _ranges(accept.decode("latin-1")) if q and "*" not in kind]
    inside = [(kind, q) for kind, q in kinds if NAME.fullmatch(kind) and lies_in(kind, wanted)]
    return max(inside, key=lambda one: one[1])[0] if inside else ""


def _weight(offer: str, ranges: Sequence[tuple[str, float]]) -> tuple[float, int]:
    """How much an offer is liked, and whether for itself, by another name, or for what it might turn out to be."""
    overlap = max((q for kind, q in ranges if offer.endswith("/*") and in_range(kind, offer)), default=0.0)
    for kind, q in ranges:
        if kind == offer:
            return max((q, _ITSELF), (overlap, _PERHAPS))
    for kind, q in ranges:
        if canonical(kind) == canonical(offer):
            return q, _ALIAS
    wider = (offer.partition("/")[0] + "/*", "*/*")
    own = next((q for candidate in wider for kind, q in ranges if kind == candidate), 0.0)
    return max((own, _ITSELF), (overlap, _PERHAPS))


def _ranges(accept: str) -> list[tuple[str, float]]:
    found = []
    for item in accept.split(","):
        kind, *parameters = (part.strip().lower() for part in item.split(";"))
        if kind:
            found.append((kind, _q(parameters)))
    return found


def _q(parameters: Sequence[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return min(1.0, max(0.0, float(value)))
            except ValueError:
                return 1.0
    return 1.0
