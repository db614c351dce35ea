"""Strict JSON (RFC 8259 with the limits of I-JSON, RFC 7493, where they matter): bytes ⇄ values.

orjson does the work; what it lets pass is checked here: nesting, duplicate names, and NaN on the way out.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

import orjson

from bentod.errors import MalformedBody, OutputUnserializable

MAX_DEPTH = 64
"""Arrays and objects inside each other that a body may have."""

_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_PLAIN_STRING = re.compile(rb'"[^"]*+"')
_NEITHER = bytes(set(range(256)) - set(b'[]{}"'))  # neither a bracket nor a quote
_AS_LISTS = bytes.maketrans(b"{}", b"[]")
_OPTIONS = orjson.OPT_PASSTHROUGH_DATACLASS  # no value has dataclasses in it; a part that does not belong there is none


def decode(body: bytes | bytearray) -> Any:
    """The value of a JSON text.

    Raises MalformedBody for anything but one UTF-8 JSON value without NaN or Infinity, at most 64 levels deep, without
    a duplicate name at the top level.
    """
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise MalformedBody(_where(body, error)) from None
    if (type(value) is list or type(value) is dict) and _too_deep(body):
        raise MalformedBody(f"the body is nested more than {MAX_DEPTH} levels deep")
    if type(value) is dict and body.count(b":") != len(value):
        _check_names(body)
    return value


def _where(body: bytes | bytearray, error: orjson.JSONDecodeError) -> str:
    if not body.strip():
        return "the body is empty; a JSON value is needed"
    try:
        body.decode("utf-8")
    except UnicodeDecodeError as wrong:
        return f"the body is not UTF-8: byte {wrong.start} is wrong"
    return f"the body is not JSON: {error.msg} (line {error.lineno}, column {error.colno})"


def _too_deep(body: bytes | bytearray) -> bool:
    """Whether a valid JSON text is nested too deeply: whether 64 times taking away the innermost pairs leaves any."""
    brackets = body.translate(_AS_LISTS, _NEITHER)
    if len(brackets) <= MAX_DEPTH:
        return False
    if b"\\" in body:
        brackets = _STRING.sub(b"", body).translate(_AS_LISTS, _NEITHER)
    elif b'"' in brackets:
        brackets = _PLAIN_STRING.sub(b"", brackets)
    for left in range(MAX_DEPTH, 0, -1):
        if len(brackets) // 2 - brackets.count(b"[]") < left:  # so few have anything inside
            return False
        brackets = brackets.replace(b"[]", b"")
    return bool(brackets)


def booleans(body: bytes | bytearray) -> bool:
    """Whether there may be a true or a false in a valid JSON text."""
    return _holds(body, b"true", b"t") or _holds(body, b"false", b"s")


def _holds(body: bytes | bytearray, word: bytes, letter: bytes) -> bool:
    """Whether a word is in a text. One letter is looked for much faster, and numbers have none of them."""
    return letter in body and word in body


def _check_names(body: bytes | bytearray) -> None:
    """Refuse duplicate names at the top level. Only for bodies with more colons than top-level names."""
    last: list[tuple[str, Any]] = []

    def keep(pairs: list[tuple[str, Any]]) -> None:
        last[:] = pairs  # the outermost object is completed last

    json.loads(body, object_pairs_hook=keep)
    seen: set[str] = set()
    for name, _ in last:
        if name in seen:
            raise MalformedBody(f"the name {name!r} occurs twice")
        seen.add(name)


def encode(value: Any, *, arrays: bool = False) -> bytes:
    """`value` as JSON, with finite NumPy arrays in it if `arrays`.

    Raises OutputUnserializable for what JSON cannot hold, NaN and Infinity included.
    """
    try:
        body = orjson.dumps(value, option=_OPTIONS | orjson.OPT_SERIALIZE_NUMPY if arrays else _OPTIONS)
    except (TypeError, ValueError, RecursionError) as error:
        raise OutputUnserializable(str(error)) from None
    if _holds(body, b"null", b"u") and _not_finite(value):  # orjson writes NaN and Infinity as null
        raise OutputUnserializable("NaN and Infinity have no form in JSON")
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
