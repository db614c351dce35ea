"""Lock files are written whole, and anybody may read them."""

from __future__ import annotations

from pathlib import Path

from bentod.errors import BentodError
from bentod.whole import write_whole

_PUBLIC = 0o644


class Unwritten(BentodError):
    """A lock file cannot be written."""


def write(path: Path, data: bytes) -> None:
    """Put `data` at `path`, in place of what is there. Raises Unwritten."""
    try:
        write_whole(path, data, _PUBLIC)
    except OSError as error:
        raise Unwritten(f"{path} cannot be written: {error.strerror or error}; see who may write there") from None
