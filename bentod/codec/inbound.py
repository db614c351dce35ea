"""One special value of an input: from any form that a client can give it to the part that travels on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from bentod.codec import base64, npy
from bentod.codec.folder import check_media_type, default_name
from bentod.codec.places import Place
from bentod.iotypes.image import TooManyPixels, examine
from bentod.iotypes.nested import from_lists
from bentod.iotypes.parts import Blob, Memory, Part, Picture, Stored, Tensor
from bentod.iotypes.special import BinaryType, FileType, ImageType, SpecialType, TensorType
from bentod.iotypes.tensor import Dimensions, Misfit, check_dtype, check_whole_shape, from_memory, size

_TENSOR_KEYS = frozenset(("dtype", "shape", "data"))


@dataclass(frozen=True, slots=True)
class Piece:
    """A raw body, or a part of one, that is one special value and still unread.

    `media_type` is in lower case and without parameters, empty if the client said none; `name` is the client's name of
    the file, made safe, empty if there is none.
    """

    data: Memory
    media_type: str = ""
    name: str = ""


class Folder(Protocol):
    """The folder of one call."""

    def new(self, name: str) -> Path:
        """The path of a file that does not exist yet. Raises BodyTooLarge, StorageFailed."""

    def put(self, name: str, data: Memory) -> Path:
        """The path of a new file that will hold `data` when the input has been read. Raises as `new` does."""


def tensor(kind: TensorType, value: Any, *, booleans: bool) -> Tensor:
    """From nested lists or a number, an object with base64, the MessagePack extension, or an .npy file.

    The shape is that of the value: named dimensions are not looked at yet, and -1 stands where an empty list says
    nothing of the lengths below it. Raises Misfit.
    """
    if isinstance(value, Tensor):
        check_dtype(value.dtype, kind)
        check_whole_shape(value.shape, kind)
        return value
    if isinstance(value, Piece):
        return npy.decode(value.data, kind)
    if isinstance(value, dict):
        return _encoded_tensor(value, kind)
    if isinstance(value, bytes | bytearray | memoryview | Stored):
        raise Misfit("bytes are no tensor; wanted are nested lists or the tensor extension")
    return from_lists(value, kind, booleans=booleans)


def _encoded_tensor(value: Mapping[str, Any], kind: TensorType) -> Tensor:
    """From `{"dtype", "shape", "data"}`. All is compared before the base64 is decoded."""
    if value.keys() != _TENSOR_KEYS:
        raise Misfit("an object is a tensor if it has dtype, shape and data, and nothing else")
    text, shape = value["data"], value["shape"]
    check_dtype(value["dtype"], kind)
    wanted = size(kind.dtype, shape)
    check_whole_shape(shape, kind)
    if isinstance(text, bytes | bytearray | memoryview):
        return from_memory(kind.dtype, shape, text)
    if not isinstance(text, str):
        raise Misfit("the data of a tensor is base64", ("data",))
    if len(text) != (wanted + 2) // 3 * 4:
        raise Misfit(f"{kind.dtype} of the shape {list(shape)} has {wanted} bytes, and here are others", ("data",))
    try:
        return from_memory(kind.dtype, shape, base64.decode(text))
    except Misfit as error:
        raise Misfit(str(error), ("data",)) from None
    except ValueError as error:
        raise Misfit(f"the data {error}", ("data",)) from None


def _memory(value: Any, word: str) -> tuple[Memory, str, str]:
    """The bytes of a value, with the media type and the file name that the client said. Raises ValueError."""
    if isinstance(value, Piece):
        return value.data, value.media_type, value.name
    if isinstance(value, bytes | bytearray | memoryview):
        return value, "", ""
    if not isinstance(value, str):
        raise ValueError(f"is no {word}: in JSON it is a string of base64")  # noqa: TRY004 - it is the client's value
    return base64.decode(value), "", ""


def image(kind: ImageType, value: Any, pointer: str, folder: Folder) -> Picture:
    """Raises TooManyPixels, and ValueError for what is no such image."""
    data, said, _ = _memory(value, "image")
    return Picture(examine(kind, data, said), data, pointer)


def file(kind: FileType, value: Any, pointer: str, folder: Folder) -> Stored:
    """The file on disk; what is not there yet goes to the folder. Raises ValueError, BodyTooLarge, StorageFailed."""
    if isinstance(value, Stored):
        return Stored(value.path, check_media_type(kind, value.media_type, Path(value.path).name))
    data, said, name = _memory(value, "file")
    media_type = check_media_type(kind, said, name)
    return Stored(str(folder.put(name or default_name(media_type or kind.media_type), data)), media_type)


def binary(kind: BinaryType, value: Any, pointer: str, folder: Folder) -> Blob:
    """Raises ValueError."""
    data, said, name = _memory(value, "bytes")
    check_media_type(kind, said, name)
    return Blob(data)


_READERS: dict[type[SpecialType], tuple[str, Callable[[Any, Any, str, Folder], Part]]] = {
    ImageType: ("image", image),
    FileType: ("file", file),
    BinaryType: ("value", binary),
}


def part(place: Place, folder: Folder, dimensions: Dimensions, *, booleans: bool) -> Part:
    """What stands in a special place. Raises TooManyPixels, and ValueError; Misfit says where in the value."""
    if place.value is None:
        raise ValueError("null is not allowed here")
    if isinstance(place.kind, TensorType):
        found = tensor(place.kind, place.value, booleans=booleans)
        if -1 not in found.shape:
            dimensions.fit(found.shape, place.kind, place.pointer)
        return found
    word, read = _READERS[type(place.kind)]
    try:
        return read(place.kind, place.value, place.pointer, folder)
    except TooManyPixels:
        raise
    except ValueError as error:
        raise ValueError(f"the {word} {error}") from None
