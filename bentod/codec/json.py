"""Strict JSON (RFC 8259 with the limits of I-JSON, RFC 7493, where they matter): bytes ⇄ values.

orjson does the work; what it lets pass is checked here: nesting, duplicate names, and NaN on the way out.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

import orjson

from bentod.errors import BodyTooLarge, MalformedBody, OutputUnserializable

MAX_DEPTH = 64
"""Arrays and objects inside each other that a body may have."""

MAX_CONTAINERS = 500_000
"""Arrays and objects that a body may have: a byte or two of it makes a hundred in memory."""

_STRING = re.compile(rb'"[^"]*+"')
_NO_STRUCTURE = bytes(set(range(256)) - set(b'[]{}":'))
_AS_LISTS = bytes.maketrans(b"{}", b"[]")
_INNERMOST = re.compile(rb"\[:*+\]")
_NAMED = 1024 * 1024  # so large is a body in which the name that occurs twice is searched
_OPTIONS = orjson.OPT_PASSTHROUGH_DATACLASS  # no value has dataclasses in it; a part that does not belong there is none


def decode(body: bytes | bytearray) -> Any:
    """The value of a JSON text.

    Raises MalformedBody for anything but one UTF-8 JSON value without NaN or Infinity, at most 64 levels deep, without
    a duplicate name at the top level; BodyTooLarge for more than 500,000 arrays and objects.
    """
    brackets = body.count(b"[") + body.count(b"{")
    if brackets > MAX_CONTAINERS and _structure(body).count(b"[") > MAX_CONTAINERS:
        raise BodyTooLarge(f"the body has more than {MAX_CONTAINERS} arrays and objects")
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise MalformedBody(_where(body, error)) from None
    named = type(value) is dict and body.count(b":") != len(value)
    if named or brackets > MAX_DEPTH:
        structure = _structure(body)
        if brackets > MAX_DEPTH and _too_deep(structure):
            raise MalformedBody(f"the body is nested more than {MAX_DEPTH} levels deep")
        if named and _names(structure) != len(value):
            twice = f"the name {_twice(body)!r}" if len(body) <= _NAMED else "a name"
            raise MalformedBody(f"{twice} occurs twice")
    return value


def _structure(body: bytes | bytearray) -> bytes | bytearray:
    """The brackets and colons of a JSON text, all brackets square, without those in strings."""
    if b"\\" in body:
        body = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    found = body.translate(_AS_LISTS, _NO_STRUCTURE)
    if b'"' not in found:
        return found
    return _STRING.sub(b"", found.replace(b'""', b""))  # strings with nothing in or between them, or two made one


def _where(body: bytes | bytearray, error: orjson.JSONDecodeError) -> str:
    if not body.strip():
        return "the body is empty; a JSON value is needed"
    try:
        body.decode("utf-8")
    except UnicodeDecodeError as wrong:
        return f"the body is not UTF-8: byte {wrong.start} is wrong"
    return f"the body is not JSON: {error.msg} (line {error.lineno}, column {error.colno})"


def _too_deep(structure: bytes | bytearray) -> bool:
    """Whether a JSON text is nested too deeply: whether 64 times taking away the innermost pairs leaves any."""
    brackets = structure.translate(None, b":")
    for left in range(MAX_DEPTH, 0, -1):
        if len(brackets) // 2 - brackets.count(b"[]") < left:  # so few have anything inside
            return False
        brackets = brackets.replace(b"[]", b"")
    return bool(brackets)


def _names(structure: bytes | bytearray) -> int:
    """How many names the outermost object of a JSON text has, in which duplicates count."""
    inside = structure[1:-1]
    while b"[" in inside:
        inside = _INNERMOST.sub(b"", inside)
    return len(inside)


def booleans(body: bytes | bytearray) -> bool:
    """Whether there may be a true or a false in a valid JSON text."""
    return _holds(body, b"true", b"t") or _holds(body, b"false", b"s")


def _holds(body: bytes | bytearray, word: bytes, letter: bytes) -> bool:
    """Whether a word is in a text. One letter is looked for much faster, and numbers have none of them."""
    return letter in body and word in body


def _twice(body: bytes | bytearray) -> str:
    """The first name that occurs twice at the top level."""
    last: list[tuple[str, Any]] = []

    def keep(pairs: list[tuple[str, Any]]) -> None:
        last[:] = pairs  # the outermost object is completed last

    json.loads(body, object_pairs_hook=keep)
    names = [name for name, _ in last]
    return next(name for at, name in enumerate(names) if name in names[:at])


def encode(value: Any, *, arrays: bool = False) -> bytes:
    """`value` as JSON, with finite NumPy arrays in it if `arrays`.

    Raises OutputUnserializable for what JSON cannot hold, NaN and Infinity included.
    """
    try:
        body = orjson.dumps(value, option=_OPTIONS | orjson.OPT_SERIALIZE_NUMPY if arrays else _OPTIONS)
    except (TypeError, ValueError, RecursionError) as error:
        raise OutputUnserializable(str(error)) from None
    if b"u" in body and b"null" in body and _not_finite(value):  # orjson writes NaN and Infinity as null
        raise OutputUnserializable("NaN and Infinity have no form in JSON", not_finite=True)
    return body


def _not_finite(value: Any) -> bool:
    """Whether a NaN or an Infinity is anywhere in `value`."""
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, float):
            if not math.isfinite(item):
                return True
        elif isinstance(item, dict):
            stack.extend(item.values())
        elif isinstance(item, list | tuple):
            stack.extend(item)
    return False
