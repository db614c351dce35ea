"""What the numbers of NVIDIA's driver for errors of a GPU mean. Source: NVIDIA's manual "XID Errors"."""

from __future__ import annotations

_WORDS = {
    13: "an error of the graphics engine, mostly by a program",
    31: "a memory page fault, mostly by a program",
    32: "an invalid or corrupted push buffer",
    38: "a failure of the driver's firmware",
    43: "a program was stopped on it after an error",
    44: "a fault in switching contexts",
    45: "programs were stopped on it, mostly after another error",
    48: "an error of its memory could not be corrected",
    61: "an error of its microcontroller",
    62: "its microcontroller has halted",
    63: "a part of its memory was replaced by a spare one",
    64: "a part of its memory could not be replaced by a spare one",
    68: "an error of the video processor",
    69: "an error of the graphics engine's class",
    74: "an error of NVLink",
    79: "it has fallen off the bus",
    92: "many errors of its memory had to be corrected",
    94: "an error of its memory was contained in one program",
    95: "an error of its memory could not be contained",
    109: "a time-out in switching contexts",
    119: "its system processor did not answer in time",
    120: "an error of its system processor",
}


def words(code: int) -> str:
    """`Xid 79: it has fallen off the bus`."""
    return f"Xid {code}: {_WORDS[code]}" if code in _WORDS else f"Xid {code}"
