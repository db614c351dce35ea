"""Values as YAML scalars, each of which is read back as itself by every version of YAML."""

from __future__ import annotations

import math
import re
from json.encoder import encode_basestring

from bentod.render.recipes import Unwritable, Written

_UNPRINTABLE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
"""What JSON writes as it is, and YAML does not take, or takes for the end of a line."""
_SURROGATE = re.compile("[\ud800-\udfff]")
_NOT_IN_BLOCKS = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")


def quoted(text: str) -> Written:
    """A string in double quotes, on one line: JSON's form, which is YAML's too. Never a number, a date or `yes`."""
    if found := _SURROGATE.search(text):
        raise Unwritable(f"this is no text, it has half of a character at position {found.start()}: {text[:40]!r}")
    return Written(_UNPRINTABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", encode_basestring(text)))


def whole(number: float) -> Written:
    """A number, rounded up."""
    return Written(str(math.ceil(number)))


def block(text: str) -> Written:
    """A text of many lines below a key that is indented by two: as people wrote it where YAML can say that."""
    lines = text.split("\n")
    if len(lines) < 2 or lines[-1] or not lines[-2] or lines[0][:1] in ("", " ") or _NOT_IN_BLOCKS.search(text):
        return quoted(text)
    quoted(text)  # the same refusal
    return Written("|\n" + "\n".join(f"    {line}" if line else "" for line in lines[:-1]))


def seconds(duration_s: float) -> Written:
    """A duration in whole seconds, rounded up, as Go has them."""
    return Written(f"{math.ceil(duration_s)}s")


def truth(value: bool) -> Written:
    """True or false."""
    return Written("true" if value else "false")
