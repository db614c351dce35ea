"""How a value that was found in a spec is named in a message, and what its author may have meant."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable
from typing import Any

_KINDS = {
    dict: "a map",
    list: "a list",
    str: "a string",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
}
_LONGEST = 60


class Interpolated(str):
    """A string that interpolation made; where the format wants a number, it is read as one."""

    __slots__ = ()


class FromEnvironment(Interpolated):
    """A string that holds a value of the environment: maybe a secret, so no message shows it."""

    __slots__ = ()


def kind(value: Any) -> str:
    """The kind of `value`: `a map`, `a string`, …"""
    return "nothing" if value is None else _KINDS.get(type(value), "a string")


_CREDENTIALS = re.compile(r"://[^/@\s]*@")


def shown(value: Any) -> str:
    """`value` as a message may show it: short, on one line, without a URL's password, and never what came from the
    environment."""
    if isinstance(value, FromEnvironment):
        return "a value from the environment"
    if isinstance(value, (dict, list)) or value is None:
        return kind(value)
    text = _CREDENTIALS.sub("://***@", json.dumps(value, ensure_ascii=False))
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def plain(value: Any) -> Any:
    """`value` with ordinary strings for those that came from the environment."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return str(value) if isinstance(value, str) else value


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """A hint that names the choice closest to `word`, or all of them if they are few."""
    known = sorted(choices)
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    if close:
        return f"did you mean `{close[0]}`?"
    return "one of " + ", ".join(f"`{name}`" for name in known) if 0 < len(known) <= 20 else ""
