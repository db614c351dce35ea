"""Tags of the store: `name`, `name:version`, `name:latest`, or a name with the beginning of a version."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from bentod.errors import Unknown
from bentod.models.home import ModelError

LATEST = "latest"
LONGEST = 63
_PART = re.compile(r"[a-z0-9](?:[-._a-z0-9]*[a-z0-9])?")
_SHOWN = 80
_RULE = "lower-case letters, digits, and between them `-`, `.` and `_` (but not `..`)"


class NoTag(ModelError, Unknown):
    """What was written cannot be the tag of any model."""


class Tag(NamedTuple):
    """A model of the store by its name and version; version "" is the latest one."""

    name: str
    version: str = ""

    def __str__(self) -> str:
        return f"{self.name}:{self.version}" if self.version else self.name


def parse(text: str) -> Tag:
    """The tag that was written, with or without `store://`; `name:latest` is `name`. Raises NoTag."""
    name, colon, version = text.removeprefix("store://").partition(":")
    reason = why_not(name) or (why_not(version) if colon else "")
    if reason:
        raise NoTag(f"{_shown(text)} is no tag of a model: {reason}. A tag is `name` or `name:version`")
    return Tag(name, "" if version == LATEST else version)


def why_not(part: str) -> str:
    """Why `part` can be neither a name nor a version; "" if it can."""
    if not part:
        return "a part of it is empty"
    if len(part) > LONGEST:
        return f"a part of it is longer than {LONGEST} characters"
    return "" if _PART.fullmatch(part) and ".." not in part else f"{_shown(part)} may only have {_RULE}"


def matching(prefix: str, versions: Iterable[str]) -> list[str]:
    """The versions that `prefix` may mean: itself if it is there, otherwise those that begin with it, sorted."""
    versions = sorted(versions)
    return [prefix] if prefix in versions else [version for version in versions if version.startswith(prefix)]


def _shown(text: str) -> str:
    """The text for a message, escaped, and not all of it if it is long."""
    return ascii(text if len(text) <= _SHOWN else text[:_SHOWN] + "…")
