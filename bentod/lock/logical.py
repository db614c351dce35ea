"""The lines of a requirements file as pip joins them: without comments, and each with its hashes apart."""

from __future__ import annotations

import re
from dataclasses import dataclass

from bentod.errors import Problem
from bentod.lock.one import Refused
from bentod.lock.options import refused

LENGTHS = {"sha256": 64, "sha384": 96, "sha512": 128}
"""The kinds of hashes that pip trusts, and how many digits they have."""

_COMMENT = re.compile(r"(^|\s)#.*$")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")
_OPTIONS = re.compile(r"\s+(?=-)")
_HASH = re.compile(r"--hash(?:=|\s+)([a-z0-9]+):([0-9a-fA-F]+)(?:\s+|$)")


@dataclass(frozen=True, slots=True)
class Logical:
    """A line that says something; `number` is that of its first line in the file."""

    text: str
    number: int


def logical_lines(text: str, file: str) -> tuple[list[Logical], list[Problem]]:
    """The lines of a requirements file, joined where a line ends with a backslash, and what is wrong with them."""
    found: list[Logical] = []
    problems: list[Problem] = []
    open_, start = "", 0
    for number, line in enumerate(text.split("\n"), 1):
        start = start or number
        comment = line.lstrip().startswith("#")
        if line.endswith("\\") and not comment:
            open_ += line[:-1]
            continue
        whole, number_of = open_ + (" " if comment else "") + line, start
        open_, start = "", 0
        said = _COMMENT.sub("", whole).strip()
        if message := _wrong(said):
            problems.append(Problem("wrong-value", message, file, number_of, 1, hint="write plain ASCII"))
        elif said:
            found.append(Logical(said, number_of))
    if open_:
        problems.append(Problem("syntax", "the file ends within a line", file, start, 1, hint="remove the backslash"))
    return found, problems


def hashes_of(text: str) -> tuple[str, tuple[str, ...]]:
    """A requirement without its options, and its hashes, which are all the options that it may have. Raises Refused."""
    parts = _OPTIONS.split(text, maxsplit=1)
    return parts[0], hashes_in(parts[1]) if len(parts) > 1 else ()


def hashes_in(options: str) -> tuple[str, ...]:
    """The hashes in `--hash=sha256:… --hash=…`, sorted. Raises Refused if there is anything else."""
    found: set[str] = set()
    at = 0
    while at < len(options):
        match = _HASH.match(options, at)
        if match is None:
            raise refused(options[at:])
        found.add(checked_hash(match[1], match[2]))
        at = match.end()
    return tuple(sorted(found))


def checked_hash(algorithm: str, digits: str) -> str:
    """`sha256:…`. Raises Refused if pip would not trust it."""
    if algorithm not in LENGTHS:
        known = ", ".join(f"`{name}`" for name in LENGTHS)
        raise Refused("weak-hash", f"`{algorithm[:20]}` is no hash that pip trusts", f"use one of {known}")
    if len(digits) != LENGTHS[algorithm] or not re.fullmatch(r"[0-9a-fA-F]+", digits):
        raise Refused("wrong-value", f"a hash of `{algorithm}` has {LENGTHS[algorithm]} hexadecimal digits")
    return f"{algorithm}:{digits.lower()}"


def _wrong(said: str) -> str:
    if found := _CONTROL.search(said):
        return f"the control character U+{ord(found[0]):04X} is not allowed here"
    return "" if said.isascii() else f"{said[:60]!a} is not ASCII"
