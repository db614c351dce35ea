"""Random JSON Schemas, versions of them that differ a little, and values that may fit."""

from __future__ import annotations

import copy
from random import Random
from typing import Any

NAMES = ("a", "b", "c")
_LEAVES: dict[str, Any] = {
    "minimum": lambda rng: rng.choice([-2, 0, 1, 1.5]),
    "maximum": lambda rng: rng.choice([0, 1, 2, 2.5]),
    "exclusiveMinimum": lambda rng: rng.choice([-1, 0, 0.5]),
    "exclusiveMaximum": lambda rng: rng.choice([1, 2, 2.5]),
    "multipleOf": lambda rng: rng.choice([1, 2, 4, 0.5]),
    "minLength": lambda rng: rng.randint(0, 2),
    "maxLength": lambda rng: rng.randint(0, 3),
    "pattern": lambda rng: rng.choice(["a", "^b"]),
    "minItems": lambda rng: rng.randint(0, 2),
    "maxItems": lambda rng: rng.randint(0, 3),
    "uniqueItems": lambda rng: rng.random() < 0.7,
    "minProperties": lambda rng: rng.randint(0, 2),
    "maxProperties": lambda rng: rng.randint(0, 3),
    "minContains": lambda rng: rng.randint(0, 2),
    "enum": lambda rng: [value(rng, 1) for _ in range(rng.randint(1, 3))],
    "const": lambda rng: value(rng, 1),
    "required": lambda rng: [name for name in NAMES if rng.random() < 0.4],
    "dependentRequired": lambda rng: {rng.choice(NAMES): [rng.choice(NAMES)]},
    "title": lambda rng: rng.choice(["x", "y"]),
}
_ONE = (
    "items",
    "additionalProperties",
    "contains",
    "propertyNames",
    "not",
    "if",
    "then",
    "else",
    "unevaluatedProperties",
)
_BELOW = frozenset(("items", "additionalProperties", "contains"))
_KINDS = ("null", "boolean", "integer", "number", "string", "array", "object")


def schema(rng: Random, depth: int = 3, *, below: bool = False) -> Any:
    """A schema. References, which may be recursive, stand only `below` the value itself."""
    chance = rng.random()
    if depth <= 0 or chance < 0.05:
        return rng.choice([True, {}, False, {"type": rng.choice(_KINDS)}])
    if below and chance < 0.15:
        return {"$ref": f"#/types/{rng.choice('TU')}"}
    kinds = rng.sample(_KINDS, rng.choice([1, 1, 1, 2, 3]))
    made: dict[str, Any] = {"type": kinds if len(kinds) > 1 else kinds[0]} if rng.random() < 0.8 else {}
    for key in rng.sample(_keys(kinds), 3):
        made[key] = _keyword(rng, key, depth)
    return made


def _keys(kinds: list[str]) -> list[str]:
    keys = ["enum", "const", "title", "anyOf", "oneOf", "allOf", "not", "if", "then"]
    if {"integer", "number"} & set(kinds):
        keys = [*["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"] * 4, *keys]
    if "string" in kinds:
        keys = [*["minLength", "maxLength", "pattern"] * 4, *keys]
    if "array" in kinds:
        keys = [*["items", "prefixItems", "minItems", "maxItems", "uniqueItems", "contains"] * 4, "minContains", *keys]
    if "object" in kinds:
        often = ["properties", "properties", "required", "additionalProperties"]
        rare = ["minProperties", "maxProperties", "dependentRequired", "patternProperties", "propertyNames"]
        keys = [*often * 6, *rare, "unevaluatedProperties", "dependentSchemas", *keys]
    return keys


def _keyword(rng: Random, key: str, depth: int) -> Any:
    if key in _LEAVES:
        return _LEAVES[key](rng)
    if key in ("properties", "dependentSchemas"):
        inside = key == "properties"
        return {name: schema(rng, depth - 1, below=inside) for name in NAMES if rng.random() < 0.6}
    if key == "patternProperties":
        return {rng.choice(["a", "^b"]): schema(rng, depth - 1, below=True)}
    if key in ("anyOf", "oneOf", "allOf"):
        return [schema(rng, depth - 1) for _ in range(rng.randint(1, 3))]
    if key == "prefixItems":
        return [schema(rng, depth - 1, below=True) for _ in range(rng.randint(1, 2))]
    return schema(rng, depth - 1, below=key in _BELOW)


def varied(rng: Random, old: Any, depth: int = 3, *, below: bool = False) -> Any:
    """Another version of a schema."""
    if not isinstance(old, dict) or rng.random() < 0.06:
        return schema(rng, depth, below=below) if rng.random() < 0.3 else copy.deepcopy(old)
    new = {key: _varied(rng, key, item, depth) for key, item in old.items()}
    if "$ref" in old:
        return new
    if new and rng.random() < 0.12:
        del new[rng.choice(list(new))]
    if rng.random() < 0.12:
        kinds = old.get("type", list(_KINDS))
        key = rng.choice(_keys(kinds if isinstance(kinds, list) else [kinds]))
        new[key] = _keyword(rng, key, depth)
    return new


