"""Values in a few words, however large they are, for those who look for what differs."""

from __future__ import annotations

import json
from itertools import islice
from typing import Any, NamedTuple

WIDEST = 120
NOTHING = "nothing"
_BEFORE = 24
_MOST_PIECES = 400


class Unlike(NamedTuple):
    """Two values that should be the same: what was expected, what came, and where below the value they differ."""

    expected: str
    got: str
    note: str = ""
    path: tuple[int | str, ...] = ()


def shown(value: Any) -> str:
    """A value as JSON; of a long one its begin and its end."""
    if isinstance(value, str):
        return cut(json.dumps(cut(value, 4 * WIDEST), ensure_ascii=False))
    if isinstance(value, bytes | bytearray | memoryview):
        return f"{len(value):,} bytes"
    try:
        pieces = [*islice(json.JSONEncoder(ensure_ascii=False, default=_named).iterencode(value), _MOST_PIECES + 1)]
    except (ValueError, TypeError):
        return _named(value)
    text = "".join(pieces[:_MOST_PIECES])
    return cut(text) if len(pieces) <= _MOST_PIECES else text[: WIDEST - 1] + "…"


def cut(text: str, widest: int = WIDEST) -> str:
    """A long text without its middle."""
    if len(text) <= widest:
        return text
    end = widest // 3
    return f"{text[: widest - end - 1]}…{text[-end:]}"


def texts(expected: str, got: str) -> Unlike:
    """Two texts; of long ones what is around the first difference."""
    if max(len(expected), len(got)) <= WIDEST // 2:
        return Unlike(shown(expected), shown(got))
    at = first_difference(expected, got)
    note = f"from character {at + 1:,} on; {len(expected):,} characters expected, and there are {len(got):,}"
    return Unlike(_around(expected, at), _around(got, at), note)


def _around(text: str, at: int) -> str:
    start, end = max(0, at - _BEFORE), at + WIDEST // 2
    inside = json.dumps(text[start:end], ensure_ascii=False)
    return f"{'…' if start else ''}{inside}{'…' if end < len(text) else ''}"


def first_difference(one: Any, other: Any) -> int:
    """The first index at which two texts, or two bytes, differ; a shorter one differs from its end on."""
    shortest = min(len(one), len(other))
    start, end = 0, shortest
    if one[:shortest] == other[:shortest]:
        return shortest
    while end - start > 1:
        middle = (start + end) // 2
        if one[start:middle] == other[start:middle]:
            start = middle
        else:
            end = middle
    return start


def _named(value: Any) -> str:
    return f"a value of type {type(value).__name__}"
