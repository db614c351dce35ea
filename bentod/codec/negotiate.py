"""Media types of requests and answers (RFC 9110, sections 8.3 and 12.5.1)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from bentod.iotypes.media_types import in_range

JSON = "application/json"


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

    The most specific range that matches an offer decides its weight; q=0 refuses. An offer may be a range itself, for
    an answer whose type is known later: it matches what overlaps with it, but an offer that is named comes before it.
    """
    ranges = _ranges(accept.decode("latin-1"))
    if not ranges:
        return offers[0]
    best, weight = None, (0.0, True)
    for offer in offers:
        found = _weight(offer, ranges)
        if found > weight:
            best, weight = offer, found
    return best


def _weight(offer: str, ranges: Sequence[tuple[str, float]]) -> tuple[float, bool]:
    """How much an offer is liked, and whether for itself, not for what it might turn out to be."""
    candidates = (offer, offer.partition("/")[0] + "/*", "*/*")
    own = next((q for candidate in candidates for kind, q in ranges if kind == candidate), 0.0)
    overlap = max((q for kind, q in ranges if offer.endswith("/*") and in_range(kind, offer)), default=0.0)
    return max((own, True), (overlap, False))


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
