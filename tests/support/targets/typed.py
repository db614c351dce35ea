"""Callables that give back, describe or make values of every IO type; some leave a file that says that they ran."""

import math
from pathlib import Path

import numpy as np
from PIL import Image


def same(value):
    return value


def sames(**values):
    return values


def seen(value):
    """What a callable gets, in words."""
    return _seen(value)


def seen_all(**values):
    return {name: _seen(value) for name, value in values.items()}


def marked(mark, value=None):
    """Leaves `mark`, and gives a small picture."""
    Path(mark).touch()
    return Image.new("RGB", (2, 2), "red")


def give(kind):
    return KINDS[kind]()


def outer(a, b):
    return np.outer(a, b).astype(np.float32)


def doubled(value):
    """Writes into the array that it got."""
    value *= 2
    return value


def _seen(value):
    if isinstance(value, np.ndarray):
        return {"type": "ndarray", "dtype": value.dtype.name, "shape": list(value.shape), "writable": _writable(value)}
    if isinstance(value, Image.Image):
        return {"type": "Image", "mode": value.mode, "size": list(value.size), "format": value.format}
    if isinstance(value, Path):
        stat, folder = value.stat(), value.parent.stat()
        return {"type": "Path", "name": value.name, "bytes": stat.st_size, "folder mode": oct(folder.st_mode & 0o777)}
    if isinstance(value, bytes):
        return {"type": "bytes", "bytes": len(value)}
    return {"type": type(value).__name__, "value": value}


def _writable(array):
    return bool(array.flags.writeable and array.flags.c_contiguous and array.dtype.isnative)


KINDS = {
    "nan": lambda: np.array([1, math.nan, math.inf, -math.inf], np.float32),
    "nan in a list": lambda: [1.0, math.nan],
    "plain nan": lambda: math.nan,
    "zero": lambda: np.zeros((0,), np.float32),
    "list": lambda: [1, 2.5],
    "float64": lambda: np.array([1.5, 2.5]),
    "too large": lambda: np.array([1e300]),
    "too deep": lambda: np.zeros((2, 2), np.float32),
    "complex": lambda: np.array([1j]),
    "objects": lambda: np.array([object()]),
    "strings": lambda: np.array(["a"]),
    "big endian": lambda: np.array([1, 2], ">f4"),
    "fortran": lambda: np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3)),
    "text": lambda: "AAAA",
    "none": lambda: None,
    "number": lambda: 5,
    "bytes": lambda: b"\x00\x01",
    "array": lambda: np.zeros((1,), np.float32),
    "image": lambda: Image.new("RGB", (3, 2), "red"),
    "palette": lambda: Image.new("P", (3, 2)),
    "transparent": lambda: Image.new("RGBA", (3, 2), (255, 0, 0, 0)),
    "empty image": lambda: Image.new("RGB", (0, 0)),
    "wide": lambda: Image.new("F", (3, 2), 0.5),
}
