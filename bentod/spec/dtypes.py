"""What the author of an unknown dtype may have meant."""

from __future__ import annotations

import re

from bentod.iotypes.special import ITEM_BYTES
from bentod.spec.found import did_you_mean

_OTHER_NAMES = {
    "float": "float32",
    "single": "float32",
    "double": "float64",
    "half": "float16",
    "bfloat16": "float32",
    "int": "int64",
    "integer": "int64",
    "long": "int64",
    "short": "int16",
    "byte": "uint8",
    "uint": "uint64",
    "boolean": "bool",
    "bool_": "bool",
    "complex": "complex64",
    "cfloat": "complex64",
    "cdouble": "complex128",
}
"""Names that other libraries use."""

_KINDS = {"f": "float", "i": "int", "u": "uint", "c": "complex"}
_CODE = re.compile(r"[<>=|]?([fiuc])(\d{1,2})")
_BOOL_CODES = ("?", "|b1", "b1")


def meant(dtype: str) -> str:
    """A hint: the dtype that `dtype` resembles, or all that there are."""
    name = dtype.rpartition(".")[2].lower()
    if code := _CODE.fullmatch(dtype):
        name = f"{_KINDS[code[1]]}{8 * int(code[2])}"
    elif dtype in _BOOL_CODES:
        name = "bool"
    name = _OTHER_NAMES.get(name, name)
    return f"did you mean `{name}`?" if name in ITEM_BYTES else did_you_mean(name, ITEM_BYTES)
