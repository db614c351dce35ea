"""The user's values ⇄ parts: arrays, pictures, paths and bytes. NumPy and Pillow are loaded on first use."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path, PurePath
from typing import Any

from bentod.iotypes import tensor
from bentod.iotypes.parts import Blob, Part, Picture, Stored, Tensor
from bentod.wire.entries import Terms

_LARGE = 64 * 1024
_MOST_BYTES = 8  # of a real number


class Unreadable(Exception):
    """A part of the input is broken in a way that only decoding it shows. `pointer` is its place in the body."""

    def __init__(self, pointer: str, detail: str) -> None:
        super().__init__(detail)
        self.pointer, self.detail = pointer, detail


class Outside(PermissionError):
    """An answer names a file that it may not name."""


def value_of(part: Part) -> Any:
    """What the callable gets for a part: ndarray, PIL image, Path or bytes. Raises Unreadable.

    Arrays are views of the received memory, which is theirs alone: they may be written to.
    """
    if isinstance(part, Tensor):
        memory = part.data if isinstance(part.data, bytearray) else bytearray(part.data)
        return tensor.array(Tensor(part.dtype, part.shape, memory))
    if isinstance(part, Picture):
        from bentod.iotypes import image

        return image.load(part.data, partial(Unreadable, part.pointer))
    if isinstance(part, Stored):
        return Path(part.path)
    return bytes(part.data)


def outgoing(value: Any) -> Any:
    """An answer with its large bytes as parts, so that they are not copied into the MessagePack."""
    if isinstance(value, bytes | bytearray | memoryview):
        return Blob(value)
    if type(value) is dict and any(type(item) is bytes and len(item) >= _LARGE for item in value.values()):
        return {name: Blob(item) if type(item) is bytes else item for name, item in value.items()}
    return value


def part_of(value: Any, terms: Terms, project: str) -> Any:
    """The part, or the plain value, that stands for what MessagePack cannot hold.

    Raises TypeError, or Outside for a file that the answer may not name, with a text for the log; Unreadable for a
    picture of the input whose pixels turn out to be broken.
    """
    if isinstance(value, PurePath):
        return _file(value, terms, project)
    if _is_picture(value):
        return _picture(value, terms)
    if hasattr(value, "__array__"):
        return _tensor(value)
    if isinstance(value, memoryview):
        return Blob(value)
    raise TypeError(f"a value of type {type(value).__name__} cannot be sent")


def _is_picture(value: Any) -> bool:
    image = sys.modules.get("PIL.Image")
    return image is not None and isinstance(value, image.Image)


def _picture(value: Any, terms: Terms) -> Picture:
    from bentod.iotypes import image

    if not terms.image:
        raise TypeError("the callable returned an image, and its output has none")
    value.load()  # if nobody has looked at its pixels yet, and they are broken, that is the client's fault
    return Picture(terms.image, image.encode(value, terms.image))


def _tensor(value: Any) -> Any:
    import numpy as np

    array = np.asarray(value)
    if array.dtype.kind in "USO":
        return array.tolist()
    if isinstance(value, np.generic) and array.dtype.kind in "biuf" and array.dtype.itemsize <= _MOST_BYTES:
        return array.item()
    whole = whole_tensor(array)
    if whole is None:
        raise TypeError(f"an array of dtype {array.dtype} cannot be sent")
    return whole


def whole_tensor(array: Any) -> Tensor | None:
    """The tensor of an array, over its memory if that can be; None if its dtype cannot be sent."""
    kind, size = array.dtype.kind, array.dtype.itemsize
    if kind not in "biufc" or size > (2 * _MOST_BYTES if kind == "c" else _MOST_BYTES):
        return None
    return tensor.from_array(array.dtype.name, array)


def _file(path: PurePath, terms: Terms, project: str) -> Stored:
    """A file that an answer may name: below the call's folder, or one that the spec allows."""
    from bentod.codec.folder import suggested

    found = Path(os.path.realpath(Path(project, path)))
    allowed = [root for root in (terms.folder, *(os.path.join(project, one) for one in terms.within)) if root]  # noqa: PTH118
    if not any(found.is_relative_to(os.path.realpath(root)) for root in allowed):
        raise Outside(f"the callable returned {path}, which is outside of its call's folder (context.folder)")
    if not found.is_file():
        raise TypeError(f"the callable returned {path}, which is no file")
    return Stored(str(found), suggested(found.name))


def argument_of(packed: bytes, attachments: Sequence[Any]) -> Any:
    """The argument of a call with parts, ready for the callable. Raises Unreadable."""
    import msgpack

    from bentod.codec.parcels import opener

    return msgpack.unpackb(packed, strict_map_key=False, ext_hook=opener(attachments, value_of))
