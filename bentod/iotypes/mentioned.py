"""Which types of the spec a schema uses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_TYPES = "#/types/"


def mentioned(schema: Any, types: Mapping[str, Any]) -> dict[str, Any]:
    """The types that a schema uses, or may use, directly or through others."""
    found: dict[str, Any] = {}
    left = [schema]
    while left:
        one = left.pop()
        if isinstance(one, dict):
            left += one.values()
        elif isinstance(one, list | tuple):
            left += one
        elif isinstance(one, str) and one.startswith(_TYPES):
            name = one.removeprefix(_TYPES).partition("/")[0]
            if name in types and name not in found:
                found[name] = types[name]
                left.append(types[name])
    return found
