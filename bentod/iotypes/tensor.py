"""Tensors against what their schema says: shapes, named dimensions, raw memory, and conversion to another dtype.

NumPy is loaded by the functions that need it, when they need it: a gateway without tensors never loads it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bentod.iotypes.parts import Memory, Tensor
from bentod.iotypes.special import ITEM_BYTES, TensorType

if TYPE_CHECKING:
    import numpy as np

MOST_DIMENSIONS = 64
_MOST_BYTES = 2**63 - 1


class Misfit(ValueError):
    """Not the tensor that is wanted; `path` leads from the tensor to what is wrong in it."""

    def __init__(self, text: str, path: tuple[int | str, ...] = ()) -> None:
        super().__init__(text)
        self.path = path


class Dimensions:
    """The named dimensions of one call: the first tensor that has one binds it, and the others must agree."""

    def __init__(self, bound: Mapping[str, int] | None = None) -> None:
        self.bound = dict(bound or {})
        self._where = dict.fromkeys(self.bound, "in the input")

    def fit(self, shape: Sequence[int], kind: TensorType, pointer: str) -> None:
        """Check a shape against the declared one, and bind the names in it. Raises Misfit, then binds nothing."""
        check_whole_shape(shape, kind)
        found: dict[str, int] = {}
        for length, wanted in zip(shape, kind.shape, strict=True):
            if isinstance(wanted, str) and found.setdefault(wanted, length) != length:
                raise Misfit(f"the dimension {wanted!r} is {found[wanted]} and {length} in the shape {list(shape)}")
        for name, length in found.items():
            if self.bound.get(name, length) != length:
                raise Misfit(f"the dimension {name!r} is {length} here, and {self.bound[name]} {self._where[name]}")
        for name, length in found.items():
            self.bound[name] = length
            self._where.setdefault(name, f"at {pointer or 'the root'}")

    def settled(self, shape: Sequence[int], kind: TensorType) -> tuple[int, ...]:
        """A shape without -1: what an empty list did not say is as in the other tensors of the call, else 0."""
        return tuple(
            length if length >= 0 else self.bound.get(str(wanted), 0)
            for length, wanted in zip(shape, kind.shape, strict=True)
        )


def check_shape(shape: Sequence[int], kind: TensorType) -> None:
    """Check the lengths that the schema fixes. The end of a shape may be missing, not known yet. Raises Misfit."""
    for length, wanted in zip(shape, kind.shape, strict=False):
        if isinstance(wanted, int) and wanted not in (-1, length):
            raise Misfit(f"the shape is {list(shape)}, wanted {list(kind.shape)}")
    if len(shape) > len(kind.shape):
        raise Misfit(f"the shape is {list(shape)}, wanted {list(kind.shape)}")


def check_whole_shape(shape: Sequence[int], kind: TensorType) -> None:
    """The same for a shape that is known to its end. Raises Misfit."""
    check_shape(shape, kind)
    if len(shape) != len(kind.shape):
        raise Misfit(f"the shape is {list(shape)}, wanted {list(kind.shape)}")


def check_dtype(dtype: Any, kind: TensorType) -> None:
    """Raises Misfit unless the dtype is the declared one."""
    if dtype != kind.dtype:
        raise Misfit(f"the dtype is {str(dtype)[:40]!r}, wanted {kind.dtype}")


def size(dtype: Any, shape: Any) -> int:
    """The bytes of a tensor that somebody claims to have sent. Raises Misfit for what is no dtype or no shape."""
    if not isinstance(dtype, str) or dtype not in ITEM_BYTES:
        raise Misfit(f"{str(dtype)[:40]!r} is no dtype")
    if not isinstance(shape, list | tuple) or len(shape) > MOST_DIMENSIONS:
        raise Misfit(f"a shape is a list of at most {MOST_DIMENSIONS} lengths")
    if not all(type(length) is int and length >= 0 for length in shape):
        raise Misfit("a shape is a list of lengths, whole numbers from 0")
    if math.prod(length or 1 for length in shape) * ITEM_BYTES[dtype] > _MOST_BYTES:
        raise Misfit("no tensor can have this shape")
    return math.prod(shape) * ITEM_BYTES[dtype]


def from_memory(dtype: Any, shape: Any, data: Memory) -> Tensor:
    """A tensor over little-endian memory in C order, not copied. Raises Misfit if the three do not go together."""
    wanted, found = size(dtype, shape), memoryview(data).nbytes
    if found != wanted:
        raise Misfit(f"{dtype} of the shape {list(shape)} has {wanted} bytes, and here are {found}")
    if dtype == "bool" and bytes(data).translate(None, b"\0\1"):
        raise Misfit("a bool is a byte of 0 or 1")
    return Tensor(dtype, tuple(shape), data)


def array(tensor: Tensor) -> np.ndarray[Any, Any]:
    """A view of the tensor's memory."""
    import numpy as np

    return np.frombuffer(tensor.data, np.dtype(tensor.dtype).newbyteorder("<")).reshape(tensor.shape)


def rearranged(dtype: str, shape: tuple[int, ...], data: Memory, *, big_endian: bool, fortran: bool) -> Tensor:
    """A tensor of memory in another byte order, or in Fortran's order of dimensions; always a copy."""
    import numpy as np

    from_memory(dtype, shape, data)
    found = np.frombuffer(data, np.dtype(dtype).newbyteorder(">" if big_endian else "<"))
    return from_array(dtype, found.reshape(shape, order="F" if fortran else "C"))


def from_array(dtype: str, values: np.ndarray[Any, Any]) -> Tensor:
    """The tensor of an array; copied only if its memory is not little-endian or not in C order."""
    import numpy as np

    plain = np.ascontiguousarray(values, np.dtype(dtype).newbyteorder("<")).reshape(values.shape)
    return Tensor(dtype, values.shape, plain.reshape(-1).view(np.uint8).data if plain.size else b"")


def converted(tensor: Tensor, dtype: str) -> Tensor:
    """The tensor in another dtype. Raises Misfit unless every value survives; floats may be rounded to shorter ones."""
    if tensor.dtype == dtype:
        return tensor
    import numpy as np

    old = array(tensor)
    if old.dtype.kind not in _BECOMES[np.dtype(dtype).kind]:
        raise Misfit(f"{tensor.dtype} does not become {dtype}")
    if np.dtype(dtype).kind in "iu":
        limits = np.iinfo(dtype)
        if old.size and (int(old.min()) < limits.min or int(old.max()) > limits.max):
            raise Misfit(f"the values lie between {old.min()} and {old.max()}, too far apart for {dtype}")
        return from_array(dtype, old.astype(dtype))
    with np.errstate(over="ignore"):
        new = old.astype(dtype)
    if bool((np.isfinite(old) & ~np.isfinite(new)).any()):
        raise Misfit(f"a value is too large for {dtype}")
    return from_array(dtype, new)


_BECOMES = {"b": "b", "i": "iu", "u": "iu", "f": "iuf", "c": "iufc"}
"""Kinds of dtypes, by NumPy's letters, and what may be converted to them."""
