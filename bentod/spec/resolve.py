"""Environment files, `x-` keys and interpolation: what was written → what it means."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from bentod.spec.explain import drop, section_at
from bentod.spec.found import FromEnvironment
from bentod.spec.interpolate import InterpolationError, Scope, each_string, interpolate
from bentod.spec.node import Node, value_place
from bentod.spec.node import Path as Route
from bentod.spec.report import Report

_NAMED = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)")
_VERBATIM: tuple[Route, ...] = (
    ("types",),
    ("apis", "*", "input"),
    ("apis", "*", "output"),
    ("apis", "*", "examples"),
)
"""Where a dollar is a dollar: JSON Schemas and the values that they describe."""

_MAPS_OF_NAMES: tuple[Route, ...] = (
    ("labels",), ("env",), ("types",), ("models",), ("services",), ("apis",), ("build", "env"), ("build", "labels"),
    ("services", "*", "env"), ("services", "*", "init"), ("apis", "*", "errors"),
)  # fmt: skip


def without_extensions(value: Any, path: Route = ()) -> Any:
    """`value` without `x-…` keys, everywhere but inside the user's own data: schemas, examples, `init` values."""
    if isinstance(value, list):
        return [without_extensions(item, (*path, index)) for index, item in enumerate(value)]
    if not isinstance(value, dict):
        return value
    if section_at(path) is None and not any(_fits(path, pattern) for pattern in _MAPS_OF_NAMES):
        return value
    return {key: without_extensions(item, (*path, key)) for key, item in value.items() if not key.startswith("x-")}


def verbatim(path: Route) -> bool:
    """Whether a dollar is a dollar at `path`."""
    return any(_fits(path[: len(pattern)], pattern) for pattern in _VERBATIM)


def _fits(path: Route, pattern: Route) -> bool:
    return len(path) == len(pattern) and all(want in ("*", part) for want, part in zip(pattern, path, strict=True))


def env_files(
    data: dict[str, Any], root: Node, directory: Path, environ: Mapping[str, str], report: Report
) -> tuple[dict[str, str], tuple[Path, ...]]:
    """The variables of the `env_files`, later files over earlier ones, and these files; each path is relative to the
    file that names it."""
    values: dict[str, str] = {}
    files: list[Path] = []
    listed = data.get("env_files")
    for index, name in enumerate(listed if isinstance(listed, list) else []):
        path: Route = ("env_files", index)
        if not isinstance(name, str):
            continue
        try:
            text = interpolate(name, Scope(environ, {"spec.dir": str(directory)}))
        except InterpolationError:
            continue  # reported with all the others
        file = Path(value_place(root, path).file).parent / text
        files.append(file)
        if not file.is_file():
            shown = "the file" if isinstance(text, FromEnvironment) else f"`{text}`"
            report.at_value(path, "missing-file", f"{shown} does not exist or is not a file")
            continue
        # dotenv is needed by few specs and takes its time to import.
        from bentod.spec import envfile

        found, problems = envfile.read(file, {**values, **environ})
        values.update(found)
        for problem in problems:
            report.at_file(problem)
    return values, tuple(files)


def interpolated(data: dict[str, Any], variables: Mapping[str, str], directory: Path, report: Report) -> dict[str, Any]:
    """`data` with every reference replaced; what cannot be is reported and left out."""
    references = {"spec.dir": str(directory)}
    models = data["models"].keys() if isinstance(data.get("models"), dict) else ()
    failed: list[Route] = []

    def visit(text: str, path: Route) -> str:
        if "$" not in text or verbatim(path):
            return text
        for name in _NAMED.findall(text):
            report.hide(variables.get(name, ""))
        try:
            return interpolate(text, _scope(path, variables, references, models))
        except InterpolationError as error:
            report.at_value(path, error.code, error.message, error.hint)
            failed.append(path)
            return text

    name = data.get("name")
    if isinstance(name, str):
        references["spec.name"] = name if "$" not in name else _quietly(name, variables, references)
    result: dict[str, Any] = each_string(data, (), visit)
    for path in failed:
        drop(result, path)
    return result


def _quietly(name: str, variables: Mapping[str, str], references: Mapping[str, str]) -> str:
    try:
        return interpolate(name, Scope(variables, references))
    except InterpolationError:
        return "unnamed"


def _scope(path: Route, variables: Mapping[str, str], references: Mapping[str, str], models: Collection[str]) -> Scope:
    inside = len(path) > 2 and path[0] == "services"
    known = {key: value for key, value in references.items() if key != "spec.name" or path != ("name",)}
    if inside:
        known["service.name"] = str(path[1])
    worker = inside and path[2] in ("env", "init")
    return Scope(variables, known, worker, models if worker or path[:1] == ("env",) else None)


def absolute(path: Path) -> Path:
    """`path` from the current folder, without resolving links."""
    return Path(os.path.abspath(path))  # noqa: PTH100 - Path.resolve would follow links
