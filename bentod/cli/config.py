"""`bentod config`: the spec as bentod reads it, after merging, defaults and interpolation."""

from __future__ import annotations

import argparse
import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from bentod.cli.options import add_files
from bentod.spec.load import Loaded, find, load
from bentod.spec.node import Path as Route
from bentod.spec.node import dotted

MASK = "********"

_SECRET = re.compile(
    r"token|passw(or)?d|passphrase|secret|credential|private|(^|[_-])(api)?key([_-]|$)|apikey", re.IGNORECASE
)
_OPEN = ("env", "init", "labels")
"""Maps whose keys the user chose: only there a name tells a secret."""


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of the verb."""
    add_files(parser)
    parser.add_argument("--origin", action="store_true", help="say where each value comes from")
    parser.add_argument("--format", choices=("yaml", "json"), default="yaml", help="the output's format (yaml)")
    parser.add_argument("--show-secrets", action="store_true", help="do not mask values whose names look secret")


def run(args: argparse.Namespace) -> int:
    """Print the resolved spec. Raises SpecError."""
    loaded = load(args.files or [find(Path())], os.environ)
    data = loaded.resolved if args.show_secrets else masked(loaded.resolved)
    print(render(data, loaded, args.format, origin=args.origin))
    return 0


def masked(value: Any, *, open_map: bool = False) -> Any:
    """`value` without what looks like a secret by its name."""
    if isinstance(value, list):
        return [masked(item, open_map=open_map) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: MASK
        if open_map and _SECRET.search(key) and isinstance(item, (str, int, float))
        else masked(item, open_map=open_map or key in _OPEN)
        for key, item in value.items()
    }


def render(data: Mapping[str, Any], loaded: Loaded, form: str, *, origin: bool) -> str:
    """`data` as YAML or JSON; with `origin`, each value with its place: a comment in YAML, a second map in JSON."""
    if form == "json":
        return json.dumps(
            {"spec": data, "origin": _origins(data, loaded)} if origin else data, indent=2, ensure_ascii=False
        )
    if not origin:
        return yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=100).rstrip()
    return "\n".join(_annotated(data, loaded))


def _origins(data: Mapping[str, Any], loaded: Loaded) -> dict[str, str]:
    return {dotted(path): _place(path, loaded) for path, _ in _leaves(data, ())}


def _annotated(data: Mapping[str, Any], loaded: Loaded) -> Iterator[str]:
    """One line per value: `apis.embed.timeout: 30s  # bentofile.yaml:12:5`."""
    for path, value in _leaves(data, ()):
        yield f"{dotted(path)}: {json.dumps(value, ensure_ascii=False)}  # {_place(path, loaded)}"


def _leaves(value: Any, path: Route) -> Iterator[tuple[Route, Any]]:
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from _leaves(item, (*path, key))
    elif isinstance(value, list) and value:
        for index, item in enumerate(value):
            yield from _leaves(item, (*path, index))
    else:
        yield path, value


def _place(path: Route, loaded: Loaded) -> str:
    while path and isinstance(path[-1], int) and dotted(path) not in loaded.origins:
        path = path[:-1]  # a list that was written as its one item
    place = loaded.origins.get(dotted(path))
    return f"{place.file}:{place.line}:{place.column}" if place else "default"
