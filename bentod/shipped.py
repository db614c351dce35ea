"""Where the files that come with bentod lie, in a wheel or a checkout: `schemas`, `specs`, `recipes`, `constraints`."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).parent


def shipped(name: str) -> Path:
    """The path of a shipped file or folder, such as `schemas/bentofile.schema.json`."""
    inside = _PACKAGE / "_data" / name
    return inside if inside.exists() else _PACKAGE.parent / name
