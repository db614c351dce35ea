"""What `pylock.toml` and `uv.lock` have in common: TOML with a list of packages."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from bentod.errors import Problem, SpecError
from bentod.lock.text import read_text

_MOST_BYTES = 32 * 1024 * 1024
_AT = re.compile(r"at line (\d+), column (\d+)")
_DEEP = re.compile(r"""(?<![\w.\-"'])(?:(?:[\w\-]+|"[^"\n]*"|'[^'\n]*')[ \t]*\.[ \t]*){64}""")
"""A dotted key that is nested too deeply. tomllib takes a time that grows with the square of its length."""


def document(path: Path) -> tuple[dict[str, Any], str]:
    """The TOML document and its text. Raises SpecError."""
    hint = "lock anew"
    text = read_text(path, _MOST_BYTES, hint)
    if text is None:
        raise SpecError([Problem("missing-file", "the lock file does not exist", str(path), hint=hint)])
    if _DEEP.search(text):
        raise SpecError([Problem("syntax", "a key is nested too deeply", str(path), 1, 1, hint=hint)])
    try:
        return tomllib.loads(text), text
    except RecursionError:
        raise SpecError([Problem("syntax", "it is nested too deeply", str(path), 1, 1, hint=hint)]) from None
    except ValueError as error:
        said, at = str(error), _AT.search(str(error))
        line, column = (int(at[1]), int(at[2])) if at else (text.count("\n") + 1, 1)
        message = f"not valid TOML: {said.split(' (at ')[0]}"
        raise SpecError([Problem("syntax", message, str(path), line, column, hint=hint)]) from None


def package_lines(text: str, key: str, count: int) -> list[int]:
    """The lines on which the tables `[[key]]` begin; zeros if they are written in another way."""
    header = re.compile(rf"^[ \t]*\[\[[ \t]*{key}[ \t]*\]\]", re.MULTILINE)
    found: list[int] = []
    line, at = 1, 0
    for match in header.finditer(text):
        line += text.count("\n", at, match.start())
        at = match.start()
        found.append(line)
    return found if len(found) == count else [0] * count
