"""JSON Pointers (RFC 6901): how a name is written as one part of one, and read again."""

from __future__ import annotations


def escaped(name: str | int) -> str:
    """A name, or an index, as a part of a pointer."""
    return str(name).replace("~", "~0").replace("/", "~1")


def unescaped(part: str) -> str:
    """The name that a part of a pointer is."""
    return part.replace("~1", "/").replace("~0", "~")
