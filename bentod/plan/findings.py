"""What a comparison of two schemas finds, in words that tell before from after, whichever way it was made."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from bentod.plan.values import MISSING

Path = tuple[str | int, ...]
_LONGEST = 40
_MOST = 3


@dataclass(frozen=True, slots=True)
class Finding:
    """One place at which values that are right on one side may be wrong on the other."""

    path: Path
    message: str


@dataclass(frozen=True, slots=True)
class Words:
    """Says what differs. `outer_is_new`: it was asked whether the new schema takes all that the old one does; else the
    other way round."""

    outer_is_new: bool

    def changed(self, keyword: str, inner: Any, outer: Any) -> str:
        """A keyword has another value, or is there on one side only."""
        before, after = (inner, outer) if self.outer_is_new else (outer, inner)
        if before is MISSING:
            return f"`{keyword}` is new: {shown(after)}"
        if after is MISSING:
            return f"`{keyword}` is gone, which was {shown(before)}"
        return f"`{keyword}` was {shown(before)}, is {shown(after)}"

    def types(self, gone: Iterable[str]) -> str:
        """Kinds of values that the outer schema does not take."""
        named = ", ".join(f"`{name}`" for name in sorted({"number" if one == "fraction" else one for one in gone}))
        return f"{named} {'is not allowed any more' if self.outer_is_new else 'may come as well'}"

    def values(self, keyword: str, gone: list[Any]) -> str:
        """Values that the outer schema does not list."""
        named = ", ".join(shown(value) for value in gone[:_MOST]) + (", …" if len(gone) > _MOST else "")
        return f"`{keyword}` {'no longer has' if self.outer_is_new else 'has besides'} {named}"

    def required(self, name: str) -> str:
        """A property that the outer schema wants."""
        return f"`{_cut(name)}` is {'required now' if self.outer_is_new else 'no longer required'}"

    def nothing(self) -> str:
        """A place at which the outer schema takes nothing."""
        return "is not allowed any more" if self.outer_is_new else "is allowed now, which nothing was"

    def unproved(self, keyword: str) -> str:
        """A keyword that is too complex to judge."""
        return f"`{keyword}` differs, and it cannot be proved that everything that was right stays right"


def shown(value: Any) -> str:
    """A part of a schema, short."""
    if isinstance(value, dict):
        return "another schema"
    try:
        return _cut(json.dumps(value, ensure_ascii=False, default=str))
    except RecursionError:
        return "a deep value"


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
