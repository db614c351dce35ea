"""Walks a schema: what JSON Schema's own meta-schema cannot know, at every place where a schema may stand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bentod.iotypes.keywords import IN_MAP, VALUES
from bentod.iotypes.special import FORMATS
from bentod.spec import references, special_schemas
from bentod.spec.node import Path
from bentod.spec.project import Project
from bentod.spec.report import Report

DIALECT = "https://json-schema.org/draft/2020-12/schema"
OF_BENTOD = "https://bentod.dev/schemas/io.schema.json"


def is_special(schema: Mapping[str, Any]) -> bool:
    """Whether a schema's `format` is one of the dialect's four."""
    return isinstance(schema.get("format"), str) and schema["format"] in FORMATS


def inner(schema: Mapping[str, Any]) -> Iterator[tuple[str, Path, Any]]:
    """What stands in a schema: the keyword that holds it, its path in the schema, and itself."""
    for key, item in schema.items():
        if key in IN_MAP and isinstance(item, dict):
            yield from ((key, (key, name), below) for name, below in item.items())
        elif isinstance(item, list) and key not in VALUES:
            yield from ((key, (key, index), below) for index, below in enumerate(item))
        elif key not in VALUES:
            yield key, (key,), item


def check(schema: Any, path: Path, types: Mapping[str, Any], project: Project, report: Report) -> None:
    """Report references that lead nowhere, keywords of the dialect that are wrong, and other dialects."""
    _Walk(schema, types, project, report).at(schema, path)


class _Walk:
    """One schema and what its keywords refer to."""

    def __init__(self, root: Any, types: Mapping[str, Any], project: Project, report: Report) -> None:
        self._root = root
        self._types = types
        self._project = project
        self._report = report

    def at(self, schema: Any, path: Path) -> None:
        if isinstance(schema, list):
            for index, item in enumerate(schema):
                self.at(item, (*path, index))
        if not isinstance(schema, dict):
            return
        if is_special(schema):
            special_schemas.check(schema, path, self._project, self._report)
            return
        special_schemas.check_ordinary(schema, path, self._report)
        references.check(schema.get("$ref"), (*path, "$ref"), self._root, self._types, self._report)
        if schema.get("$schema", DIALECT) not in (DIALECT, DIALECT + "#", OF_BENTOD):
            at = (*path, "$schema")
            self._report.at_value(at, "invalid-schema", "schemas are read as JSON Schema 2020-12", "remove it")
        for _, below, item in inner(schema):
            self.at(item, (*path, *below))


def rebased_folders(data: dict[str, Any], project: Project) -> None:
    """Make every `within` in the schemas of `data` relative to the project, wherever it is written."""
    apis = data.get("apis")
    for name, api in apis.items() if isinstance(apis, dict) else ():
        for key in ("input", "output") if isinstance(api, dict) else ():
            _rebase(api.get(key), ("apis", name, key), project)
    types = data.get("types")
    for name, schema in types.items() if isinstance(types, dict) else ():
        _rebase(schema, ("types", name), project)


def _rebase(schema: Any, path: Path, project: Project) -> None:
    if not isinstance(schema, dict):
        return
    folders = schema.get("within")
    if is_special(schema) and isinstance(folders, list):
        schema["within"] = [
            project.relative(folder, (*path, "within", index)) if isinstance(folder, str) and folder else folder
            for index, folder in enumerate(folders)
        ]
    for _, below, item in inner(schema):
        _rebase(item, (*path, *below), project)
