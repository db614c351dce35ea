"""One side of a comparison of JSON Schemas: what a schema says once its `$ref`s and `allOf`s are followed, and when two
schemas of two sides say the same."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from bentod.iotypes.keywords import ALONE, IN_LIST, IN_MAP
from bentod.iotypes.references import followed
from bentod.plan.fingerprint import canonical

CONSTRAINTS = frozenset(
    (
        *("type", "enum", "const", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
        *("minLength", "maxLength", "pattern", "format", "contentEncoding", "contentMediaType", "contentSchema"),
        *("minItems", "maxItems", "uniqueItems", "prefixItems", "items", "contains", "minContains", "maxContains"),
        *("properties", "patternProperties", "additionalProperties", "propertyNames", "required"),
        *("minProperties", "maxProperties", "dependentRequired", "dependentSchemas", "dependencies"),
        *("allOf", "anyOf", "oneOf", "not", "if", "then", "else", "unevaluatedItems", "unevaluatedProperties"),
        *("$ref", "dtype", "shape", "maxPixels"),
    )
)
"""Keywords that say which values are right. All others say something about them, and are not compared."""

UNTRACEABLE = frozenset(("$id", "$anchor", "$dynamicRef", "$dynamicAnchor", "$recursiveRef", "$recursiveAnchor"))
"""Keywords with which a reference is no path."""

AROUND = ("unevaluatedItems", "unevaluatedProperties")
"""Keywords that say nothing without those beside them, `$ref` and `allOf` included."""

Parts = tuple[Any, ...]
"""Schemas that all hold, each a map or False. A map has no `$ref` or `allOf`, unless that leads nowhere, or the map
`looks_around`."""


class TooMuch(Exception):
    """A comparison takes more steps than it is worth."""


class Budget:
    """Bounds the steps of one comparison."""

    def __init__(self, steps: int) -> None:
        self._left = steps

    def spend(self, steps: int = 1) -> None:
        """Some steps are taken. Raises TooMuch."""
        self._left -= steps
        if self._left < 0:
            raise TooMuch


class Side:
    """One schema with the types of its spec. What it makes is kept, so that the `id` of each part stays its own."""

    def __init__(self, root: Any, types: Mapping[str, Any], budget: Budget) -> None:
        self.root = root
        self.types = types
        self._budget = budget
        self._parts: dict[int, tuple[Any, Parts]] = {}
        self._without: dict[tuple[int, str], dict[str, Any]] = {}

    def followed(self, reference: Any) -> Any:
        """What a `$ref` refers to; None if that is nothing."""
        return followed(reference, self.types, self.root) if isinstance(reference, str) else None

    def parts(self, schema: Any) -> Parts:
        """The parts of a schema, all of which must hold; none if anything is right."""
        if not isinstance(schema, dict):
            return (False,) if schema is False else ()
        if id(schema) not in self._parts:
            self._parts[id(schema)] = (schema, tuple(self._opened(schema)))
        return self._parts[id(schema)][1]

    def without(self, schema: dict[str, Any], key: str) -> dict[str, Any]:
        """A part less one of its keywords, of which no more is known than that it may name properties."""
        found = self._without.get((id(schema), key))
        if found is None:
            found = {name: value for name, value in schema.items() if name != key} | {"unevaluatedProperties": True}
            self._without[(id(schema), key)] = found
        return found

    def _opened(self, schema: dict[str, Any]) -> Iterable[Any]:
        ahead: list[Any] = [schema]
        seen: set[int] = set()
        while ahead:
            here = ahead.pop()
            self._budget.spend()
            if here is False:
                yield False
            if not isinstance(here, dict) or id(here) in seen:
                continue
            seen.add(id(here))
            ahead += reversed(here.get("allOf", []))
            if "$ref" in here:
                target = self.followed(here["$ref"])
                if target is None:
                    yield {"$ref": here["$ref"]}
                else:
                    ahead.append(target)
            own = CONSTRAINTS.intersection(here) - {"$ref", "allOf"}
            if own:
                alone = "$ref" not in here and "allOf" not in here
                yield here if alone or looks_around(here) else {key: here[key] for key in own}


class Sameness:
    """Tells schemas of two sides that say the same, keyword by keyword; references may have other names."""

    def __init__(self, left: Side, right: Side, budget: Budget) -> None:
        self._sides = left, right
        self._budget = budget
        self._same: set[tuple[int, int]] = set()
        self._other: set[tuple[int, int]] = set()

    def schemas(self, left: Any, right: Any) -> bool:
        """Whether two schemas, that outlive this object, say the same. False if that takes too much to see."""
        return self._all([(left, right)])

    def keywords(self, left: dict[str, Any], right: dict[str, Any], keys: Iterable[str]) -> bool:
        """Whether two schemas say the same as far as these keywords go."""
        ahead: list[tuple[Any, Any]] = []
        return all(self._keyword(key, left, right, ahead) for key in keys) and self._all(ahead)

    def _all(self, ahead: list[tuple[Any, Any]]) -> bool:
        first = ahead[:]
        seen: set[tuple[int, int]] = set()
        while ahead:
            left, right = ahead.pop()
            if not isinstance(left, dict) or not isinstance(right, dict):
                if _plain(left) is _plain(right) is not None:
                    continue
                return False
            pair = (id(left), id(right))
            if pair in self._same or pair in seen:
                continue
            self._budget.spend()
            seen.add(pair)
            if pair in self._other or not self._pair(left, right, ahead):
                self._other.update((id(a), id(b)) for a, b in first if len(first) == 1)
                return False
        self._same |= seen
        return True

    def _pair(self, left: dict[str, Any], right: dict[str, Any], ahead: list[tuple[Any, Any]]) -> bool:
        keys = CONSTRAINTS.intersection(left)
        return keys == CONSTRAINTS.intersection(right) and all(
            self._keyword(key, left, right, ahead) for key in sorted(keys)
        )

    def _keyword(self, key: str, left: dict[str, Any], right: dict[str, Any], ahead: list[tuple[Any, Any]]) -> bool:
        """Whether one keyword says the same, if the schemas that it adds to `ahead` do."""
        if (key in left) != (key in right) or key not in left:
            return (key in left) == (key in right)
        one, other = left[key], right[key]
        if key == "$ref":
            one, other = self._sides[0].followed(one), self._sides[1].followed(other)
            if one is None or other is None:
                return False
            ahead.append((one, other))
        elif key in IN_MAP and isinstance(one, dict) and isinstance(other, dict):
            ahead += ((one[name], other[name]) for name in one if name in other)
            self._budget.spend(len(one))
            return one.keys() == other.keys()
        elif key in IN_LIST and isinstance(one, list) and isinstance(other, list):
            ahead += zip(one, other, strict=False)
            return len(one) == len(other)
        elif key in ALONE:
            ahead.append((one, other))
        else:
            return equal(one, other)
        return True


def looks_around(schema: Mapping[str, Any]) -> bool:
    """Whether what a schema says depends on what is known of its value from beside it."""
    return any(schema.get(key, True) is not True for key in AROUND)


def equal(left: Any, right: Any) -> bool:
    """Whether two values are the same JSON: 1 is 1.0, but not true."""
    try:
        return canonical(_whole(left)) == canonical(_whole(right))
    except RecursionError:
        return False


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _plain(schema: Any) -> bool | None:
    """A schema that takes all or nothing, as truth; else None."""
    return schema if isinstance(schema, bool) else True if schema == {} else None
