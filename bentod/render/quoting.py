"""Text for its place in a Dockerfile, meaning nothing but itself. What cannot be written is Unwritable.

Commands and paths are written as JSON, which no builder takes apart. The values of ENV, LABEL and ARG are words as a
shell has them; between single quotes all builders (BuildKit, the one before it, Buildah) and linters take all letters
as they are, but for a backslash, on which they do not agree. So it stands outside, as `\\`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from bentod.render.recipes import Unwritable

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
"""What ends a line somewhere, or is half of a character."""
_BARE = re.compile(r"[A-Za-z0-9_.,:/@%+-]+")
_PATH = re.compile(r"[A-Za-z0-9_/.][A-Za-z0-9_./+@-]*")


def quoted(text: str) -> str:
    """`text` as one word of ENV, LABEL or ARG that means itself. Raises Unwritable."""
    return text if _BARE.fullmatch(text) else in_quotes(text)


def in_quotes(text: str) -> str:
    """Pieces between single quotes, and those letters that cannot stand there. The last letter is a quote, so that no
    line ends with a backslash."""
    parts = re.split(r"(['\\])", line(text))
    marks = {"'": '"\'"', "\\": "\\\\"}
    word = "".join(marks.get(part, f"'{part}'" if part else "") for part in parts)
    return word if word and not word.endswith("\\") else f"{word}''"


def line(text: str) -> str:
    """`text`, if it stays on its line and can be written at all."""
    if found := _CONTROL.search(text):
        what = f"the control character U+{ord(found[0]):04X} at place {found.start() + 1}"
        raise Unwritable(f"a Dockerfile cannot say a text of {len(text)} characters: it has {what}; remove it")
    return text


def like(pattern: re.Pattern[str], text: str, fault: str) -> str:
    """`text`, if it has the form."""
    if not pattern.fullmatch(text):
        raise Unwritable(f"{text!r} {fault}")
    return text


def path(text: str) -> str:
    """`text`, if it is a path of plain letters that stays in its folder."""
    found = like(
        _PATH, text, "is no path that a Dockerfile can name: it has other letters than A-Z a-z 0-9 _ . / + @ -"
    )
    if ".." in found.split("/"):
        raise Unwritable(f"{text!r} leads out of its folder")
    return found


def command(words: Sequence[str]) -> str:
    """A command as JSON: no builder gives it to a shell."""
    if not words or not words[0]:
        raise Unwritable("a command has no program")
    return _json([line(word) for word in words])


def paths(words: Sequence[str]) -> str:
    """Paths as JSON."""
    return _json([path(word) for word in words])


def _json(words: list[str]) -> str:
    """An array that has nothing in it which a builder could take for the beginning of a here-document."""
    return json.dumps(words, ensure_ascii=False).replace("<<", "<\\u003c")
