"""Which types of a spec a schema needs, and whether its references are paths at all. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bentod.plan.schema_side import UNTRACEABLE

_TYPES = "#/types/"


def types_of(schema: Any, types: Mapping[str, Any]) -> frozenset[str]:
    """The names of the types that a schema refers to, directly or by way of others. It may name too many: a property
    can be called `$ref` too."""
    found: set[str] = set()
    ahead = [schema]
    while ahead:
        for item in _maps(ahead.pop()):
            reference = item.get("$ref")
            if not isinstance(reference, str) or not reference.startswith(_TYPES):
                continue
            name = reference.removeprefix(_TYPES).partition("/")[0]
            if name in types and name not in found:
                found.add(name)
                ahead.append(types[name])
    return frozenset(found)


def untraceable(schema: Any, types: Mapping[str, Any]) -> bool:
    """Whether references in a schema, or in the types that it needs, may be something else than paths."""
    everything = [schema, *(types[name] for name in types_of(schema, types))]
    return any("types" in item for item in (schema,) if isinstance(item, dict)) or any(
        not UNTRACEABLE.isdisjoint(item) for one in everything for item in _maps(one)
    )


def _maps(value: Any) -> Iterator[dict[str, Any]]:
    """Every map in a value, at any depth."""
    ahead = [value]
    while ahead:
        here = ahead.pop()
        if isinstance(here, dict):
            yield here
            ahead += here.values()
        elif isinstance(here, (list, tuple)):
            ahead += here
