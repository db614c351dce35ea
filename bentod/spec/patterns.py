"""Patterns as in a .gitignore."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pathspec import GitIgnoreSpec

from bentod.errors import BentodError


class UnusablePattern(BentodError):
    """A pattern cannot be understood, or means too many files."""


def compiled(lines: Sequence[str]) -> GitIgnoreSpec:
    """The patterns as one. Raises UnusablePattern, which names the line."""
    for line in lines:
        if "[[" in line:
            raise UnusablePattern(f"`{line}`: sets of characters by name or within each other are not supported")
        try:
            GitIgnoreSpec.from_lines([line])
        except (ValueError, re.error) as error:
            raise UnusablePattern(f"`{line}` is no pattern as in a .gitignore: {error}") from None
    return GitIgnoreSpec.from_lines(lines)
