"""Which keywords of one schema follow from others: those that need no schema below them. One rule for each family."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from bentod.plan import values
from bentod.plan.findings import Finding, Path, Words
from bentod.plan.schema_side import Parts, equal
from bentod.plan.values import MISSING, NUMBERS

Rule = Callable[[Parts, dict[str, Any], frozenset[str], Path, Words], Iterator[Finding]]
"""Takes the parts of the inner schema, one part of the outer, the kinds that values can have, and where it is."""

_COUNTS = {
    "string": ("minLength", "maxLength"),
    "array": ("minItems", "maxItems"),
    "object": ("minProperties", "maxProperties"),
}
BOUNDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minLength", "maxLength")
"""Keywords that bound a number, or the length of a string."""

_OF_STRINGS = ("pattern", "format", "contentEncoding", "contentMediaType", "contentSchema")


def _type(parts: Parts, outer: dict[str, Any], kinds: frozenset[str], path: Path, words: Words) -> Iterator[Finding]:
    allowed = values.declared(outer["type"]) if "type" in outer else values.KINDS
    gone = kinds - allowed
    if "fraction" in gone and "integer" in allowed:
        yield Finding((*path, "type"), words.changed("type", "number", "integer"))
        gone -= {"fraction"}
    if gone:
        yield Finding((*path, "type"), words.types(gone - {"integer"} if "fraction" in gone else gone))


def _listed(parts: Parts, outer: dict[str, Any], kinds: frozenset[str], path: Path, words: Words) -> Iterator[Finding]:
    listed = values.listed_values(outer)
    if listed is None:
        return
    keyword = "const" if "const" in outer else "enum"
    possible = values.finite(parts)
    if possible is None:
        yield Finding((*path, keyword), words.changed(keyword, values.first(parts, keyword), outer[keyword]))
        return
    declared = values.declared(outer["type"]) if "type" in outer else values.KINDS
    gone = [value for value in values.missing(possible, listed) if values.kind(value) in declared]
    if gone:
        yield Finding((*path, keyword), words.values(keyword, gone))


def _bounds(parts: Parts, outer: dict[str, Any], kinds: frozenset[str], path: Path, words: Words) -> Iterator[Finding]:
    if not kinds & NUMBERS:
        return
    whole = "fraction" not in kinds
    least, most = values.lower(parts, whole=whole), values.upper(parts, whole=whole)
    for key in ("minimum", "exclusiveMinimum"):
        bound = values.lower(({key: outer[key]},), whole=whole) if key in outer else None
        if bound is not None and (least is None or least < bound):
            yield Finding((*path, key), words.changed(key, values.first(parts, key), outer[key]))
    for key in ("maximum", "exclusiveMaximum"):
        bound = values.upper(({key: outer[key]},), whole=whole) if key in outer else None
        if bound is not None and (most is None or (-most[0], most[1]) < (-bound[0], bound[1])):
            yield Finding((*path, key), words.changed(key, values.first(parts, key), outer[key]))


def _multiples(
    parts: Parts, outer: dict[str, Any], kinds: frozenset[str], path: Path, words: Words
) -> Iterator[Finding]:
    step = outer.get("multipleOf")
    if step is None or not kinds & NUMBERS or (step == 1 and "fraction" not in kinds):
        return
    known = [part["multipleOf"] for part in values.maps(parts) if "multipleOf" in part]
    if not any(one == step or (isinstance(one, int) and isinstance(step, int) and one % step == 0) for one in known):
        yield Finding((*path, "multipleOf"), words.changed("multipleOf", known[0] if known else MISSING, step))


def _counts(parts: Parts, outer: dict[str, Any], kinds: frozenset[str], path: Path, words: Words) -> Iterator[Finding]:
    for kind in kinds & _COUNTS.keys():
        for key in _COUNTS[kind]:
            if key not in outer or (key.startswith("min") and outer[key] <= 0):
                continue
            found = values.counted(parts, key)
            if found is None or (found < outer[key] if key.startswith("min") else found > outer[key]):
                yield Finding((*path, key), words.changed(key, values.first(parts, key), outer[key]))


def _strings(parts: Parts, outer: dict[str, Any], kinds: frozenset[str], path: Path, words: Words) -> Iterator[Finding]:
    for key in _OF_STRINGS if "string" in kinds else ():
        if key in outer and not any(equal(part.get(key, MISSING), outer[key]) for part in values.maps(parts)):
            yield Finding((*path, key), words.changed(key, values.first(parts, key), outer[key]))


def _unique(parts: Parts, outer: dict[str, Any], kinds: frozenset[str], path: Path, words: Words) -> Iterator[Finding]:
    if outer.get("uniqueItems") is not True or "array" not in kinds:
        return
    most = values.counted(parts, "maxItems")
    if not any(part.get("uniqueItems") is True for part in values.maps(parts)) and (most is None or most > 1):
        yield Finding((*path, "uniqueItems"), words.changed("uniqueItems", False, True))


def _required(
    parts: Parts, outer: dict[str, Any], kinds: frozenset[str], path: Path, words: Words
) -> Iterator[Finding]:
    if "object" not in kinds:
        return
    certain = values.required(parts)
    for name in outer.get("required", ()):
        if name not in certain:
            yield Finding((*path, "required"), words.required(name))
    for name, others in outer.get("dependentRequired", {}).items():
        known = certain.union(*(part.get("dependentRequired", {}).get(name, ()) for part in values.maps(parts)))
        if not known.issuperset(others):
            yield Finding((*path, "dependentRequired", name), words.unproved("dependentRequired"))


SIMPLE: tuple[Rule, ...] = (_type, _listed, _bounds, _multiples, _counts, _strings, _unique, _required)
"""All rules; each yields what does not follow."""
