"""What the format defines and this version does not serve: found, reported and taken out."""

from __future__ import annotations

from typing import Any

from bentod.spec.explain import drop
from bentod.spec.node import Path
from bentod.spec.report import Report

KEYS: tuple[Path, ...] = tuple(("server", key) for key in ("cors", "tls", "auth", "rate_limit"))
MESSAGE = "not supported by this version"


def take_out(data: dict[str, Any], report: Report) -> None:
    """Report and remove every key of `data` that this version does not serve."""
    for pattern in KEYS:
        for path, _ in _matches(data, pattern, ()):
            report.at_key(path, "not-supported", f"`{path[-1]}` is {MESSAGE}", "remove it")
            drop(data, path)


def _matches(value: Any, pattern: Path, path: Path) -> list[tuple[Path, Any]]:
    """Every path of `value` that the pattern matches, with what is there."""
    if not pattern:
        return [(path, value)]
    if not isinstance(value, dict):
        return []
    keys = list(value) if pattern[0] == "*" else [pattern[0]] if pattern[0] in value else []
    return [found for key in keys for found in _matches(value[key], pattern[1:], (*path, key))]
