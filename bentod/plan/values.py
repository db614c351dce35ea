"""What the keywords of JSON Schema that need no schema below them say of values: kinds, bounds, lists of values."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from bentod.plan.schema_side import Parts, equal

KINDS = frozenset(("null", "boolean", "integer", "fraction", "string", "array", "object"))
"""The kinds of JSON values; a number is an integer or a fraction."""

NUMBERS = frozenset(("integer", "fraction"))
MISSING = object()

_FINITE: Mapping[str, tuple[Any, ...]] = {"null": (None,), "boolean": (False, True)}
_EXPANDED = {"number": NUMBERS, "integer": frozenset(("integer",))}


def maps(parts: Parts) -> list[dict[str, Any]]:
    """The parts that are maps."""
    return [part for part in parts if isinstance(part, dict)]


def kinds(parts: Parts) -> frozenset[str]:
    """Of which kinds a value can be that is right by all parts."""
    found = KINDS
    for part in maps(parts):
        if "type" in part:
            found &= declared(part["type"])
        if (listed := listed_values(part)) is not None:
            found &= {kind(value) for value in listed}
    return found


def declared(types: Any) -> frozenset[str]:
    """The kinds that a `type` allows."""
    named = types if isinstance(types, list) else [types]
    return frozenset().union(*(_EXPANDED.get(name, frozenset((name,))) for name in named))


def kind(value: Any) -> str:
    """The kind of a JSON value."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else "boolean"
    if isinstance(value, (int, float)):
        return "integer" if isinstance(value, int) or value.is_integer() else "fraction"
    return "string" if isinstance(value, str) else "array" if isinstance(value, list) else "object"


def listed_values(part: Mapping[str, Any]) -> list[Any] | None:
    """The values that a part lists as the only right ones; None if it lists none."""
    listed = part.get("enum") if isinstance(part.get("enum"), list) else None
    if "const" in part:
        return [part["const"]] if listed is None or not missing([part["const"]], listed) else []
    return listed


def finite(parts: Parts) -> list[Any] | None:
    """All values that can be right by all parts, where they are few; else None."""
    possible = kinds(parts)
    for part in maps(parts):
        if (listed := listed_values(part)) is not None:
            return [value for value in listed if kind(value) in possible]
    if possible <= _FINITE.keys():
        return [value for name in sorted(possible) for value in _FINITE[name]]
    return None


def missing(values: Iterable[Any], listed: Iterable[Any]) -> list[Any]:
    """Those of `values` that are not listed."""
    allowed = list(listed)
    return [value for value in values if not any(equal(value, one) for one in allowed)]


def lower(parts: Parts, *, whole: bool) -> tuple[float, bool] | None:
    """The tightest lower bound of numbers, and whether it is itself out of bounds. `whole`: of integers only."""
    bounds = [_lifted(*bound, whole=whole) for part in maps(parts) for bound in _lower(part)]
    return max(bounds, default=None)


def upper(parts: Parts, *, whole: bool) -> tuple[float, bool] | None:
    """The tightest upper bound, likewise."""
    mirrored = [_lifted(-value, strict, whole=whole) for part in maps(parts) for value, strict in _upper(part)]
    tightest = max(mirrored, default=None)
    return None if tightest is None else (-tightest[0], tightest[1])


def _lower(part: Mapping[str, Any]) -> Iterator[tuple[float, bool]]:
    for key, strict in (("minimum", False), ("exclusiveMinimum", True)):
        if key in part:
            yield part[key], strict


def _upper(part: Mapping[str, Any]) -> Iterator[tuple[float, bool]]:
    for key, strict in (("maximum", False), ("exclusiveMaximum", True)):
        if key in part:
            yield part[key], strict


def _lifted(value: float, strict: bool, *, whole: bool) -> tuple[float, bool]:
    """A lower bound of integers as the least integer that is right."""
    if not whole or not math.isfinite(value):
        return value, strict
    return (math.floor(value) + 1 if strict else math.ceil(value)), False


def counted(parts: Parts, key: str) -> int | None:
    """The tightest of the bounds `minX` or `maxX`; None if there is none."""
    found = [part[key] for part in maps(parts) if key in part]
    if key == "minProperties":
        found.append(len(required(parts)))
    if not found:
        return None
    tightest: int = min(found) if key.startswith("max") else max(found)
    return tightest


def required(parts: Parts) -> set[str]:
    """The properties that an object must have."""
    return {name for part in maps(parts) for name in part.get("required", ())}


def first(parts: Parts, key: str) -> Any:
    """What the parts say under one keyword, the first that says anything; MISSING if none does."""
    return next((part[key] for part in maps(parts) if key in part), MISSING)
