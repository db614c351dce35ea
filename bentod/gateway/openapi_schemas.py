"""The users' schemas on their way into an OpenAPI document, which speaks JSON Schema 2020-12 too.

They stay as they are but for their references, which move with them (`#/types/NAME` becomes
`#/components/schemas/NAME`, and `#/$defs/…` follows its schema to its place in the document), and for tensors, images,
files and bytes, whose form in JSON is spelled out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote, unquote

from bentod.gateway.openapi_special import in_json
from bentod.iotypes.keywords import ALONE, IN_LIST, IN_MAP
from bentod.iotypes.pointers import escaped, unescaped
from bentod.iotypes.special import FORMATS, special

_TYPES = "#/types/"

_REFERENCES = frozenset(("$ref", "$dynamicRef"))
_NOT_IN_COMPONENT_NAMES = re.compile(r"[^A-Za-z0-9._-]")


@dataclass(frozen=True, slots=True)
class Move:
    """Where a schema goes: the components' names of the types, and its own place in the document.

    `place` is empty inside a schema with an `$id`, whose local references stay its own. `answer`: it describes what
    comes back.
    """

    names: Mapping[str, str]
    place: tuple[str, ...]
    answer: bool = False


def moved(schema: Any, move: Move) -> Any:
    """A copy of `schema` for its new place."""
    if not isinstance(schema, dict):
        return schema
    if move.place and "$id" in schema:
        move = replace(move, place=())
    copy = {key: _moved_keyword(key, value, move) for key, value in schema.items()}
    if copy.get("format") in FORMATS:
        kind = special(schema, {})
        assert kind is not None
        return in_json(copy, kind, answer=move.answer)
    return copy


def _moved_keyword(key: str, value: Any, move: Move) -> Any:
    if key in _REFERENCES and isinstance(value, str):
        return _moved_reference(value, move)
    if key in ALONE:
        return moved(value, move)
    if key in IN_LIST and isinstance(value, list | tuple):
        return [moved(item, move) for item in value]
    if key in IN_MAP and isinstance(value, dict):
        return {name: moved(item, move) for name, item in value.items()}
    return value


def _moved_reference(reference: str, move: Move) -> str:
    if reference.startswith(_TYPES):
        segment, slash, rest = reference.removeprefix(_TYPES).partition("/")
        name = _unescaped(segment)
        if name in move.names:
            return f"#/components/schemas/{move.names[name]}{slash}{rest}"
    if move.place and (reference == "#" or reference.startswith("#/")):
        return _fragment(move.place) + reference[1:]
    return reference


def _unescaped(segment: str) -> str:
    return unescaped(unquote(segment))


def _fragment(place: tuple[str, ...]) -> str:
    """A JSON Pointer as the fragment of a URI."""
    pointer = "".join("/" + escaped(segment) for segment in place)
    return "#" + quote(pointer, safe="/~!$&'()*+,;=:@")


def followed(schema: Any, move: Move, types: Mapping[str, Any]) -> tuple[Any, Move]:
    """Where the `$ref`s of a schema to whole types lead, and the place where that stands in the document."""
    seen: set[str] = set()
    while isinstance(schema, dict) and isinstance(schema.get("$ref"), str) and schema["$ref"].startswith(_TYPES):
        name = _unescaped(schema["$ref"].removeprefix(_TYPES))
        if name in seen or name not in types:
            break
        seen.add(name)
        schema, move = types[name], replace(move, place=component(move.names[name]))
    return schema, move


def component(name: str) -> tuple[str, ...]:
    """The place of a component."""
    return ("components", "schemas", name)


def type_schemas(types: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """The types as components."""
    return {names[name]: moved(schema, Move(names, component(names[name]))) for name, schema in types.items()}


def component_names(types: Iterable[str]) -> dict[str, str]:
    """Each type's name among the components: its own, unless OpenAPI has no such names."""
    names = {name: name for name in types if name and not _NOT_IN_COMPONENT_NAMES.search(name)}
    for name in types:
        if name not in names:
            names[name] = free(_NOT_IN_COMPONENT_NAMES.sub("_", name) or "_", names.values())
    return names


def free(name: str, taken: Iterable[str]) -> str:
    """`name`, or `name_2`, `name_3`, … if others have it already."""
    used = set(taken)
    number = 1
    candidate = name
    while candidate in used:
        number += 1
        candidate = f"{name}_{number}"
    return candidate
