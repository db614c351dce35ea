"""Files that are there whole or not at all, whenever the process or the machine stops."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

PUBLIC = 0o666
"""The mode of what everybody may read who may come there, less the umask."""
_LONGEST = 100


def write_whole(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Put `data` at `path` in place of what is there. Raises OSError; then what was there still is."""
    with replacing(path, mode) as stream:
        stream.write(data)


def create_whole(path: Path, data: bytes) -> None:
    """Put `data` at `path`, mode 0600. Raises OSError, FileExistsError if something is there."""
    with _temporary(path) as temporary:
        with _flushed(temporary, 0o600) as stream:
            stream.write(data)
        path.hardlink_to(temporary)
        sync(path.parent)


@contextlib.contextmanager
def replacing(path: Path, mode: int = 0o600) -> Iterator[BinaryIO]:
    """A new file, which takes the place of `path` once the block has ended well, and else goes. Raises OSError."""
    with _temporary(path) as temporary:
        with _flushed(temporary, mode) as stream:
            yield stream
        temporary.replace(path)
        sync(path.parent)


def created(path: Path, mode: int) -> BinaryIO:
    """A new file of that mode, less the umask. Raises OSError, FileExistsError if something is there."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, mode), "wb")


def sync(path: Path) -> None:
    """What is written to the file or folder is on the disk, not only in memory. Raises OSError."""
    number = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(number)
    finally:
        os.close(number)


@contextlib.contextmanager
def _temporary(path: Path) -> Iterator[Path]:
    """A name beside `path` that nobody has; what lies there afterwards goes."""
    temporary = path.with_name(f".{path.name[:_LONGEST]}.{secrets.token_hex(8)}.tmp")
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def _flushed(path: Path, mode: int) -> Iterator[BinaryIO]:
    """A new file, which is on the disk once the block has ended well."""
    with created(path, mode) as stream:
        yield stream
        stream.flush()
        os.fsync(stream.fileno())
