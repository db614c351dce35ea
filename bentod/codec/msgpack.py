"""Strict public MessagePack: bytes ⇄ values. Tensors are the extension 1, all other parts are bytes.

The extension's payload is the MessagePack of `[dtype, [dimensions]]` and, directly after it, the data: little-endian,
in C order.
"""

from __future__ import annotations

import math
import re
import struct
from itertools import chain
from typing import Any

import msgpack

from bentod.codec import outbound
from bentod.codec.json import MAX_CONTAINERS, MAX_DEPTH
from bentod.codec.places import MOST_PLACES
from bentod.errors import BodyTooLarge, MalformedBody, OutputUnserializable
from bentod.iotypes.layout import Layout
from bentod.iotypes.parts import Memory, Part, Tensor
from bentod.iotypes.tensor import MOST_DIMENSIONS, Misfit, from_memory

TENSOR = 1
_LONGEST_HEAD = 1024
_PLAIN = frozenset((dict, list, str, int, float, bool, type(None), bytes, Tensor))
_CONTAINERS = frozenset((dict, list))


def decode(body: Memory) -> Any:
    """The value of a body, with Tensor and bytes in it.

    Raises MalformedBody for anything but one MessagePack value of what JSON has, bytes and tensors, at most 64 levels
    deep, with text as names, none of them twice at the top level, and without NaN or Infinity outside of tensors;
    BodyTooLarge for too many tensors, lists and maps, or values.
    """
    try:
        root = _root_tensor(memoryview(body))
        if root is not None:
            return root
        _check_claims(body)
        value = msgpack.unpackb(body, ext_hook=_extension, strict_map_key=True)
    except msgpack.ExtraData:
        raise MalformedBody("the body goes on after its MessagePack value") from None
    except (ValueError, msgpack.UnpackException, TypeError, OverflowError) as error:
        raise MalformedBody(f"the body is not MessagePack: {_reason(error)}") from None
    _check(value)
    if type(value) is dict and len(value) != _entries(body):
        raise MalformedBody("a name occurs twice")
    return value


class _Wrong(ValueError):
    """What is wrong with a body in our own words."""


def _reason(error: Exception) -> str:
    """What is wrong with a body. The unpacker's own words are about its insides."""
    if isinstance(error, _Wrong | Misfit):
        return str(error)[:200]
    if isinstance(error, UnicodeDecodeError):
        return "a text in it is not UTF-8"
    if isinstance(error, msgpack.StackError):
        return f"it is nested more than {MAX_DEPTH} levels deep"
    return "it is cut off, has a byte that is nothing, or a name that is no text"


def _entries(body: Memory) -> int:
    """How many names the map has that a body is."""
    first = body[0]
    return first & 15 if first < 0xDE else int.from_bytes(body[1 : 3 if first == 0xDE else 5], "big")


def _root_tensor(body: memoryview) -> Tensor | None:
    """The tensor that a whole body is, as a view of it. Raises Misfit for one that is wrong."""
    width = _SIZES.get(body[0], 0) if body and 0xC7 <= body[0] <= 0xC9 else 0
    start = 1 + width + 1
    if not width or body[1 + width : start] != bytes([TENSOR]):
        return None
    return _tensor(body[start:]) if int.from_bytes(body[1 : 1 + width], "big") == len(body) - start else None


def _extension(code: int, data: bytes) -> Tensor:
    if code != TENSOR:
        raise _Wrong(f"the extension {code} is unknown")
    return _tensor(memoryview(data))


def _tensor(payload: memoryview) -> Tensor:
    """Raises Misfit for a payload that is no tensor."""
    unpacker = msgpack.Unpacker(max_buffer_size=_LONGEST_HEAD, max_array_len=MOST_DIMENSIONS, max_map_len=0)
    unpacker.feed(payload[:_LONGEST_HEAD])
    try:
        dtype, shape = unpacker.unpack()
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise Misfit("a tensor begins with its dtype and its shape") from error
    return from_memory(dtype, shape, payload[unpacker.tell() :])


MAX_VALUES = 4_000_000
"""Entries that the lists and maps of a body may have together."""

_SHORT = (  # numbers, short texts and bytes
    b"[\x00-\x7f\xc0\xc2\xc3\xe0-\xff]|[\xcc\xd0].|[\xcd\xd1]..|[\xca\xce\xd2].{4}|[\xcb\xcf\xd3].{8}|"
    + b"|".join(b"%c.{%d}" % (0xA0 + length, length) for length in range(32))
    + b"|[\xc4\xd9](?:"
    + b"|".join(re.escape(bytes([length])) + b".{%d}" % length for length in range(32))
    + b")|[\xc5\xda]\x00\x00|[\xc6\xdb]\x00{4}"
    + b"|(?!)"  # before Python 3.11.5 what is possessive ends where the last alternative that it tried did: at once
)
_SCALARS = re.compile(b"(?:" + _SHORT + b")*+", re.DOTALL)
_RUN = re.compile(b"(?:[\x80-\x9f]|" + _SHORT + b")*+", re.DOTALL)  # with lists and maps of at most 15
_FEW = 100_000
_OTHERS = bytes(set(range(256)) - {*range(0x80, 0xA0), *range(0xDC, 0xE0)})  # what no list and no map begins with
_SIZES = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xC7: 1, 0xC8: 2, 0xC9: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4}
_LENGTHS = {0xDC: 2, 0xDD: 4, 0xDE: 2, 0xDF: 4}
_FIXED = {0xD7: 8, 0xD8: 16}  # extensions in which there is room for a tensor
_EXTENSIONS = frozenset((0xC7, 0xC8, 0xC9, 0xD7, 0xD8))


