"""Where log lines go: stderr, or a file that is rotated by size."""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path
from typing import Protocol

MAX_BYTES = 16 * 1024 * 1024
KEPT = 3
MAX_WAITING = 4 * 1024 * 1024
_CLOSE_S = 1.0


class Sink(Protocol):
    """Takes whole lines."""

    def write(self, lines: bytes) -> None:
        """Write lines, each with its end. Never raises: a full disk must not stop the service."""

    def close(self) -> None:
        """Write what is still to be written, if that does not take long."""


def open_sink(file: str) -> Sink:
    """The sink for a path, stderr for an empty one."""
    return RotatingFile(Path(file)) if file else Background(2)


def _write_all(number: int, lines: bytes) -> None:
    """Write to a descriptor, as far as the other end takes it."""
    rest = memoryview(lines)
    with contextlib.suppress(OSError):
        while rest:
            rest = rest[os.write(number, rest) :]


class Nowhere:
    """Takes everything and keeps nothing."""

    def write(self, lines: bytes) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


class Background:
    """A descriptor whose reader may stop reading: a terminal that is paused, a pipe that nobody empties.

    A thread of its own waits for the reader. What comes above `limit` bytes meanwhile is dropped, and counted.
    """

    def __init__(self, number: int, limit: int = MAX_WAITING) -> None:
        self._number = number
        self._limit = limit
        self._waiting: list[bytes] = []
        self._size = 0
        self._dropped = 0
        self._closing = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def write(self, lines: bytes) -> None:
        """Hand lines over."""
        with self._changed:
            if self._size + len(lines) > self._limit:
                self._dropped += lines.count(b"\n")
                return
            self._waiting.append(lines)
            self._size += len(lines)
            self._changed.notify()

    def close(self) -> None:
        """Wait until all is written, a second at the most."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(_CLOSE_S)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._dropped or self._closing)
                lines, self._waiting, dropped, self._dropped = b"".join(self._waiting), [], self._dropped, 0
            if not (lines or dropped):
                return
            _write_all(self._number, lines)
            if dropped:
                _write_all(self._number, b"(%d lines were dropped: nobody read them)\n" % dropped)
            with self._changed:
                self._size -= len(lines)


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
        _write_all(self._number, lines)
        self._size += len(lines)

    def close(self) -> None:
        """Nothing is kept back."""

    def _open(self) -> None:
        with contextlib.suppress(OSError):
            self._path.parent.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._path.parent.mkdir(mode=0o700, exist_ok=True)
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
