"""JSON Schemas of inputs and outputs: valid by the 2020-12 meta-schema, references that exist, examples that match."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import jsonschema_rs

from bentod.iotypes.validator import Validator
from bentod.spec.found import did_you_mean, shown
from bentod.spec.node import Path
from bentod.spec.report import Report
from bentod.spec.unsupported import FORMATS, MESSAGE

_META = jsonschema_rs.Draft202012Validator({"$ref": "https://json-schema.org/draft/2020-12/schema"})
_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_TYPES = "#/types/"
_KINDS = ("array", "boolean", "integer", "null", "number", "object", "string")
_VALUES = frozenset(("const", "enum", "default", "examples"))
"""Keywords that hold values, not schemas."""


@dataclass(frozen=True, slots=True)
class _Types:
    """The spec's types. Those that are `sound` can be compiled; a schema that needs another cannot be judged."""

    written: dict[str, Any]
    sound: dict[str, Any]

    @property
    def complete(self) -> bool:
        """Whether every type is sound."""
        return len(self.sound) == len(self.written)


def check(data: dict[str, Any], report: Report) -> None:
    """Report what is wrong with the schemas and examples in `data`."""
    written = data.get("types")
    written = written if isinstance(written, dict) else {}
    sound = {
        name: schema for name, schema in written.items() if _check_schema(schema, ("types", name), written, report)
    }
    types = _Types(written, sound)
    for name, schema in sound.items():
        _compiled(schema, ("types", name), types, report)
    apis = data.get("apis")
    for name, api in apis.items() if isinstance(apis, dict) else ():
        if isinstance(api, dict):
            _check_api(api, ("apis", name), types, report)


def _check_api(api: dict[str, Any], path: Path, types: _Types, report: Report) -> None:
    for key in ("input", "output"):
        schema = api.get(key, True)
        if _check_schema(schema, (*path, key), types.written, report):
            validator = _compiled(schema, (*path, key), types, report)
            if validator is not None:
                _check_examples(api, path, key, validator, report)


def _check_examples(api: dict[str, Any], path: Path, key: str, validator: Validator, report: Report) -> None:
    examples = api.get("examples")
    for index, example in enumerate(examples if isinstance(examples, list) else ()):
        if not isinstance(example, dict) or key not in example or validator.valid(example[key]):
            continue
        at = (*path, "examples", index, key)
        for error in validator.errors(example[key]):
            inside = _follow(example[key], error.pointer)
            report.at_value((*at, *inside), "example-mismatch", f"the example does not match `{key}`: {error.detail}")


def _follow(value: Any, pointer: str) -> Path:
    """A JSON Pointer into `value` as a path."""
    path: list[str | int] = []
    for part in pointer.split("/")[1:]:
        key: str | int = int(part) if isinstance(value, list) else part.replace("~1", "/").replace("~0", "~")
        path.append(key)
        value = value[key]
    return tuple(path)


def _check_schema(schema: Any, path: Path, types: dict[str, Any], report: Report) -> bool:
    """Whether `schema` may be compiled."""
    before = len(report.problems)
    if _META.is_valid(schema):
        _check_keywords(schema, path, schema, types, report)
    else:
        for at, message in _explained(schema):
            report.at_value((*path, *at), "invalid-schema", message)
    return len(report.problems) == before


def _explained(schema: Any) -> Iterator[tuple[Path, str]]:
    """What the meta-schema says; `jsonschema` tells it better and is loaded only here, for it takes its time."""
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match

    if not isinstance(schema, (dict, bool)):
        yield (), f"a JSON Schema is a map, true or false; found {shown(schema)}"
        return
    seen: set[Path] = set()
    for error in Draft202012Validator(Draft202012Validator.META_SCHEMA).iter_errors(schema):
        deepest = best_match([error]) or error
        at = tuple(deepest.absolute_path)
        if at not in seen:
            seen.add(at)
            yield at, f"not a valid JSON Schema: {_short(_worded(deepest.message, at))}"


def _worded(message: str, at: Path) -> str:
    if at[-1:] == ("type",):
        return message.replace("valid under any of the given schemas", "a type: " + ", ".join(_KINDS))
    return message


def _short(message: str) -> str:
    return message if len(message) <= 200 else message[:199] + "…"


def _check_keywords(schema: Any, path: Path, root: Any, types: dict[str, Any], report: Report) -> None:
    """What the meta-schema cannot know: references, formats of bentod, the dialect."""
    if isinstance(schema, list):
        for index, item in enumerate(schema):
            _check_keywords(item, (*path, index), root, types, report)
    if not isinstance(schema, dict):
        return
    _check_reference(schema.get("$ref"), (*path, "$ref"), root, types, report)
    if schema.get("format") in FORMATS:
        report.at_key((*path, "format"), "not-supported", f"`format: {schema['format']}` is {MESSAGE}")
    if schema.get("$schema", _DIALECT) not in (_DIALECT, _DIALECT + "#"):
        report.at_value((*path, "$schema"), "invalid-schema", "schemas are read as JSON Schema 2020-12", "remove it")
    for key, item in schema.items():
        if key in ("properties", "patternProperties", "$defs", "dependentSchemas") and isinstance(item, dict):
            for name, inner in item.items():
                _check_keywords(inner, (*path, key, name), root, types, report)
        elif key not in _VALUES:
            _check_keywords(item, (*path, key), root, types, report)


def _check_reference(reference: Any, path: Path, root: Any, types: dict[str, Any], report: Report) -> None:
    if not isinstance(reference, str):
        return
    in_type = path[1] if path[0] == "types" else ""
    if reference.startswith(_TYPES):
        name = reference.removeprefix(_TYPES).partition("/")[0]
        if name not in types:
            report.at_value(path, "unknown-type", f"there is no type `{name}`", did_you_mean(name, types))
    elif not reference.startswith("#"):
        hint = 'refer to a type with `$ref: "#/types/NAME"`, or inside the schema with `#/$defs/NAME`'
        report.at_value(path, "invalid-schema", f"{shown(reference)} is outside of this file; nothing is fetched", hint)
    elif in_type and reference[1:2] in ("", "/"):
        hint = f'write `$ref: "#/types/{in_type}{reference[1:]}"`'
        report.at_value(path, "invalid-schema", f"{shown(reference)} means the API's schema, not this type", hint)
    elif reference[1:2] == "/" and "$id" not in root and not _exists(root, reference):
        report.at_value(path, "invalid-schema", f"{shown(reference)} does not exist in this schema")


def _exists(root: Any, reference: str) -> bool:
    """Whether the JSON Pointer in `#/…` leads anywhere."""
    for part in reference.split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~").replace("%24", "$")
        if isinstance(root, list):
            root = dict(enumerate(root))
            key = int(key) if key.isdecimal() else key  # type: ignore[assignment]
        if not isinstance(root, dict) or key not in root:
            return False
        root = root[key]
    return True


def _compiled(schema: Any, path: Path, types: _Types, report: Report) -> Validator | None:
    try:
        return Validator(schema, types.sound)
    except ValueError as error:
        cause = error.__cause__
        message = _short(getattr(cause, "message", str(error)).splitlines()[0])
        inside: Path = tuple(getattr(cause, "instance_path", ()))
    if inside[:1] == ("types",):
        return None  # reported with the type itself
    if inside or types.complete:
        report.at_value((*path, *inside), "invalid-schema", f"not a valid JSON Schema: {message}")
    return None
