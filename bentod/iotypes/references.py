"""Follows the `$ref`s of a schema: to the types of the spec, or inside the schema itself. Others lead nowhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bentod.iotypes.pointers import unescaped

_TYPES = "#/types/"
_MOST = 64


def resolved(schema: Any, types: Mapping[str, Any], root: Any = None) -> Any:
    """A schema, that stands in `root` if it is not the root itself, or where its `$ref` leads; None if nowhere."""
    root = schema if root is None else root
    for _ in range(_MOST):
        if not isinstance(schema, dict) or not isinstance(schema.get("$ref"), str):
            return schema
        schema = followed(schema["$ref"], types, root)
    return None


def circular(schema: Any, types: Mapping[str, Any], root: Any) -> bool:
    """Whether a `$ref` leads to nothing but `$ref`s, without end."""
    seen = set()
    while isinstance(schema, dict) and isinstance(schema.get("$ref"), str):
        if schema["$ref"] in seen:
            return True
        seen.add(schema["$ref"])
        schema = followed(schema["$ref"], types, root)
    return False


def object_schema(schema: Any, types: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The schema of an object with `properties` that a schema is, or where its `$ref` leads; else None."""
    found = schema if isinstance(schema, dict) and "properties" in schema else resolved(schema, types)
    if not isinstance(found, dict) or "properties" not in found or found.get("type", "object") != "object":
        return None
    return found


def followed(reference: str, types: Mapping[str, Any], root: Any) -> Any:
    """What one `$ref` in `root` refers to; None if that is nothing."""
    if reference.startswith(_TYPES):
        name, _, rest = reference.removeprefix(_TYPES).partition("/")
        return _at(types.get(name), rest.split("/") if rest else [])
    if reference == "#":
        return root
    return _at(root, reference[2:].split("/")) if reference.startswith("#/") else None


def _at(schema: Any, path: list[str]) -> Any:
    """What a JSON Pointer leads to."""
    for part in path:
        key = unescaped(part)
        if isinstance(schema, list):
            schema = schema[int(key)] if key.isdecimal() and int(key) < len(schema) else None
        else:
            schema = schema.get(key) if isinstance(schema, dict) else None
    return schema
