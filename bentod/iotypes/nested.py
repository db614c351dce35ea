"""Nested lists of numbers, as JSON and people write tensors, made into tensors.

The fast way hands whole lists to `struct`, which takes numbers only and sees when one does not fit. Whatever it does
not take goes the exact way, number by number, which also finds the place of what is wrong. (`numpy.array` would read
strings as numbers, null as NaN, and make a gigabyte of a list with one long string.)
"""

from __future__ import annotations

import struct
from collections.abc import Callable
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
_Leaf = Callable[[Any, tuple[int, ...]], list[Any]]


def from_lists(value: Any, kind: TensorType, *, booleans: bool = True) -> Tensor:
    """The tensor that nested lists, or a bare number, are. Raises Misfit.

    `booleans=False` promises that there is no true and no false among the numbers. An empty list does not say the
    lengths below it: there the shape has those that the schema fixes, else -1.
    """
    lengths = _first_lengths(value, kind)
    check_shape(lengths[: len(kind.shape)], kind)
    data = _quick(value, kind.dtype, lengths, booleans) if _whole(lengths, kind) else None
    if data is None:
        lengths, data = _exact(value, kind)
    return Tensor(kind.dtype, _completed(lengths, kind), data)


def _first_lengths(value: Any, kind: TensorType) -> list[int]:
    """The lengths along the first entries."""
    lengths: list[int] = []
    for _ in range(len(kind.shape) + kind.dtype.startswith("complex")):
        if type(value) not in _LISTS:
            break
        lengths.append(len(value))
        if not value:
            break
        value = value[0]
    return lengths


def _whole(lengths: list[int], kind: TensorType) -> bool:
    """Whether nothing is empty, and the lists are as deep as they should be."""
    if 0 in lengths:
        return False
    if kind.dtype.startswith("complex"):
        return len(lengths) == len(kind.shape) + 1 and lengths[-1] == 2
    return len(lengths) == len(kind.shape)


def _quick(value: Any, dtype: str, lengths: list[int], booleans: bool) -> bytes | None:
    """The memory, or None if the exact way has to look."""
    flat = value if lengths else [value]
    for length in lengths[1:]:
        if not _LISTS.issuperset(map(type, flat)) or set(map(len, flat)) != {length}:
            return None
        flat = list(chain.from_iterable(flat))
    if dtype == "bool":
        return bytes(flat) if set(map(type, flat)) == {bool} else None
    if booleans and bool in set(map(type, flat)):
        return None
    try:
        return struct.pack(f"<{len(flat)}{_CODES[dtype]}", *flat)
    except (struct.error, OverflowError, TypeError):
        return None


def _exact(value: Any, kind: TensorType) -> tuple[list[int], bytes]:
    """Lengths and memory. Raises Misfit with the place of the first thing that is wrong."""
    leaf, rank = _LEAVES.get(kind.dtype, _complex if kind.dtype.startswith("complex") else _float), len(kind.shape)
    lengths: list[int] = []
    flat: list[Any] = []

    def walk(item: Any, path: tuple[int, ...]) -> None:
        level = len(path)
        if level == rank:
            flat.extend(leaf(kind.dtype)(item, path))
            return
        if type(item) not in _LISTS:
            raise Misfit(f"{_said(item)} is no list, and a list is wanted for {list(kind.shape)}", path)
        if level == len(lengths):
            lengths.append(len(item))
        elif lengths[level] != len(item):
            raise Misfit(f"the list has {len(item)} entries, and the first one here has {lengths[level]}", path)
        for index, inner in enumerate(item):
            walk(inner, (*path, index))

    walk(value, ())
    return lengths, struct.pack(f"<{len(flat)}{_CODES.get(kind.dtype, '?')}", *flat)


def _completed(lengths: list[int], kind: TensorType) -> tuple[int, ...]:
    """The shape, with what the schema fixes where an empty list says nothing."""
    rest = kind.shape[len(lengths) :]
    return (*lengths[: len(kind.shape)], *(wanted if isinstance(wanted, int) else -1 for wanted in rest))


def _bool(dtype: str) -> _Leaf:
    def leaf(value: Any, path: tuple[int, ...]) -> list[Any]:
        if type(value) is not bool:
            raise Misfit(f"{_said(value)} is neither true nor false", path)
        return [value]

    return leaf


def _integer(dtype: str) -> _Leaf:
    bits, signed = 8 * ITEM_BYTES[dtype], dtype.startswith("int")
    least, most = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)

    def leaf(value: Any, path: tuple[int, ...]) -> list[Any]:
        if type(value) is not int and not (type(value) is float and value.is_integer()):
            raise Misfit(f"{_said(value)} is no whole number", path)
        if not least <= value <= most:
            raise Misfit(f"{_said(value)} does not fit in {dtype}", path)
        return [int(value)]

    return leaf


def _float(dtype: str) -> _Leaf:
    code = "<" + _CODES[dtype]

    def leaf(value: Any, path: tuple[int, ...]) -> list[Any]:
        if type(value) not in (int, float):
            raise Misfit(f"{_said(value)} is no number", path)
        try:
            struct.pack(code, value)
        except (struct.error, OverflowError):
            raise Misfit(f"{_said(value)} is too large for {dtype}", path) from None
        return [value]

    return leaf


def _complex(dtype: str) -> _Leaf:
    part = _float(dtype)

    def leaf(value: Any, path: tuple[int, ...]) -> list[Any]:
        if type(value) not in _LISTS or len(value) != 2:
            raise Misfit(f"{_said(value)} is no complex number, which is [real, imaginary]", path)
        return [*part(value[0], (*path, 0)), *part(value[1], (*path, 1))]

    return leaf


def _said(value: Any) -> str:
    """A value in words, never a long one."""
    if value is None or type(value) is bool:
        return {None: "null", True: "true", False: "false"}[value]
    if type(value) in (int, float):
        return repr(value) if abs(value) < 1e60 or type(value) is float else "a huge number"
    words: dict[Any, str] = {str: "a string", list: "a list", tuple: "a list", dict: "an object"}
    return words.get(type(value), "this")


_LEAVES = {"bool": _bool} | dict.fromkeys((name for name in _CODES if "int" in name), _integer)