def _varied(rng: Random, key: str, old: Any, depth: int) -> Any:
    if key in ("properties", "dependentSchemas", "patternProperties"):
        inside = key != "dependentSchemas"
        kept = {name: varied(rng, item, depth - 1, below=inside) for name, item in old.items() if rng.random() > 0.05}
        if key == "properties" and rng.random() < 0.1:
            kept[rng.choice(NAMES)] = schema(rng, depth - 1, below=True)
        return kept
    if isinstance(old, list) and key in ("anyOf", "oneOf", "allOf", "prefixItems"):
        items = [varied(rng, item, depth - 1, below=key == "prefixItems") for item in old]
        return items if rng.random() < 0.9 else [*items, schema(rng, depth - 1)]
    if key in _ONE:
        return varied(rng, old, depth - 1, below=key in _BELOW)
    if key == "type":
        return rng.choice(_KINDS) if rng.random() < 0.05 else old
    return _LEAVES[key](rng) if key in _LEAVES and rng.random() < 0.2 else copy.deepcopy(old)


def closed(old: Any) -> Any:
    """A schema by which an object has no properties that the schema does not name, where it names some."""
    if not isinstance(old, dict):
        return old
    return {**_inside(old), **({} if "unevaluatedProperties" in old or not _names(old) else _NOTHING_ELSE)}


_NOTHING_ELSE = {"unevaluatedProperties": False}


def _names(old: dict[str, Any]) -> bool:
    return not {"properties", "allOf", "$ref", "anyOf", "oneOf"}.isdisjoint(old)


def _inside(old: Any) -> Any:
    """The same for what is below a value, and for the parts that describe the value itself."""
    if not isinstance(old, dict):
        return old
    new = dict(old)
    for key in ("properties", "patternProperties"):
        if key in old:
            new[key] = {name: closed(item) for name, item in old[key].items()}
    for key in ("items", "additionalProperties"):
        if key in old:
            new[key] = closed(old[key])
    if "prefixItems" in old:
        new["prefixItems"] = [closed(item) for item in old["prefixItems"]]
    for key in ("allOf", "anyOf"):
        if key in old:
            new[key] = [_inside(item) for item in old[key]]
    return new


def types_inside(types: dict[str, Any]) -> dict[str, Any]:
    """The same for types, to which closed schemas refer."""
    return {name: _inside(item) for name, item in types.items()}


def value(rng: Random, depth: int = 3) -> Any:
    """Any small value."""
    chance = rng.random()
    if depth <= 0 or chance < 0.7:
        return rng.choice([None, True, False, -1, 0, 1, 2, 3, 4, 1.0, 0.5, 1.5, 2.5, "", "a", "b", "ab", "bab"])
    if chance < 0.85:
        return [value(rng, depth - 1) for _ in range(rng.randint(0, 3))]
    return {name: value(rng, depth - 1) for name in (*NAMES, "d") if rng.random() < 0.4}


def fitting(rng: Random, wanted: Any, types: dict[str, Any], depth: int = 4) -> Any:
    """A value that may well be right by a schema."""
    if not isinstance(wanted, dict) or depth <= 0 or rng.random() < 0.05:
        return value(rng, 1)
    if "$ref" in wanted:
        return fitting(rng, types[wanted["$ref"].rpartition("/")[2]], types, depth - 1)
    for key in ("anyOf", "oneOf", "allOf"):
        if wanted.get(key) and rng.random() < 0.6:
            return fitting(rng, rng.choice(wanted[key]), types, depth - 1)
    if "const" in wanted or "enum" in wanted:
        return wanted["const"] if "const" in wanted else rng.choice(wanted["enum"])
    kinds = wanted.get("type", _KINDS)
    return _of_kind(rng, rng.choice(kinds if isinstance(kinds, (list, tuple)) else [kinds]), wanted, types, depth)


def _of_kind(rng: Random, kind: str, wanted: dict[str, Any], types: dict[str, Any], depth: int) -> Any:
    if kind == "object":
        named = {name: fitting(rng, item, types, depth - 1) for name, item in wanted.get("properties", {}).items()}
        sure = wanted.get("required", ())
        found = {name: item for name, item in named.items() if name in sure or rng.random() < 0.6}
        more = wanted.get("additionalProperties", True)
        others = (*sure, *(name for name in (*NAMES, "d") if rng.random() < 0.2))
        return {**{name: fitting(rng, more, types, depth - 1) for name in others}, **found}
    if kind == "array":
        prefix = wanted.get("prefixItems", [])
        count = rng.randint(0, 3)
        return [
            fitting(rng, prefix[at] if at < len(prefix) else wanted.get("items", True), types, depth - 1)
            for at in range(count)
        ]
    choices: dict[str, Any] = {
        "null": [None],
        "boolean": [True, False],
        "integer": [-3, -2, -1, 0, 1, 2, 3, 4, 1.0],
        "number": [-3, -1, 0, 1, 2, 4, 0.5, 1.5, 2.5],
        "string": ["", "a", "b", "ab", "bab", "aaaa"],
    }
    return rng.choice(choices[kind])
