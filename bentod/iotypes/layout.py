"""Where in a value the special ones stand, found in its schema once.

They may stand anywhere that is certain beforehand: at the root, under `properties`, `additionalProperties`, `items`,
`prefixItems`, and behind `$ref`. Under `anyOf` and the like nobody could know how to read a value before it is read;
`spec` refuses such schemas.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from bentod.iotypes.keywords import IN_MAP, VALUES
from bentod.iotypes.references import resolved
from bentod.iotypes.special import FORMATS, SpecialType, special

_MAPS = IN_MAP | {"types"}


@dataclass(slots=True)
class Layout:
    """A place in a value: special itself, or with special ones below it."""

    special: SpecialType | None = None
    properties: dict[str, Layout] = field(default_factory=dict)  # beside `additional`, also those with nothing special
    additional: Layout | None = None
    prefix: list[Layout | None] = field(default_factory=list)
    items: Layout | None = None


def layout(schema: Any, types: Mapping[str, Any]) -> Layout | None:
    """The layout of a valid schema; None if nothing in it is special."""
    finder = _Finder(schema, types)
    found = _kept(finder.at(schema))
    for place in finder.known.values():
        place.additional, place.items = _kept(place.additional), _kept(place.items)
        if place.additional is None:
            place.properties = {name: below for name, below in place.properties.items() if _kept(below)}
        place.prefix = [_kept(below) for below in place.prefix]
    return found


class _Finder:
    """Walks one schema. Recursive types give recursive layouts."""

    def __init__(self, root: Any, types: Mapping[str, Any]) -> None:
        self._root = root
        self._types = types
        self.known: dict[int, Layout] = {}

    def at(self, schema: Any) -> Layout | None:
        """What stands at a schema, maybe with nothing special below it."""
        schema = resolved(schema, self._types, self._root)
        if not isinstance(schema, dict):
            return None
        if id(schema) in self.known:
            return self.known[id(schema)]
        here = self.known[id(schema)] = Layout()
        if schema.get("format") in FORMATS:
            here.special = special(schema, self._types)
            return here
        properties = schema.get("properties")
        for name, inner in properties.items() if isinstance(properties, dict) else ():
            here.properties[name] = self.at(inner) or Layout()
        here.additional = self.at(schema.get("additionalProperties"))
        prefix = schema.get("prefixItems")
        here.prefix = [self.at(inner) for inner in (prefix if isinstance(prefix, list) else ())]
        here.items = self.at(schema.get("items"))
        return here


def _kept(place: Layout | None) -> Layout | None:
    return place if any(True for _ in _specials(place)) else None


def specials(place: Layout | None) -> list[SpecialType]:
    """Every special type at a place and below, in the order of the schema."""
    return list(_specials(place))


def _specials(place: Layout | None) -> Iterator[SpecialType]:
    seen: set[int] = set()
    ahead = [place]
    while ahead:
        here = ahead.pop()
        if here is None or id(here) in seen:
            continue
        seen.add(id(here))
        if here.special is not None:
            yield here.special
        ahead += reversed((*here.properties.values(), here.additional, *here.prefix, here.items))


def masked(schema: Any) -> Any:
    """`schema` with `true` in place of what is special: for validators that only know JSON."""
    if isinstance(schema, list):
        return [masked(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("format") in FORMATS:
        return True
    return {
        key: {name: masked(inner) for name, inner in item.items()}
        if key in _MAPS and isinstance(item, dict)
        else item
        if key in VALUES
        else masked(item)
        for key, item in schema.items()
    }
