"""Nested lists of numbers, as JSON and people write tensors, made into tensors.

Whole lists are handed to `struct`, which takes numbers only and sees when one does not fit. (`numpy.array` would read
strings as numbers, null as NaN, and make gigabytes of a list with one long string.)
"""

from __future__ import annotations

import struct
from itertools import chain
from typing import Any

from bentod.iotypes.parts import Tensor
from bentod.iotypes.special import ITEM_BYTES, TensorType
from bentod.iotypes.tensor import Misfit, check_shape

_CODES = {
    "int8": "b",
    "int16": "h",
    "int32": "i",
    "int64": "q",
    "uint8": "B",
    "uint16": "H",
    "uint32": "I",
    "uint64": "Q",
    "float16": "e",
    "float32": "f",
    "float64": "d",
    "complex64": "f",
    "complex128": "d",
}
_LISTS = frozenset((list, tuple))


def from_lists(value: Any, kind: TensorType, *, booleans: bool = True) -> Tensor:
    """The tensor that nested lists, or a bare number, are. Raises Misfit.

    `booleans=False` promises that there is no true and no false among the numbers. An empty list does not say the
    lengths below it: there the shape has those that the schema fixes, else -1.
    """
    rank, lengths, flat = len(kind.shape), list[int](), [value]
    while len(lengths) < rank and flat:
        flat = _opened(flat, lengths, kind)
        check_shape(lengths, kind)
    shape = tuple(lengths)
    if kind.dtype.startswith("complex") and flat:
        flat = _pairs(flat, lengths)
    data = _packed(flat, kind.dtype, booleans)
    if data is None:
        index = _first_wrong(flat, kind.dtype)
        _LEAVES.get(kind.dtype, _float)(kind.dtype, flat[index], _path(index, lengths))
        raise AssertionError(f"{kind.dtype}: all numbers are fine, but not all together")
    rest = kind.shape[len(shape) :]
    return Tensor(kind.dtype, (*shape, *(wanted if isinstance(wanted, int) else -1 for wanted in rest)), data)


def _opened(flat: list[Any], lengths: list[int], kind: TensorType) -> list[Any]:
    """What is in the lists on one level; their length is added to `lengths`. Raises Misfit."""
    if not _LISTS.issuperset(map(type, flat)):
        index = next(index for index, item in enumerate(flat) if type(item) not in _LISTS)
        text = f"{_said(flat[index])} is no list, and a list is wanted for {list(kind.shape)}"
        raise Misfit(text, _path(index, lengths))
    length = len(flat[0])
    if len(flat) > 1 and set(map(len, flat)) != {length}:
        index = next(index for index, item in enumerate(flat) if len(item) != length)
        text = f"the list has {len(flat[index])} entries, and the first one here has {length}"
        raise Misfit(text, _path(index, lengths))
    lengths.append(length)
    return flat[0] if len(flat) == 1 else list(chain.from_iterable(flat))


def _pairs(flat: list[Any], lengths: list[int]) -> list[Any]:
    """Complex numbers as their parts. Raises Misfit."""
    for index, item in enumerate(flat):
        if type(item) not in _LISTS or len(item) != 2:
            text = f"{_said(item)} is no complex number, which is [real, imaginary]"
            raise Misfit(text, _path(index, lengths))
    lengths.append(2)
    return list(chain.from_iterable(flat))


def _packed(flat: list[Any], dtype: str, booleans: bool) -> bytes | None:
    """The memory of some numbers; None if one of them is wrong."""
    if dtype == "bool":
        return bytes(flat) if set(map(type, flat)) <= {bool} else None
    if booleans and bool in set(map(type, flat)):
        return None
    form = f"<{len(flat)}{_CODES[dtype]}"
    try:
        return struct.pack(form, *flat)
    except (struct.error, OverflowError, TypeError):
        return _packed_whole(flat, form) if "int" in dtype else None


def _packed_whole(flat: list[Any], form: str) -> bytes | None:
    """The memory of integers, if some are written as 1.0."""
    if not set(map(type, flat)) <= {int, float}:
        return None
    try:
        whole = list(map(int, flat))
        return struct.pack(form, *whole) if whole == flat else None
    except (struct.error, OverflowError, ValueError):
        return None


def _first_wrong(flat: list[Any], dtype: str) -> int:
    """The index of the first number that is wrong; one is. By halves, so that long lists are no work."""
    first, end = 0, len(flat)
    while end - first > 1:
        middle = (first + end) // 2
        if _packed(flat[first:middle], dtype, booleans=True) is None:
            end = middle
        else:
            first = middle
    return first


def _path(index: int, lengths: list[int]) -> tuple[int, ...]:
    """Where an entry of the flattened lists stood."""
    path: list[int] = []
    for length in reversed(lengths):
        index, step = divmod(index, length)
        path.append(step)
    return tuple(reversed(path))


def _bool(dtype: str, value: Any, path: tuple[int, ...]) -> None:
    """Raises Misfit unless a value is a boolean."""
    if type(value) is not bool:
        raise Misfit(f"{_said(value)} is neither true nor false", path)


def _integer(dtype: str, value: Any, path: tuple[int, ...]) -> None:
    """Raises Misfit unless a value is an integer of the dtype; 1.0 is one."""
    bits, signed = 8 * ITEM_BYTES[dtype], dtype.startswith("int")
    least, most = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    if type(value) is not int and not (type(value) is float and value.is_integer()):
        raise Misfit(f"{_said(value)} is no whole number", path)
    if not least <= value <= most:
        raise Misfit(f"{_said(value)} does not fit in {dtype}", path)


def _float(dtype: str, value: Any, path: tuple[int, ...]) -> None:
    """Raises Misfit unless a value is a number, and not too large."""
    if type(value) not in (int, float):
        raise Misfit(f"{_said(value)} is no number", path)
    try:
        struct.pack("<" + _CODES[dtype], value)
    except (struct.error, OverflowError):
        raise Misfit(f"{_said(value)} is too large for {dtype}", path) from None


def _said(value: Any) -> str:
    """A value in words, never a long one."""
    if value is None or type(value) is bool:
        return {None: "null", True: "true", False: "false"}[value]
    if type(value) in (int, float):
        return repr(value) if abs(value) < 1e60 or type(value) is float else "a huge number"
    words: dict[Any, str] = {str: "a string", list: "a list", tuple: "a list", dict: "an object"}
    return words.get(type(value), "this")


_LEAVES = {"bool": _bool} | dict.fromkeys((name for name in _CODES if "int" in name), _integer)
