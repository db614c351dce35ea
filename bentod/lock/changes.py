"""What a new lock file says otherwise than the old one, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

from bentod.lock.file import LockFile
from bentod.lock.locked import Locked

_SHORT = 19


def changes(old: LockFile, new: LockFile) -> list[str]:
    """One line for each key that changed."""
    return [
        *_keys("apis", _schemas(old), _schemas(new)),
        *(
            line
            for name in sorted({*old.models, *new.models})
            for line in _keys(f"models.{name}", _values(old.models.get(name)), _values(new.models.get(name)))
        ),
        *_keys("python", _values(old.python), _values(new.python)),
        *_keys("image", _values(old.image), _values(new.image)),
    ]


def package_changes(old: Locked, new: Locked) -> list[str]:
    """One line for each package that changed."""
    before, after = _versions(old), _versions(new)
    return [
        f"{name} {before.get(name, 'nothing')} → {after.get(name, 'nothing')}"
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    ]


def _versions(locked: Locked) -> dict[str, str]:
    found: dict[str, set[str]] = {}
    for package in locked.packages:
        found.setdefault(package.name, set()).add(package.version or package.url)
    return {name: ", ".join(sorted(versions)) for name, versions in found.items()}


def _schemas(lock: LockFile) -> dict[str, Any]:
    return dict(lock.apis.schemas) if lock.apis is not None else {}


def _values(part: Any) -> dict[str, Any]:
    return {one.name: getattr(part, one.name) for one in fields(part)} if part is not None else {}


def _keys(path: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    for key in dict.fromkeys([*old, *new]):
        if (before := old.get(key) or "") != (after := new.get(key) or ""):
            yield f"{path}.{key}: {_shown(before)} → {_shown(after)}"


def _shown(value: Any) -> str:
    text = ", ".join(value) if isinstance(value, tuple) else str(value)
    return (text[:_SHORT] + "…" if text.startswith("sha256:") else text) or "nothing"
