"""Folders in which models are made: one is its owner's while the owner lives, and swept away afterwards."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

_LOCK = ".lock"


@contextlib.contextmanager
def locked(root: Path) -> Iterator[None]:
    """One process at a time changes the store `root`, which is made if it is not there. Raises OSError."""
    root.mkdir(parents=True, exist_ok=True)
    number = os.open(root / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(number, fcntl.LOCK_EX)
        yield
    finally:
        os.close(number)


@contextlib.contextmanager
def staged(root: Path) -> Iterator[Path]:
    """A new folder in the store `root`, on its file system; it is removed at the end, or, if this process is killed,
    by the next one that comes here. Raises OSError."""
    parent = root / ".staging"
    with locked(root):
        parent.mkdir(exist_ok=True)
        _sweep(parent)
        folder = Path(tempfile.mkdtemp(dir=parent))
        number = _owned(folder)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if number is not None:
            os.close(number)


def _sweep(parent: Path) -> None:
    """Remove the folders of processes that are gone."""
    for folder in parent.iterdir():
        with contextlib.suppress(OSError):
            number = _owned(folder)
            if number is not None:
                shutil.rmtree(folder, ignore_errors=True)
                os.close(number)


def _owned(folder: Path) -> int | None:
    """The descriptor that makes this process the owner; None if another one is."""
    number = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(number)
        return None
    except BaseException:
        os.close(number)
        raise
    return number
