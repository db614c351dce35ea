"""Where log lines go: stderr, or a file that is rotated by size."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Protocol

MAX_BYTES = 16 * 1024 * 1024
KEPT = 3


class Sink(Protocol):
    """Takes whole lines."""

    def write(self, lines: bytes) -> None:
        """Write lines, each with its end. Never raises: a full disk must not stop the service."""


def open_sink(file: str) -> Sink:
    """The sink for a path, stderr for an empty one."""
    return RotatingFile(Path(file)) if file else Descriptor(2)


class Descriptor:
    """An open descriptor."""

    def __init__(self, number: int) -> None:
        self._number = number

    def write(self, lines: bytes) -> None:
        """Write lines, as far as the other end takes them."""
        rest = memoryview(lines)
        with contextlib.suppress(OSError):
            while rest:
                rest = rest[os.write(self._number, rest) :]


class RotatingFile:
    """A file of at most 16 MiB, and the three before it as `.1` to `.3`. Made with mode 0600: lines may be private."""

    def __init__(self, path: Path, max_bytes: int = MAX_BYTES) -> None:
        self._path = path
        self._max = max_bytes
        self._number = -1
        self._size = 0
        self._open()

    def write(self, lines: bytes) -> None:
        """Append lines; the file is turned over before it would exceed its size."""
        if self._size and self._size + len(lines) > self._max:
            self._turn()
        Descriptor(self._number).write(lines)
        self._size += len(lines)

    def _open(self) -> None:
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._number = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            self._size = os.fstat(self._number).st_size

    def _turn(self) -> None:
        with contextlib.suppress(OSError):
            os.close(self._number)
        self._number, self._size = -1, 0  # whoever gets the number next must not get our lines
        for number in range(KEPT, 0, -1):
            older = self._path.with_name(f"{self._path.name}.{number}")
            newer = self._path.with_name(f"{self._path.name}.{number - 1}") if number > 1 else self._path
            with contextlib.suppress(OSError):
                newer.replace(older)
        self._open()
