"""A terminal that is painted again and again, in ANSI sequences: what does not fit is cut, never wrapped."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import termios
import tty
import unicodedata
from collections.abc import Sequence
from typing import Any, TextIO

_ENTER = "\x1b[?1049h\x1b[?25l\x1b[H\x1b[2J"
_LEAVE = "\x1b[?25h\x1b[?1049l"
_HOME, _END_OF_LINE, _REST = "\x1b[H", "\x1b[K", "\x1b[J"
_USUAL = 80, 24
_OTHERS = {"C": "?", "Z": " "}
"""What is shown for controls, and for blanks and separators of all kinds."""


class Screen:
    """The other screen of a terminal, while it is entered. Keys are neither shown nor waited for there."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdout
        self._keys: list[Any] | None = None
        self._entered = False

    def enter(self) -> None:
        """Leave what is on the terminal as it is, and begin with an empty screen."""
        if self._entered:
            return
        self._entered = True
        if sys.stdin.isatty():
            with contextlib.suppress(termios.error, OSError):
                self._keys = termios.tcgetattr(sys.stdin.fileno())
                tty.setcbreak(sys.stdin.fileno(), termios.TCSANOW)
        self._write(_ENTER)

    def leave(self) -> None:
        """Back to what was there before."""
        if not self._entered:
            return
        self._entered = False
        with contextlib.suppress(OSError):
            self._write(_LEAVE)
        if self._keys is not None:
            with contextlib.suppress(termios.error, OSError):
                termios.tcsetattr(sys.stdin.fileno(), termios.TCSANOW, self._keys)

    def paint(self, lines: Sequence[str]) -> None:
        """Show these lines, and nothing else."""
        columns, rows = size(self._stream)
        self._write(painted(lines, columns, rows))

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


def size(stream: TextIO) -> tuple[int, int]:
    """Columns and rows as they are now: what the environment says of them does not change when a window does. A
    terminal that does not know its size, such as a serial line, says 0."""
    try:
        found = os.get_terminal_size(stream.fileno())
    except (OSError, ValueError):
        found = shutil.get_terminal_size()
    return found.columns or _USUAL[0], found.lines or _USUAL[1]


def painted(lines: Sequence[str], columns: int, rows: int) -> str:
    """What to write so that a terminal of this size shows the beginning of these lines. A line is erased before it is
    written: after one that is full the cursor still stands on its last sign."""
    *before, last = fitted(lines, columns, rows) or [""]
    return _HOME + "".join(f"{_END_OF_LINE}{line}\r\n" for line in before) + _REST + last


def fitted(lines: Sequence[str], columns: int, rows: int) -> list[str]:
    """As much as there is room for; the last line says how much more there is."""
    if len(lines) > rows:
        lines = [*lines[: rows - 1], f"… {len(lines) - rows + 1} more lines, in a higher terminal"]
    return [cut(line, columns) for line in lines]


def cut(text: str, columns: int) -> str:
    """As much of a line as `columns` can show, without anything that a terminal would obey."""
    shown, room = [], columns
    for sign in text:
        room -= _width(sign)
        if room < 0:
            break
        shown.append(_OTHERS.get(unicodedata.category(sign)[0], sign))
    return "".join(shown)


def _width(sign: str) -> int:
    if unicodedata.combining(sign):
        return 0
    return 2 if unicodedata.east_asian_width(sign) in "WF" else 1
