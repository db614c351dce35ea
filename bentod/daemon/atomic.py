"""Files that are there whole or not at all, whenever the process or the machine stops."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path


def write_whole(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Put `data` at `path` in place of what is there. Raises OSError; then what was there still is."""
    with _written(path, data) as temporary:
        temporary.chmod(mode)
        temporary.replace(path)


def create_whole(path: Path, data: bytes) -> None:
    """Put `data` at `path`, mode 0600. Raises OSError, FileExistsError if something is there."""
    with _written(path, data) as temporary:
        path.hardlink_to(temporary)


@contextlib.contextmanager
def _written(path: Path, data: bytes) -> Iterator[Path]:
    """A file beside `path` that holds `data`, on the disk and not only in memory. It may be moved."""
    number, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(number, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(number)
        yield temporary
        _sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """The name, too, must be on the disk."""
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(number)
    finally:
        os.close(number)
