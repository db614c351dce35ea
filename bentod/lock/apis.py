"""What clients have to know of the APIs, as digests: a change of these is one that clients may notice."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from bentod.lock.file import LockedApis
from bentod.spec.model import Api, Spec

_TYPES = "#/types/"


def api_digests(spec: Spec) -> LockedApis:
    """The digest of each API: its route, input, output and stream, with the types that they use; and that of all."""
    said = {name: _said(api, spec) for name, api in spec.apis.items()}
    return LockedApis(_digest(said), {name: _digest(one) for name, one in said.items()})


def _said(api: Api, spec: Spec) -> dict[str, Any]:
    return {
        "route": spec.server.path_prefix + api.route,
        "input": api.input,
        "output": api.output,
        "stream": api.stream or "",
        "types": _used([api.input, api.output], spec.types),
    }


def _used(schemas: list[Any], types: Mapping[str, Any]) -> dict[str, Any]:
    """The types that the schemas refer to, and those that these refer to."""
    found: dict[str, Any] = {}
    waiting = list(schemas)
    while waiting:
        for name in _named(waiting.pop()):
            if name in types and name not in found:
                found[name] = types[name]
                waiting.append(types[name])
    return found


def _named(value: Any) -> Iterator[str]:
    """The names of the types that stand in a schema."""
    if isinstance(value, dict):
        reference = value.get("$ref")
        if isinstance(reference, str) and reference.startswith(_TYPES):
            yield reference.removeprefix(_TYPES).partition("/")[0]
        for item in value.values():
            yield from _named(item)
    elif isinstance(value, list):
        for item in value:
            yield from _named(item)


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()
