"""Strict JSON (RFC 8259 with the limits of I-JSON, RFC 7493, where they matter): bytes ⇄ values.

orjson does the work; what it lets pass is checked here: nesting, duplicate names, and NaN on the way out.
"""

from __future__ import annotations

import json
import math
import re
from itertools import accumulate
from typing import Any

import orjson

from bentod.errors import MalformedBody, OutputUnserializable

MAX_DEPTH = 64
"""Arrays and objects inside each other that a body may have."""

_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_STEPS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")  # as signed bytes: 1 and -1


def decode(body: bytes) -> Any:
    """The value of a JSON text.

    Raises MalformedBody for anything but one UTF-8 JSON value without NaN or Infinity, at most 64 levels deep, without
    a duplicate name at the top level.
    """
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise MalformedBody(_where(body, error)) from None
    if body.count(b"[") + body.count(b"{") > MAX_DEPTH and _too_deep(body):
        raise MalformedBody(f"the body is nested more than {MAX_DEPTH} levels deep")
    if type(value) is dict and body.count(b":") != len(value):
        _check_names(body)
    return value


def _where(body: bytes, error: orjson.JSONDecodeError) -> str:
    if not body.strip():
        return "the body is empty; a JSON value is needed"
    try:
        body.decode("utf-8")
    except UnicodeDecodeError as wrong:
        return f"the body is not UTF-8: byte {wrong.start} is wrong"
    return f"the body is not JSON: {error.msg} (line {error.lineno}, column {error.colno})"


def _too_deep(body: bytes) -> bool:
    """Whether a valid JSON text is nested too deeply: outside of strings, a bracket is a step in or out."""
    steps = _STRING.sub(b"", body).translate(_STEPS, _NOT_BRACKETS)
    return max(accumulate(memoryview(steps).cast("b")), default=0) > MAX_DEPTH


def _check_names(body: bytes) -> None:
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


def encode(value: Any) -> bytes:
    """`value` as JSON. Raises OutputUnserializable for what JSON cannot hold, NaN and Infinity included."""
    try:
        body = orjson.dumps(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise OutputUnserializable(str(error)) from None
    if b"null" in body and _not_finite(value):  # orjson writes NaN and Infinity as null
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
