"""A folder of contents, each in a file named by its SHA-256. Several processes write to it at once."""

from __future__ import annotations

import hashlib
import io
import os
import sys
import threading
from contextlib import suppress


def name_of(content: bytes) -> str:
    """What a content is called."""
    return hashlib.sha256(content, usedforsecurity=False).hexdigest()


def read(path: str) -> bytes:
    """The content of a file with code. Raises OSError."""
    with io.open_code(path) as file:
        return file.read()


class Kept:
    """The contents in `folder`; without a folder nothing is kept. What cannot be written is said once, on stderr: no
    worker fails for it."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._told = not folder

    def keep(self, name: str, content: bytes) -> None:
        """See to it that a content is there."""
        if not self._folder:
            return
        path = self._path(name)
        try:
            if _size(path) != len(content):
                self._write(path, content)
            else:  # what is old, and in no record yet, is cleared away
                os.utime(path)
        except OSError as error:
            self._tell(error)

    def get(self, name: str) -> bytes | None:
        """A content; None if it is not there, or is not what it was."""
        if not self._folder:
            return None
        with suppress(OSError):
            content = read(self._path(name))
            if name_of(content) == name:
                return content
        return None

    def _path(self, name: str) -> str:
        return os.path.join(self._folder, name)

    def _write(self, path: str, content: bytes) -> None:
        os.makedirs(self._folder, mode=0o700, exist_ok=True)
        draft = f"{path}.{os.getpid()}.{threading.get_ident()}.tmp"
        try:
            with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(content)
            os.replace(draft, path)
        except OSError:
            with suppress(OSError):
                os.unlink(draft)
            raise

    def _tell(self, error: OSError) -> None:
        if not self._told:
            self._told = True
            with suppress(Exception):
                sys.stderr.write(f"bentod: what this worker imports cannot be kept in {self._folder}: {error}\n")
                sys.stderr.flush()


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return -1
