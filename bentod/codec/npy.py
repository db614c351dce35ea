"""NumPy's .npy files: one tensor each. The head is read here, with a grammar instead of Python's, and without NumPy."""

from __future__ import annotations

import re
import struct

from bentod.iotypes.parts import Memory, Tensor
from bentod.iotypes.special import ITEM_BYTES, TensorType
from bentod.iotypes.tensor import Misfit, check_dtype, check_whole_shape, from_memory, rearranged, size

MAGIC = b"\x93NUMPY"
"""What every file begins with."""

_LONGEST_HEAD = 4096
_ITEM = re.compile(
    r"""\s*+(['"])(?P<name>descr|fortran_order|shape)\1\s*+:\s*+"""
    r"""(?P<value>'[^'\\]{1,20}'|"[^"\\]{1,20}"|True|False|\(\s*+(?:\d{1,19}+L?\s*+,\s*+)*+(?:\d{1,19}+L?\s*+)?\))"""
    r"""\s*+(?:,|\Z)"""
)
_DESCR = re.compile(r"([<>=|]?)([biufc])(\d{1,2})")
_KINDS = {"b": "bool", "i": "int", "u": "uint", "f": "float", "c": "complex"}
_LETTERS = {name: letter for letter, name in _KINDS.items()}


def decode(body: Memory, kind: TensorType) -> Tensor:
    """The tensor in a file, as a view of it where NumPy wrote it little-endian and in C order.

    Raises Misfit for what is no such file, and for another dtype or shape than the schema's before any data is read.
    """
    memory = memoryview(body)
    head, start = _head(memory)
    order, dtype, fortran, shape = _fields(head)
    check_dtype(dtype, kind)
    check_whole_shape(shape, kind)
    if memory.nbytes - start != size(dtype, shape):
        raise Misfit(f"the file has {memory.nbytes - start} bytes of data, and {size(dtype, shape)} by its head")
    data = memory[start:]
    if (order == ">" and ITEM_BYTES[dtype] > 1) or (fortran and len(shape) > 1):
        return rearranged(dtype, shape, data, big_endian=order == ">", fortran=fortran)
    return from_memory(dtype, shape, data)


def _head(memory: memoryview) -> tuple[str, int]:
    """The text of the head, and where the data begins."""
    if bytes(memory[:6]) != MAGIC:
        raise Misfit("is no .npy file")
    version = tuple(memory[6:8])
    if version not in ((1, 0), (2, 0), (3, 0)):
        raise Misfit("is an .npy file of an unknown version")
    start = 10 if version == (1, 0) else 12
    if memory.nbytes < start:
        raise Misfit("the .npy file is cut off")
    length = int.from_bytes(memory[8:start], "little")
    if length > _LONGEST_HEAD or start + length > memory.nbytes:
        raise Misfit("the head of the .npy file is cut off, or too long")
    return bytes(memory[start : start + length]).decode("latin-1"), start + length


def _fields(head: str) -> tuple[str, str, bool, tuple[int, ...]]:
    """Byte order, dtype, whether the order is Fortran's, and the shape."""
    text = head.strip()
    values: dict[str, str] = {}
    if text[:1] != "{" or text[-1:] != "}":
        raise Misfit("the head of the .npy file cannot be read")
    text, at = text[1:-1].rstrip(), 0
    while at < len(text):
        item = _ITEM.match(text, at)
        if item is None or item["name"] in values:
            raise Misfit("the head of the .npy file cannot be read, or its dtype is none of the schema's")
        values[item["name"]] = item["value"]
        at = item.end()
    order, dtype = _dtype(values.get("descr", ""))
    fortran, shape = values.get("fortran_order"), values.get("shape", "")
    if fortran not in ("True", "False") or not shape.startswith("("):
        raise Misfit("the head of the .npy file cannot be read")
    if re.fullmatch(r"\(\s*\d+L?\s*\)|\(\s*,\s*\)", shape):
        raise Misfit("the shape in the .npy file is none")
    return order, dtype, fortran == "True", tuple(int(length) for length in re.findall(r"\d+", shape))


def _dtype(descr: str) -> tuple[str, str]:
    found = _DESCR.fullmatch(descr[1:-1]) if descr[:1] in "'\"" else None
    if found is not None:
        order, letter, items = found.groups()
        name = "bool" if letter == "b" else f"{_KINDS[letter]}{8 * int(items)}"
        if ITEM_BYTES.get(name) == int(items) and (order not in ("", "|") or int(items) == 1):
            return order, name
    raise Misfit(f"the dtype {descr[1:-1]!r} in the .npy file is none that a tensor can have")


def head(tensor: Tensor) -> bytes:
    """What comes before the data in the file of a tensor."""
    items = ITEM_BYTES[tensor.dtype]
    letter = _LETTERS[tensor.dtype.rstrip("0123456789")]
    descr = f"{'|' if items == 1 else '<'}{letter}{items}"
    text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {tensor.shape}, }}"
    text += " " * (-(len(text) + 11) % 64) + "\n"
    return MAGIC + b"\x01\x00" + struct.pack("<H", len(text)) + text.encode("ascii")
