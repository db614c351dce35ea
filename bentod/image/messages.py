"""The stream of JSON messages with which Docker's engine answers: read piece by piece, and nothing of it trusted."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable, Iterator
from typing import Any

from bentod.image import trace
from bentod.image.order import BuildFailed

LONGEST = 16 * 1024 * 1024


class Broken(BuildFailed):
    """What came is no answer of an engine."""


def messages(pieces: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    """The messages, one on each line. Raises Broken."""
    waiting = bytearray()
    for piece in pieces:
        waiting += piece
        *lines, rest = waiting.split(b"\n")
        for line in lines:
            yield from _message(bytes(line))
        waiting = bytearray(rest)
        if len(waiting) > LONGEST:
            raise Broken("the engine sent a message that is too long")
    yield from _message(bytes(waiting))


def _message(line: bytes) -> Iterator[dict[str, Any]]:
    if not line.strip():
        return
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        raise Broken("the engine sent what is no JSON") from None
    if not isinstance(message, dict):
        raise Broken("the engine sent what is no message")
    yield message


def error(message: dict[str, Any]) -> str:
    """What went wrong, if the message says that something did."""
    detail = message.get("errorDetail")
    found = detail.get("message") if isinstance(detail, dict) else None
    return _text(found) or _text(message.get("error"))


def status(message: dict[str, Any]) -> trace.Status | None:
    """What BuildKit says in the message. Raises Broken."""
    if message.get("id") != "moby.buildkit.trace":
        return None
    try:
        return trace.status(base64.b64decode(_text(message.get("aux")), validate=True))
    except (binascii.Error, trace.Garbled, ValueError) as wrong:
        raise Broken(f"the engine's progress cannot be read: {wrong}") from None


def image_id(message: dict[str, Any]) -> str:
    """The id of the image, if the message says it."""
    aux = message.get("aux")
    return _text(aux.get("ID")) if isinstance(aux, dict) else ""


def line(message: dict[str, Any]) -> str:
    """What a message of a pull, a push or of the older builder says; "" for progress in numbers."""
    if stream := _text(message.get("stream")):
        return stream.rstrip("\n")
    said = _text(message.get("status"))
    if not said or "progress" in message:
        return ""
    return f"{_text(message.get('id'))}: {said}" if _text(message.get("id")) else said


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
