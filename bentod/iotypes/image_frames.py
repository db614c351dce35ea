"""How much there is to decode in a GIF, a TIFF or a JPEG, found by stepping over it within bounds.

Pillow finds out the frames of the first two by opening one after the other, which takes seconds for a body made of
nothing but frames; and every scan of a JPEG, however short, walks over all of its pixels.
"""

from __future__ import annotations

import re
import struct
from itertools import islice

from bentod.iotypes.parts import Memory

_STEPS, _BYTES_PER_STEP = 20_000, 64
_WIDTH, _HEIGHT = 256, 257
_CLASSIC, _BIG = 42, 43
_MOST_SCANS = 100
_SCAN = re.compile(rb"\xff\xda\0(?:\x08\x01|\x0a\x02|\x0c\x03|\x0e\x04)")  # nothing like it can be among the pixels
_INTEGERS = {3: "H", 4: "I", 16: "Q"}  # TIFF's types that a size can have


class TooManyPixels(ValueError):
    """A picture is larger, all its frames together, than its schema allows."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"has more than {limit} pixels")


class _Steps:
    """Counts what was stepped over: no honest file has many tiny pieces."""

    def __init__(self, size: int) -> None:
        self.left = _STEPS + size // _BYTES_PER_STEP

    def take(self, number: int = 1) -> None:
        self.left -= number
        if self.left < 0:
            raise ValueError("consists of too many pieces")


def gif_pixels(data: Memory, limit: int) -> int:
    """The pixels of all frames of a GIF. Raises TooManyPixels, ValueError, or IndexError where it is cut off."""
    view, steps = memoryview(data), _Steps(len(data))
    width, height, flags = struct.unpack_from("<HHB", view, 6)
    at = 13 + _palette(flags)
    frames = 0
    while at < len(view) and view[at] != 0x3B:  # the trailer
        steps.take()
        if view[at] == 0x2C:  # a frame
            left, top, wide, high, flags = struct.unpack_from("<4HB", view, at + 1)
            width, height = max(width, left + wide), max(height, top + high)
            frames += 1
            steps.take(4)
            if width * height * frames > limit:
                raise TooManyPixels(limit)
            at = _after_blocks(view, at + 11 + _palette(flags), steps)
        elif view[at] == 0x21:  # an extension
            at = _after_blocks(view, at + 2, steps)
        else:
            at += 1  # Pillow skips it too
    return int(width * height * frames)


def _palette(flags: int) -> int:
    """The bytes of a palette."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _after_blocks(view: memoryview, at: int, steps: _Steps) -> int:
    """Where a chain of blocks ends; one that is cut off ends with the file."""
    size, allowed, count = len(view), steps.left, 0
    while at < size and view[at] and count <= allowed:
        at += view[at] + 1
        count += 1
    steps.take(count)
    return at + 1


def jpeg_scans(data: Memory, limit: int) -> int:
    """The scans of a JPEG, whose pixels its head tells. Raises ValueError for more than any honest file has."""
    scans = sum(1 for _ in islice(_SCAN.finditer(data), _MOST_SCANS + 1))
    if scans > _MOST_SCANS:
        raise ValueError("consists of too many pieces")
    return scans


def tiff_pixels(data: Memory, limit: int) -> int:
    """The pixels of all frames of a TIFF. Raises TooManyPixels, ValueError, or struct.error where it is cut off."""
    view, steps = memoryview(data), _Steps(len(data))
    order = "<" if bytes(view[:2]) == b"II" else ">"
    version = struct.unpack_from(f"{order}H", view, 2)[0]
    if version not in (_CLASSIC, _BIG):
        raise ValueError("has an unknown version")
    head, entry, offset, at = ("Q", "HHQ8s", "Q", 8) if version == _BIG else ("H", "HHI4s", "I", 4)
    at = struct.unpack_from(f"{order}{offset}", view, at)[0]
    seen: set[int] = set()
    pixels = 0
    while at:
        if at in seen:
            raise ValueError("has frames that go in circles")
        seen.add(at)
        count = _number(view, at, order + head)
        steps.take(1 + count)
        first = at + struct.calcsize(order + head)
        last = first + count * struct.calcsize(order + entry)
        pixels += _area(view[first:last], order, entry)
        if pixels > limit:
            raise TooManyPixels(limit)
        at = _number(view, last, order + offset)
    return pixels


def _number(view: memoryview, at: int, form: str) -> int:
    """The number at an offset, which may be anywhere. Raises ValueError."""
    if at + struct.calcsize(form) > len(view):
        raise ValueError("is cut off")
    return int(struct.unpack_from(form, view, at)[0])


def _area(entries: memoryview, order: str, entry: str) -> int:
    """The pixels of one frame of a TIFF, from its directory."""
    sides: dict[int, int] = {}
    for tag, kind, count, value in struct.iter_unpack(order + entry, entries):
        if tag in (_WIDTH, _HEIGHT):
            form = _INTEGERS.get(kind)
            if form is None or count != 1 or tag in sides or struct.calcsize(form) > len(value):
                raise ValueError("has a frame of unclear size")
            sides[tag] = struct.unpack_from(order + form, value)[0]
    return sides.get(_WIDTH, 0) * sides.get(_HEIGHT, 0)
