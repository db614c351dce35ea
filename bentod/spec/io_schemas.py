"""JSON Schemas of inputs and outputs: valid by the dialect's meta-schema, able to be read, with examples that match."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import jsonschema_rs

from bentod.iotypes.validator import Validator
from bentod.shipped import shipped
from bentod.spec import keywords, special_places, streams, together
from bentod.spec.example_files import ExampleFile
from bentod.spec.examples import Converter, Examples
from bentod.spec.found import shown
from bentod.spec.node import Path
from bentod.spec.project import Project
from bentod.spec.report import Report
from bentod.spec.special_places import Root, Rule

META_SCHEMA = "schemas/io.schema.json"
_KINDS = ("array", "boolean", "integer", "null", "number", "object", "string")
_MEANT = {
    "image": "type: string, format: image",
    "file": "type: string, format: file",
    "binary": "type: string, format: binary",
    "bytes": "type: string, format: binary",
    "tensor": "type: array, format: tensor",
    "ndarray": "type: array, format: tensor",
    "str": "type: string",
    "text": "type: string",
    "int": "type: integer",
    "float": "type: number",
    "double": "type: number",
    "bool": "type: boolean",
    "dict": "type: object",
    "list": "type: array",
    "None": 'type: "null"',
}
"""What is written for a type by those who think of Python, or of the `format` that they want."""


@dataclass(frozen=True, slots=True)
class _Types:
    """The spec's types. Those that are `sound` can be compiled; a schema that needs another cannot be judged."""

    written: dict[str, Any]
    sound: dict[str, Any]

    @property
    def complete(self) -> bool:
        """Whether every type is sound."""
        return len(self.sound) == len(self.written)


def check(data: dict[str, Any], project: Project, report: Report) -> list[ExampleFile]:
    """Report what is wrong with the schemas and examples in `data`; the files that the examples name."""
    written = data.get("types")
    written = written if isinstance(written, dict) else {}
    schemas = _Schemas(_Types(written, {}), project, report)
    sound = {name: schema for name, schema in written.items() if schemas.check(schema, ("types", name))}
    schemas = _Schemas(_Types(written, sound), project, report)
    for name, schema in written.items():
        path: Path = ("types", name)
        special_places.check(Root(schema, path, name in sound), sound, report, special_places.anywhere)
        if name in sound:
            schemas.compiled(schema, path)
    apis = data.get("apis")
    files: list[ExampleFile] = []
    for name, api in apis.items() if isinstance(apis, dict) else ():
        if isinstance(api, dict):
            files += schemas.check_api(api, ("apis", name))
    return files


class _Schemas:
    """Judges schemas, given the spec's types."""

    def __init__(self, types: _Types, project: Project, report: Report) -> None:
        self._types = types
        self._project = project
        self._report = report

    def check_api(self, api: dict[str, Any], path: Path) -> list[ExampleFile]:
        """Report what is wrong with an API's schemas and examples."""
        streams.check_idle(api, path, self._report)
        stream = api.get("stream")
        rules = {
            "input": special_places.of_inputs,
            "output": special_places.of_chunks if stream in ("sse", "ndjson") else special_places.of_answers,
        }
        converters: dict[str, Converter] = {}
        for key, rule in rules.items():
            most_rows = together.most_rows(api) if key == "input" else None
            converter = self._converter(api.get(key, True), (*path, key), rule, most_rows)
            if converter is not None:
                converters[key] = converter
        if stream == "raw" and "output" in converters:
            streams.check_raw(api.get("output", True), (*path, "output"), self._types.sound, self._report)
        return Examples(api, path, converters, self._project, self._report).check()

    def _converter(self, schema: Any, path: Path, rule: Rule, most_rows: int | None) -> Converter | None:
        sound = self.check(schema, path)
        before = len(self._report.problems)
        special_places.check(Root(schema, path, sound), self._types.sound, self._report, rule)
        sound = sound and len(self._report.problems) == before
        validator = self.compiled(schema, path) if sound else None
        return Converter(schema, self._types.sound, validator, most_rows) if validator is not None else None

    def check(self, schema: Any, path: Path) -> bool:
        """Whether `schema` may be compiled; what is wrong with it is reported."""
        before = len(self._report.problems)
        valid = _meta().is_valid(schema)
        if not valid:
            for at, message, hint in _explained(schema, None):
                self._report.at_value((*path, *at), "invalid-schema", message, hint)
        keywords.check(schema, path, self._types.written, self._project, self._report)
        if not valid and len(self._report.problems) == before:
            for at, message, hint in _explained(schema, _dialect()):
                self._report.at_value((*path, *at), "invalid-schema", message, hint)
        return len(self._report.problems) == before

    def compiled(self, schema: Any, path: Path) -> Validator | None:
        """A sound schema, ready to judge; None if it cannot be, which is reported."""
        try:
            return Validator(schema, self._types.sound)
        except ValueError as error:
            cause = error.__cause__
            message = _short(getattr(cause, "message", str(error)).splitlines()[0])
            inside: Path = tuple(getattr(cause, "instance_path", ()))
        if inside[:1] == ("types",):
            return None  # reported with the type itself
        if inside or self._types.complete:
            text = f"not a valid JSON Schema: {message}"
            self._report.at_value((*path, *inside), "invalid-schema", text)
        return None


@cache
def _dialect() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(shipped(META_SCHEMA).read_text("utf-8"))
    return found


@cache
def _meta() -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator(_dialect())


def _explained(schema: Any, meta: dict[str, Any] | None) -> Iterator[tuple[Path, str, str]]:
    """What a meta-schema, that of 2020-12 if none, says, and hints; `jsonschema` tells it better than what is fast."""
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match

    if not isinstance(schema, (dict, bool)):
        yield (), f"a JSON Schema is a map, true or false; found {shown(schema)}", ""
        return
    seen: set[Path] = set()
    for error in Draft202012Validator(meta or Draft202012Validator.META_SCHEMA).iter_errors(schema):
        deepest = best_match([error]) or error
        at = tuple(deepest.absolute_path)
        if at not in seen:
            seen.add(at)
            yield at, f"not a valid JSON Schema: {_short(_worded(deepest.message, at))}", _hint(at, deepest.instance)


def _hint(at: Path, value: Any) -> str:
    """What to write for a type that other languages know, or that is a `format` here."""
    meant = _MEANT.get(value) if at[-1:] == ("type",) and isinstance(value, str) else None
    return f"write `{meant}`" if meant else ""


def _worded(message: str, at: Path) -> str:
    if at[-1:] == ("type",):
        return message.replace("valid under any of the given schemas", "a type: " + ", ".join(_KINDS))
    return message


def _short(message: str) -> str:
    return message if len(message) <= 200 else message[:199] + "…"
