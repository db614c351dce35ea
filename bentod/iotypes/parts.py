"""Special values as they travel: raw memory or a path, with what one must know to read it.

The codecs make them of bodies and bodies of them; the Unix sockets carry them beside the MessagePack.
"""

from __future__ import annotations

from dataclasses import dataclass

Memory = bytes | bytearray | memoryview


@dataclass(frozen=True, slots=True)
class Tensor:
    """An array: `data` is little-endian, in C order, without gaps."""

    dtype: str
    shape: tuple[int, ...]
    data: Memory


@dataclass(frozen=True, slots=True)
class Picture:
    """An encoded image. `pointer` is where it stood in the body, for what is found wrong with it later."""

    media_type: str
    data: Memory
    pointer: str = ""


@dataclass(frozen=True, slots=True)
class Stored:
    """A file on this host. `media_type` is empty where nobody said it."""

    path: str
    media_type: str = ""


@dataclass(frozen=True, slots=True)
class Blob:
    """Bytes."""

    data: Memory


Part = Tensor | Picture | Stored | Blob
