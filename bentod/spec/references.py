"""`$ref` in a schema: to a type of the spec or inside the schema itself, and to something that is there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bentod.iotypes.pointers import unescaped
from bentod.iotypes.references import circular
from bentod.spec.found import did_you_mean, shown
from bentod.spec.node import Path
from bentod.spec.report import Report

TYPES = "#/types/"


def check(reference: Any, path: Path, root: Any, types: Mapping[str, Any], report: Report) -> None:
    """Report a `$ref`, which is at `path` in the schema `root`, that leads nowhere."""
    if not isinstance(reference, str):
        return
    in_type = path[1] if path[0] == "types" else ""
    if circular({"$ref": reference}, types, root):
        hint = "say what it is where it is defined"
        report.at_value(path, "invalid-schema", f"{shown(reference)} leads to nothing but itself", hint)
    elif reference.startswith(TYPES):
        name = reference.removeprefix(TYPES).partition("/")[0]
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
        key = unescaped(part).replace("%24", "$")
        if isinstance(root, list):
            root = dict(enumerate(root))
            key = int(key) if key.isdecimal() else key  # type: ignore[assignment]
        if not isinstance(root, dict) or key not in root:
            return False
        root = root[key]
    return True
