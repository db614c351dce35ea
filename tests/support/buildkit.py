"""What BuildKit says, as an engine sends it: protobuf and JSON made by hand."""

from __future__ import annotations

import base64
import json
from typing import Any


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def field(number: int, value: int | bytes | str) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def time(seconds: float) -> bytes:
    return field(1, int(seconds)) + field(2, int(seconds % 1 * 1e9))


def vertex(
    digest: str, name: str, *, started: float = 0, completed: float = 0, cached: bool = False, error: str = ""
) -> bytes:
    parts = field(1, digest) + field(2, "sha256:input") + field(3, name)
    parts += field(4, 1) if cached else b""
    parts += field(5, time(started)) if started else b""
    parts += field(6, time(completed)) if completed else b""
    return field(1, parts + (field(7, error) if error else b""))


def printed(digest: str, data: bytes) -> bytes:
    return field(3, field(1, digest) + field(2, time(1)) + field(3, 1) + field(4, data))


def transfer(digest: str, name: str, current: int, total: int) -> bytes:
    return field(2, field(1, name) + field(2, digest) + field(4, current) + field(5, total))


def traced(*parts: bytes) -> bytes:
    """A line of the engine's answer that holds a message of BuildKit's."""
    return line(id="moby.buildkit.trace", aux=base64.b64encode(b"".join(parts)).decode())


def line(**message: Any) -> bytes:
    return json.dumps(message).encode() + b"\r\n"
