"""`python -m bentod.spec.schema > schemas/bentofile.schema.json`: the JSON Schema of the bentofile, from the model."""

from __future__ import annotations

import json
import sys
from typing import Any

from bentod.shipped import shipped
from bentod.spec import fields, quantities
from bentod.spec.io_schemas import META_SCHEMA
from bentod.spec.model import Spec

ID = "https://bentod.dev/schemas/bentofile.schema.json"
DIALECT = "https://json-schema.org/draft/2020-12/schema"

_EXTENSION = {"^x-": True}
_JSON_SCHEMA = {"$ref": "#/$defs/JsonSchema"}


def bentofile_schema() -> dict[str, Any]:
    """The schema, always in the same order."""
    generated = Spec.model_json_schema(by_alias=True)
    definitions = {name: _section(section) for name, section in generated.pop("$defs").items()}
    definitions["JsonSchema"] = _json_schema()
    root = _section(generated)
    root["properties"]["types"]["patternProperties"][f"^(?!x-){fields.NAME.removeprefix('^')}"] = _JSON_SCHEMA
    root["properties"]["types"]["additionalProperties"] = False
    root["properties"]["apis"]["minProperties"] = 1
    definitions["Recycle"]["anyOf"] = [{"required": [key]} for key in definitions["Recycle"]["properties"]]
    definitions["Api"]["dependentRequired"] = {"stream_idle": ["stream"]}
    for key in ("input", "output"):
        definitions["Api"]["properties"][key] |= _JSON_SCHEMA
    return {
        "$schema": DIALECT,
        "$id": ID,
        "title": "bentofile",
        **{key: value for key, value in root.items() if key != "title"},
        "$defs": dict(sorted(definitions.items())),
    }


def _section(schema: dict[str, Any]) -> dict[str, Any]:
    """A section without pydantic's titles, with `x-…` keys and with the grammar of the names in its maps."""
    cleaned = _cleaned(schema)
    assert isinstance(cleaned, dict)
    return cleaned


def _cleaned(value: Any) -> Any:
    if isinstance(value, list):
        return [_cleaned(item) for item in value]
    if not isinstance(value, dict):
        return value
    value = {key: item for key, item in value.items() if key != "title" or not isinstance(item, str)}
    if "properties" in value:
        value["properties"] = {key: _property(item) for key, item in value["properties"].items()}
    return _open({key: item if key == "properties" else _cleaned(item) for key, item in value.items()})


def _property(schema: dict[str, Any]) -> dict[str, Any]:
    """One key: with its default as people write it, and without null, for optional keys are left out instead."""
    choices = [choice for choice in schema.pop("anyOf", []) if choice != {"type": "null"}]
    if len(choices) == 1:
        schema |= choices[0]
    elif choices:
        schema["anyOf"] = choices
    default = _written(schema.pop("default", None), choices, "$ref" in schema)
    if default is not None:
        schema["default"] = default
    cleaned = _cleaned(schema)
    assert isinstance(cleaned, dict)
    return cleaned


def _written(default: Any, choices: list[dict[str, Any]], section: bool) -> Any:
    """The default as it would be written; None if there is nothing to write."""
    patterns = {choice.get("pattern") for choice in choices}
    if section or default in (None, "", [], {}):
        return None
    if quantities.DURATION_PATTERN in patterns:
        return quantities.duration_text(default)
    if quantities.SIZE_PATTERN in patterns:
        return quantities.size_text(default)
    return default[0] if isinstance(default, list) and len(default) == 1 else default


def _open(schema: dict[str, Any]) -> dict[str, Any]:
    """`schema` with `x-…` keys allowed, if it is a map."""
    if schema.get("type") != "object":
        return schema
    names = schema.pop("propertyNames", None)
    if names is not None:
        values = schema.pop("additionalProperties", True)
        schema["patternProperties"] = schema.get("patternProperties") or {names["pattern"]: values}
    if "patternProperties" in schema:
        # A key is no place for interpolation, so the pattern of a key loses what a value's has.
        patterns = {key.removesuffix(fields.OR_REFERENCE): value for key, value in schema["patternProperties"].items()}
        named = {f"^(?!x-){key.removeprefix('^')}": value for key, value in patterns.items()}
        return {**schema, "patternProperties": {**named, **_EXTENSION}, "additionalProperties": False}
    return {**schema, "patternProperties": _EXTENSION}


def _json_schema() -> dict[str, Any]:
    """The dialect's meta-schema, as a part: its `$dynamicAnchor` makes it hold for the schemas inside a schema too."""
    dialect = json.loads(shipped(META_SCHEMA).read_text("utf-8"))
    return {key: value for key, value in dialect.items() if key not in ("$schema", "$id", "$vocabulary")}


def text() -> str:
    """The file's text."""
    return json.dumps(bentofile_schema(), indent=2, ensure_ascii=False) + "\n"


def main(arguments: list[str]) -> int:
    """Write the schema to stdout; with `--check` only say whether the published one is the same."""
    if arguments != ["--check"]:
        sys.stdout.write(text())
        return 0
    path = shipped("schemas/bentofile.schema.json")
    if path.is_file() and path.read_text("utf-8") == text():
        return 0
    sys.stderr.write(f"{path} is not what the model says: python -m bentod.spec.schema > {path}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
