"""What BuildKit tells of a build, in the messages that Docker's engine passes on: protobuf, as much as is needed.

`moby.buildkit.v1.StatusResponse` has vertexes (1), statuses (2), logs (3) and warnings (4). Nothing of it is trusted:
what is cut off or no protobuf at all raises Garbled, what is unknown is passed over.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_LONGEST_VARINT = 10


class Garbled(ValueError):
    """Bytes that are no such message."""


@dataclass(frozen=True, slots=True)
class Vertex:
    """One step: what it is called, and how far it is. Times are seconds since 1970, 0.0 for not yet."""

    digest: str
    name: str
    cached: bool = False
    started_s: float = 0.0
    completed_s: float = 0.0
    error: str = ""


@dataclass(frozen=True, slots=True)
class Transfer:
    """How far a part of a step is, such as a layer that is pulled."""

    vertex: str
    name: str
    current: int
    total: int
    completed: bool


@dataclass(frozen=True, slots=True)
class Output:
    """What a step printed; it may begin or end within a line."""

    vertex: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Status:
    """One message."""

    vertexes: tuple[Vertex, ...] = ()
    transfers: tuple[Transfer, ...] = ()
    outputs: tuple[Output, ...] = ()
    warnings: tuple[str, ...] = ()


def status(data: bytes) -> Status:
    """The message that these bytes are. Raises Garbled."""
    parts: dict[int, list[bytes]] = {}
    for number, value in _fields(data):
        if isinstance(value, bytes):
            parts.setdefault(number, []).append(value)
    return Status(
        tuple(map(_vertex, parts.get(1, ()))),
        tuple(map(_transfer, parts.get(2, ()))),
        tuple(map(_output, parts.get(3, ()))),
        tuple(_text(_last(part), 3) for part in parts.get(4, ())),
    )


Fields = dict[int, int | bytes]


def _vertex(data: bytes) -> Vertex:
    last = _last(data)
    started_s, completed_s = _time_s(last, 5), _time_s(last, 6)
    return Vertex(_text(last, 1), _text(last, 3), bool(last.get(4)), started_s, completed_s, _text(last, 7))


def _transfer(data: bytes) -> Transfer:
    last = _last(data)
    return Transfer(_text(last, 2), _text(last, 1), _count(last, 4), _count(last, 5), 8 in last)


def _output(data: bytes) -> Output:
    last = _last(data)
    printed = last.get(4, b"")
    return Output(_text(last, 1), printed if isinstance(printed, bytes) else b"")


def _last(data: bytes) -> Fields:
    """A message's fields; of one that comes more than once the last."""
    return dict(_fields(data))


def _text(fields: Fields, number: int) -> str:
    value = fields.get(number, b"")
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else ""


def _count(fields: Fields, number: int) -> int:
    value = fields.get(number, 0)
    return value if isinstance(value, int) and value < 1 << 63 else 0


def _time_s(fields: Fields, number: int) -> float:
    value = fields.get(number)
    if not isinstance(value, bytes):
        return 0.0
    parts = _last(value)
    return _count(parts, 1) + _count(parts, 2) / 1e9


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, kind = key >> 3, key & 7
        value: int | bytes
        if kind == _VARINT:
            value, at = _varint(data, at)
        else:
            length, at = _length(kind, data, at)
            if length > len(data) - at:
                raise Garbled("a message is cut off")
            value, at = data[at : at + length], at + length
        yield number, value


def _length(kind: int, data: bytes, at: int) -> tuple[int, int]:
    if kind == _BYTES:
        return _varint(data, at)
    if kind in {_FIXED32, _FIXED64}:
        return (4 if kind == _FIXED32 else 8), at
    raise Garbled(f"there is no wire type {kind}")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for place in range(_LONGEST_VARINT):
        if at + place >= len(data):
            raise Garbled("a number is cut off")
        byte = data[at + place]
        value |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return value, at + place + 1
    raise Garbled("a number is too long")
