"""One special value of an output: from what a callable gave to the part that is sent, and that part in JSON."""

from __future__ import annotations

import math
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bentod.codec import base64
from bentod.codec.places import Place
from bentod.errors import OutputUnserializable
from bentod.iotypes.image import examine
from bentod.iotypes.media_types import OCTETS, lies_in
from bentod.iotypes.nested import from_lists
from bentod.iotypes.parts import Blob, Memory, Part, Picture, Stored, Tensor
from bentod.iotypes.special import BinaryType, FileType, ImageType, TensorType
from bentod.iotypes.tensor import Dimensions, Misfit, array, check_whole_shape, converted

MOST_INLINE = 64 * 1024 * 1024
"""Bytes of all files that are sent inside JSON or MessagePack; as a body of its own a file has any size."""


def part(place: Place, dimensions: Dimensions, *, check: bool) -> Any:
    """What is sent for a value in a special place. Raises ValueError for what does not belong there.

    Without `check`, tensors of any dtype and shape pass, and so do lists as they are.
    """
    kind, value = place.kind, place.value
    if isinstance(kind, TensorType):
        if not check and isinstance(value, Tensor | list | int | float):
            return value
        return tensor(kind, value, dimensions, place.pointer)
    if isinstance(kind, ImageType):
        return _image(kind, value)
    if isinstance(kind, FileType):
        return _file(kind, value)
    return _binary(kind, value)


def tensor(kind: TensorType, value: Any, dimensions: Dimensions, pointer: str) -> Tensor:
    """A tensor of the declared dtype and shape, from another or from nested lists. Raises Misfit."""
    if isinstance(value, Tensor):
        check_whole_shape(value.shape, kind)
        found = converted(value, kind.dtype)
    elif isinstance(value, list | tuple | int | float):
        found = from_lists(value, kind)
        found = Tensor(found.dtype, dimensions.settled(found.shape, kind), found.data)
    else:
        raise Misfit(f"{_said(value)} is no tensor")
    dimensions.fit(found.shape, kind, pointer)
    return found


def _image(kind: ImageType, value: Any) -> Picture:
    """An image; bytes are taken for an encoded one."""
    if isinstance(value, Picture):
        if lies_in(value.media_type, kind.media_type):
            return value
        raise ValueError(f"the image is {value.media_type}, not {kind.media_type}")
    data = _memory(value)
    if data is None:
        raise ValueError(f"{_said(value)} is no image")
    try:
        return Picture(examine(kind, data, ""), data)
    except ValueError as error:
        raise ValueError(f"the image {error}") from None


def _file(kind: FileType, value: Any) -> Stored | Blob:
    if isinstance(value, Stored):
        if value.media_type not in ("", OCTETS) and not lies_in(value.media_type, kind.media_type):
            raise ValueError(f"the file is {value.media_type}, not {kind.media_type}")
        return value
    data = _memory(value)
    if data is None:
        raise ValueError(f"{_said(value)} is no file; a Path or bytes are wanted")
    return Blob(data)


def _binary(kind: BinaryType, value: Any) -> Blob:
    data = _memory(value)
    if data is None:
        raise ValueError(f"{_said(value)} is no bytes")
    return Blob(data)


def _memory(value: Any) -> Memory | None:
    if isinstance(value, Blob):
        return value.data
    return value if isinstance(value, bytes | bytearray | memoryview) else None


def _said(value: Any) -> str:
    if isinstance(value, Part):
        return {Tensor: "an array", Picture: "an image", Stored: "a Path", Blob: "bytes"}[type(value)]
    return "None" if value is None else f"a value of type {type(value).__name__}"


def json_form(value: Part) -> Any:
    """What JSON has for a part: an array that orjson can write, or text. Raises OutputUnserializable."""
    if isinstance(value, Tensor):
        return _lists(value)
    return base64.encode(memory(value))


def _lists(value: Tensor) -> Any:
    import numpy as np

    if 0 in value.shape:
        return _hollow(value.shape)
    found = array(value)
    if found.dtype.kind == "c":
        found = found.reshape(-1).view(found.real.dtype).reshape(*value.shape, 2)
    if found.dtype.kind == "f" and not np.isfinite(found).all():
        raise OutputUnserializable("NaN and Infinity have no form in JSON", not_finite=True)
    return found if found.ndim else found.item()


def _hollow(shape: tuple[int, ...]) -> list[Any]:
    """Nested lists without a number in them."""
    before = shape[: shape.index(0)]
    if math.prod(before) > 1_000_000:
        raise OutputUnserializable("too many empty lists")
    value: list[Any] = []
    for length in reversed(before):
        value = [value] * length
    return value


def memory(value: Picture | Stored | Blob) -> Memory:
    """The bytes of a part that is no tensor. Raises OutputUnserializable for a file that cannot be read."""
    if not isinstance(value, Stored):
        return value.data
    with _reading(), Path(value.path).open("rb") as file:
        return file.read(min(os.fstat(file.fileno()).st_size, MOST_INLINE))


def check_files(files: Sequence[Stored]) -> None:
    """Raises OutputUnserializable for files that are too large, together, to be read into an answer."""
    size = _size(files)
    if size > MOST_INLINE:
        text = f"files of {size} bytes are too large for JSON and MessagePack, which hold at most {MOST_INLINE} of them"
        raise OutputUnserializable(log=text)


def fit_inside(files: Sequence[Stored]) -> bool:
    """Whether files can be sent inside JSON or MessagePack."""
    try:
        return _size(files) <= MOST_INLINE
    except OutputUnserializable:
        return False


def _size(files: Sequence[Stored]) -> int:
    with _reading():
        found = [Path(file.path).stat() for file in files]
    if not all(stat.S_ISREG(one.st_mode) for one in found):
        raise OutputUnserializable(log="what was returned as a file is none")
    return sum(one.st_size for one in found)


@contextmanager
def _reading() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputUnserializable(log=f"the file cannot be read: {error}") from None