def _check_claims(body: Memory) -> None:
    """Refuse what unpacks to something much larger: lists that claim more entries than the body has bytes, for which
    the unpacker makes room at once, and millions of tiny values.

    Raises ValueError, and BodyTooLarge.
    """
    at, claimed, tensors, containers, end = 0, 0, 0, 0, len(body)
    few = end <= _FEW or len(bytes(body).translate(None, _OTHERS)) <= _FEW  # then short ones need not be counted
    run = _RUN if few else _SCALARS
    while True:
        found = run.match(body, at)
        at = found.end() if found is not None else at
        if at >= end:
            return
        first = body[at]
        if first < 0xA0:  # a short list or map
            claimed += first & 15 if first >= 0x90 else 2 * (first & 15)
            containers += 1
            at += 1
        elif first in _LENGTHS:
            width = _LENGTHS[first]
            entries = int.from_bytes(body[at + 1 : at + 1 + width], "big")
            claimed += 2 * entries if first >= 0xDE else entries
            containers += 1
            at += 1 + width
        else:
            at = _after(body, at)
            tensors += first in _EXTENSIONS
        if claimed > end or at > end:
            raise _Wrong("it is cut off")
        if claimed > MAX_VALUES or containers > MAX_CONTAINERS or tensors > MOST_PLACES:
            raise _too_many(tensors, containers)


def _after(body: Memory, at: int) -> int:
    """Where a long text, bytes, or an extension end. Raises ValueError."""
    first = body[at]
    if first not in _SIZES and first not in _FIXED:
        raise _Wrong("it has a byte that is nothing, an extension that is unknown, or is cut off")
    width = _SIZES.get(first, 0)
    length = _FIXED.get(first) or int.from_bytes(body[at + 1 : at + 1 + width], "big")
    return at + 1 + width + length + (first in _EXTENSIONS)


def _too_many(tensors: int, containers: int) -> BodyTooLarge:
    if tensors > MOST_PLACES:
        return BodyTooLarge(f"the body has more than {MOST_PLACES} tensors")
    if containers > MAX_CONTAINERS:
        return BodyTooLarge(f"the body has more than {MAX_CONTAINERS} lists and maps")
    return BodyTooLarge(f"the body has more than {MAX_VALUES} values")


def _check(value: Any) -> None:
    """Raises MalformedBody for what is too deep, what is not finite, and what JSON has nothing like."""
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        kinds = set(map(type, level))
        if not kinds <= _PLAIN:
            raise MalformedBody("the body is not MessagePack of plain values: it has an unknown extension")
        if float in kinds:
            numbers = level if len(kinds) == 1 else [item for item in level if type(item) is float]
            if not all(map(math.isfinite, numbers)):
                raise MalformedBody("NaN and Infinity may only be in tensors")
        if not kinds & _CONTAINERS:
            return
        lists = chain.from_iterable(item for item in level if type(item) is list)
        maps = [item for item in level if type(item) is dict]
        if not {str}.issuperset(map(type, chain.from_iterable(maps))):
            raise MalformedBody("the body is not MessagePack with text as names")
        level = [*lists, *chain.from_iterable(item.values() for item in maps)]
    raise MalformedBody(f"the body is nested more than {MAX_DEPTH} levels deep")


def encode(value: Any, layout: Layout | None) -> tuple[Memory, ...]:
    """A checked value as the pieces of a body; large parts are not copied. Raises OutputUnserializable."""
    packer = msgpack.Packer(autoreset=False)
    pieces: list[Memory] = []
    try:
        _pack(value, layout, packer, pieces)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise OutputUnserializable(log=str(error)) from None
    pieces.append(packer.bytes())
    return tuple(piece for piece in pieces if len(piece))


def _pack(value: Any, layout: Layout | None, packer: msgpack.Packer, pieces: list[Memory]) -> None:
    """Pack what stands at a place of the layout."""
    if isinstance(value, Part):
        head, data = _part(value)
        pieces += (packer.bytes() + head, data)
        packer.reset()
    elif layout is None or layout.special is not None or not isinstance(value, dict | list | tuple):
        packer.pack(value)
    elif isinstance(value, dict):
        packer.pack_map_header(len(value))
        for name, item in value.items():
            packer.pack(name)
            _pack(item, layout.properties.get(name, layout.additional), packer, pieces)
    else:
        packer.pack_array_header(len(value))
        for index, item in enumerate(value):
            _pack(item, layout.prefix[index] if index < len(layout.prefix) else layout.items, packer, pieces)


def _part(value: Part) -> tuple[bytes, Memory]:
    """What comes before the bytes of a part, and these."""
    if not isinstance(value, Tensor):
        data = outbound.memory(value)
        return _length(b"\xc4\xc5\xc6", memoryview(data).nbytes), data
    head: bytes = msgpack.packb([value.dtype, value.shape])
    return _length(b"\xc7\xc8\xc9", len(head) + memoryview(value.data).nbytes) + bytes([TENSOR]) + head, value.data


def _length(codes: bytes, length: int) -> bytes:
    """The first bytes of what has a length of 8, 16 or 32 bits."""
    for code, form, limit in zip(codes, (">BB", ">BH", ">BI"), (1 << 8, 1 << 16, 1 << 32), strict=True):
        if length < limit:
            return struct.pack(form, code, length)
    raise ValueError("a part is too large for MessagePack")
