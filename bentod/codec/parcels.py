"""Special values inside the MessagePack between our own processes: short extensions that name their attachments.

What is small travels inside the extension itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgpack

from bentod.iotypes.parts import Blob, Memory, Part, Picture, Stored, Tensor

_TENSOR, _PICTURE, _STORED, _BLOB = 1, 2, 3, 4
_SMALL = 4096


class Parcel:
    """Packs values with parts. `memory` is what must travel beside them, collected since `clear`."""

    def __init__(self, default: Callable[[Any], Any] | None = None) -> None:
        """`default` makes a part, or anything that MessagePack holds, of a value that is neither."""
        self.memory: list[Memory] = []
        self._default = default

    def clear(self) -> list[Memory]:
        """What was collected; from now on nothing is."""
        memory, self.memory = self.memory, []
        return memory

    def extension(self, value: Any) -> Any:
        """For MessagePack's packer: the extension that stands for `value`. Raises TypeError."""
        if isinstance(value, Tensor):
            return _ext(_TENSOR, (value.dtype, value.shape, self._slot(value.data)))
        if isinstance(value, Picture):
            return _ext(_PICTURE, (value.media_type, value.pointer, self._slot(value.data)))
        if isinstance(value, Stored):
            return _ext(_STORED, (value.path, value.media_type))
        if isinstance(value, Blob):
            return _ext(_BLOB, (self._slot(value.data),))
        if self._default is None:
            raise TypeError(f"a value of type {type(value).__name__} cannot be sent")
        made = self._default(value)
        return self.extension(made) if isinstance(made, Part) else made

    def _slot(self, data: Memory) -> int | bytes:
        """Where the data is: itself, or the number of an attachment."""
        view = memoryview(data)
        if view.nbytes <= _SMALL:
            return bytes(data)
        self.memory.append(data if view.c_contiguous else view.tobytes())
        return len(self.memory) - 1


def _ext(code: int, fields: Sequence[Any]) -> msgpack.ExtType:
    return msgpack.ExtType(code, msgpack.packb(fields))


def opener(attachments: Sequence[Memory], use: Callable[[Part], Any] | None = None) -> Callable[[int, bytes], Any]:
    """For MessagePack's unpacker: parts again, or what `use` makes of them.

    Raises ValueError, TypeError or LookupError, inside the unpacker, for what `Parcel` does not make.
    """

    def memory(slot: int | bytes) -> Memory:
        if isinstance(slot, bytes):
            return slot
        if slot < 0:
            raise LookupError("attachments are counted from 0")
        return attachments[slot]

    def part(code: int, data: bytes) -> Part:
        fields = msgpack.unpackb(data)
        if code == _TENSOR:
            dtype, shape, slot = fields
            return Tensor(dtype, tuple(shape), memory(slot))
        if code == _PICTURE:
            media_type, pointer, slot = fields
            return Picture(media_type, memory(slot), pointer)
        if code == _STORED:
            path, media_type = fields
            return Stored(path, media_type)
        if code == _BLOB:
            return Blob(memory(*fields))
        raise ValueError(f"unknown extension {code}")

    return part if use is None else lambda code, data: use(part(code, data))


NOTHING_ATTACHED = opener(())
