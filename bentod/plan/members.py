"""Which keywords of one schema follow from others: those about the members of objects and arrays."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from bentod.plan import values
from bentod.plan.findings import Path, Words
from bentod.plan.schema_side import Parts, Sameness, Side

_CONTAINS = ("contains", "minContains", "maxContains")
_SAYS_MORE = frozenset(
    (
        *("additionalProperties", "patternProperties", "unevaluatedProperties", "propertyNames", "dependentSchemas"),
        *("dependencies", "anyOf", "oneOf", "not", "if", "$ref"),
    )
)
"""Keywords that may say something of properties that are not named beside them."""


class Comparison(Protocol):
    """What goes on with a member."""

    inner: Side
    words: Words
    same: Sameness

    def within(self, parts: Parts, outer: Any, path: Path, depth: int) -> None:
        """Report where a value that is right by all `parts` may be wrong by a schema of the outer side."""

    def follows(self, parts: Parts, outer: dict[str, Any], keys: tuple[str, ...]) -> bool:
        """Whether some part says the same with these keywords."""

    def report(self, path: Path, message: str) -> None:
        """Something may be wrong by the outer schema."""


class Members:
    """Compares what is below a value."""

    def __init__(self, comparison: Comparison) -> None:
        self._comparison = comparison

    def of_object(self, parts: Parts, outer: dict[str, Any], path: Path, depth: int) -> None:
        """Properties: those that either side names, then all others."""
        named = outer.get("properties", {})
        others = outer.get("additionalProperties", True)
        certain = values.required(parts)
        for name in dict.fromkeys(
            [*named, *(key for part in values.maps(parts) for key in part.get("properties", ()))]
        ):
            if name in named and name not in certain and _unheard_of(parts, name):
                continue
            found = self._all(_property(part, name, outer, self._comparison.same) for part in values.maps(parts))
            self._comparison.within(found, named.get(name, others), (*path, "properties", name), depth + 1)
        if others is not True:
            rest = self._all(_other(part, outer, self._comparison.same) for part in values.maps(parts))
            self._comparison.within(rest, others, (*path, "additionalProperties"), depth + 1)
        for key in ("patternProperties", "propertyNames"):
            self._itself(parts, outer, (key,), path)

    def of_array(self, parts: Parts, outer: dict[str, Any], path: Path, depth: int) -> None:
        """Entries: those that either side tells by their place, then all others."""
        prefix, items = outer.get("prefixItems", []), outer.get("items", True)
        most = values.counted(parts, "maxItems")
        longest = max([len(prefix), *(len(part.get("prefixItems", ())) for part in values.maps(parts))])
        for index in range(longest if most is None else min(longest, most)):
            found = self._all(_entry(part, index) for part in values.maps(parts))
            wanted, at = (prefix[index], ("prefixItems", index)) if index < len(prefix) else (items, ("items",))
            self._comparison.within(found, wanted, (*path, *at), depth + 1)
        if most is None or most > longest:
            rest = self._all(part.get("items", True) for part in values.maps(parts))
            self._comparison.within(rest, items, (*path, "items"), depth + 1)
        self._itself(parts, outer, _CONTAINS, path)

    def _itself(self, parts: Parts, outer: dict[str, Any], keys: tuple[str, ...], path: Path) -> None:
        """Keywords that follow only from themselves."""
        if keys[0] in outer and not self._comparison.follows(parts, outer, keys):
            self._comparison.report((*path, keys[0]), self._comparison.words.unproved(keys[0]))

    def _all(self, schemas: Iterable[Any]) -> Parts:
        found: dict[int, Any] = {}
        for schema in schemas:
            for part in self._comparison.inner.parts(schema):
                found.setdefault(id(part), part)
        return tuple(found.values())


def _unheard_of(parts: Parts, name: str) -> bool:
    """Whether a property is not named where others are, and nothing is said of others: nobody sends it."""
    known = values.maps(parts)
    return any("properties" in part for part in known) and not any(
        name in part.get("properties", ()) or part.keys() & _SAYS_MORE for part in known
    )


def _property(part: dict[str, Any], name: str, outer: dict[str, Any], same: Sameness) -> Any:
    """What a part says of a property."""
    named = part.get("properties", {})
    return named[name] if name in named else _other(part, outer, same)


def _other(part: dict[str, Any], outer: dict[str, Any], same: Sameness) -> Any:
    """What a part says of properties that it does not name. Which of them match patterns is not looked at."""
    if "patternProperties" in part and not same.keywords(part, outer, ("patternProperties",)):
        return True
    return part.get("additionalProperties", True)


def _entry(part: dict[str, Any], index: int) -> Any:
    """What a part says of one entry of an array."""
    prefix = part.get("prefixItems", [])
    return prefix[index] if index < len(prefix) else part.get("items", True)
