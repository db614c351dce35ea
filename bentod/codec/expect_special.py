"""Tensors, pictures, files and bytes of an answer beside those of its example, compared as what they are.

NumPy and Pillow are loaded when they are first needed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from bentod.codec import base64, inbound
from bentod.codec.expect_words import Unlike, first_difference, shown
from bentod.codec.places import emptied
from bentod.iotypes.image import examine, load
from bentod.iotypes.layout import Layout
from bentod.iotypes.parts import Blob, Picture, Tensor
from bentod.iotypes.special import ImageType, SpecialType, TensorType
from bentod.iotypes.tensor import array

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image

    Array = np.ndarray[Any, Any]

_AS_THEY_ARE = frozenset(("L", "LA", "RGB", "RGBA", "I", "I;16", "F", "CMYK", "YCbCr", "LAB"))
"""Modes of pictures whose channels can be compared; others are made RGBA before."""


def compared(kind: SpecialType, expected: Any, got: Any, tolerance: float | None) -> Unlike | None:
    """What differs between two special values, in any form that JSON or MessagePack has for them; None for nothing."""
    if isinstance(kind, TensorType):
        return _tensors(kind, expected, got, tolerance)
    try:
        wanted = _memory(expected)
        found = _memory(got)
    except ValueError as error:
        return Unlike(_name(kind, expected), shown(got), str(error))
    if isinstance(kind, ImageType):
        return _pictures(kind, wanted, found, tolerance)
    if wanted == found:
        return None
    at = first_difference(wanted, found)
    return Unlike(f"{len(wanted):,} bytes", f"{len(found):,}", f"they differ from byte {at:,} on")


def infinite(value: Any, layout: Layout | None) -> bool:
    """Whether there is a tensor in a value with a NaN or an Infinity, which has no form in JSON."""
    if layout is None:
        return False
    for place in emptied(value, layout)[1]:
        if isinstance(place.kind, TensorType) and place.kind.dtype.startswith(("float", "complex")):
            import numpy as np

            try:
                found = inbound.tensor(place.kind, place.value, booleans=True)
            except ValueError:
                continue
            if not np.isfinite(array(found)).all():
                return True
    return False


def _memory(value: Any) -> bytes:
    """Raises ValueError for what is not bytes in any form."""
    if isinstance(value, Blob | Picture):
        value = value.data
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    if not isinstance(value, str):
        raise ValueError("this is no base64")  # noqa: TRY004 - it is the callable's value
    return base64.decode(value)


def _name(kind: SpecialType, value: Any) -> str:
    name = type(kind).__name__.removesuffix("Type").lower()
    return f"{'an' if name == 'image' else 'a'} {name} {shown(value)}"


# ── tensors ──────────────────────────────────────────────────────────────────────────────────────


def _tensors(kind: TensorType, expected: Any, got: Any, tolerance: float | None) -> Unlike | None:
    told = shown(expected)
    try:
        wanted = inbound.tensor(kind, expected, booleans=True)
        told = _told(wanted)
        found = inbound.tensor(kind, got, booleans=True)
    except ValueError as error:
        return Unlike(told, shown(got), str(error), getattr(error, "path", ()))
    if len(wanted.shape) != len(found.shape) or not all(map(_fits, wanted.shape, found.shape)):
        return Unlike(_told(wanted), _told(found))
    if 0 in wanted.shape or -1 in wanted.shape:
        return None
    return _numbers(array(wanted), array(found), tolerance)


def _fits(length: int, other: int) -> bool:
    """Whether two lengths are the same; -1 stands where an empty list says nothing."""
    return length == other or -1 in (length, other)


def _told(tensor: Tensor) -> str:
    shape = tuple("?" if length < 0 else f"{length}" for length in tensor.shape)
    return f"{tensor.dtype} of the shape [{', '.join(shape)}]"


def _numbers(wanted: Array, found: Array, tolerance: float | None) -> Unlike | None:
    import numpy as np

    unlike = _unlike(wanted, found, tolerance)
    count = int(np.count_nonzero(unlike))
    if not count:
        return None
    at = tuple(int(step) for step in np.unravel_index(int(unlike.argmax()), unlike.shape))
    near_by = f" ± {tolerance:g}" if tolerance and wanted.dtype.kind != "b" else ""
    note = "" if wanted.size == 1 else f"{count:,} of {wanted.size:,} numbers differ{_up_to(wanted, found, unlike)}"
    return Unlike(str(wanted[at]) + near_by, str(found[at]), note, at)


def _unlike(wanted: Array, found: Array, tolerance: float | None) -> Array:
    """Which numbers differ by more than `tolerance`. NaN is like NaN."""
    import numpy as np

    unlike = np.asarray(wanted != found)
    if wanted.dtype.kind in "fc":
        unlike = unlike & ~(np.isnan(wanted) & np.isnan(found))
    if tolerance is not None and wanted.dtype.kind != "b":
        unlike = unlike & ~(_distance(wanted, found) <= tolerance)  # the distance to NaN is none
    return np.asarray(unlike)


def _distance(wanted: Array, found: Array) -> Array:
    import numpy as np

    if wanted.dtype.kind in "iu":  # modulo 2**64, so that no difference is too large
        most, least = np.maximum(wanted, found), np.minimum(wanted, found)
        return np.asarray(most.astype(np.uint64) - least.astype(np.uint64))
    wide = np.complex128 if wanted.dtype.kind == "c" else np.float64
    with np.errstate(invalid="ignore", over="ignore"):
        return np.asarray(np.abs(wanted.astype(wide) - found.astype(wide)))


def _up_to(wanted: Array, found: Array, unlike: Array) -> str:
    """How far the numbers are off at the most, where that can be said."""
    if wanted.dtype.kind == "b":
        return ""
    off = _distance(wanted[unlike], found[unlike])
    largest = float(off.max())
    return f", by up to {largest:.6g}" if math.isfinite(largest) else ""


# ── pictures ─────────────────────────────────────────────────────────────────────────────────────


def _pictures(kind: ImageType, expected: bytes, got: bytes, tolerance: float | None) -> Unlike | None:
    try:
        wanted, found = _decoded(kind, expected), _decoded(kind, got)
        sizes = _size(wanted), _size(found)
        if sizes[0] != sizes[1]:
            return Unlike(*sizes)
        for number, (one, other) in enumerate(zip(_frames(wanted), _frames(found), strict=True)):
            unlike = _pixels(one, other, tolerance)
            if unlike is not None:
                return unlike._replace(note=f"frame {number + 1}: {unlike.note}") if number else unlike
    except ValueError as error:
        return Unlike("an image", f"{len(got):,} bytes", f"the image {error}")
    return None


def _decoded(kind: ImageType, data: bytes) -> Image:
    """Raises ValueError."""
    examine(kind, data, "")
    return load(data, ValueError)


def _size(image: Image) -> str:
    frames = getattr(image, "n_frames", 1)
    return f"{image.width} x {image.height} pixels" + (f" in {frames} frames" if frames > 1 else "")


def _frames(image: Image) -> Iterator[Image]:
    for number in range(getattr(image, "n_frames", 1)):
        if number:
            image.seek(number)
        yield image


def _pixels(wanted: Image, found: Image, tolerance: float | None) -> Unlike | None:
    import numpy as np

    if wanted.mode != found.mode or wanted.mode not in _AS_THEY_ARE:
        wanted, found = wanted.convert("RGBA"), found.convert("RGBA")
    one, other = np.asarray(wanted), np.asarray(found)
    unlike = _unlike(one, other, tolerance)
    where = unlike.any(axis=2) if unlike.ndim == 3 else unlike
    count = int(np.count_nonzero(where))
    if not count:
        return None
    y, x = (int(step) for step in np.unravel_index(int(where.argmax()), where.shape))
    note = f"{count:,} of {where.size:,} pixels differ{_up_to(one, other, unlike)}, the first at x {x}, y {y}"
    return Unlike(_pixel(wanted, x, y), _pixel(found, x, y), note)


def _pixel(image: Image, x: int, y: int) -> str:
    found = image.getpixel((x, y))
    levels = found if isinstance(found, tuple) else (found or 0,)
    return f"{image.mode} {' '.join(f'{level:g}' for level in levels)}"
