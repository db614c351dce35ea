"""The folder of one call's files, with names that are safe whatever a client said, and what media type a file has."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from mimetypes import MimeTypes
from pathlib import Path, PurePosixPath

from bentod.errors import BodyTooLarge, StorageFailed
from bentod.iotypes.media_types import OCTETS, lies_in
from bentod.iotypes.parts import Memory
from bentod.iotypes.special import BinaryType, FileType, ImageType

MOST_FILES = 64
"""Files that one call may bring."""

_NAMELESS = "file"
_NEWER = {  # what Python's own table lacks, or has only since lately
    ".avif": "image/avif",
    ".flac": "audio/flac",
    ".m4a": "audio/mp4",
    ".ogg": "audio/ogg",
    ".opus": "audio/opus",
    ".webp": "image/webp",
}
_LONGEST_NAME, _LONGEST_SUFFIX = 100, 20


class CallFolder:
    """A folder that is made, for this user only, when the first file needs it."""

    __slots__ = ("_last", "_names", "made", "path")

    def __init__(self, parent: Path, name: str) -> None:
        self.path = parent / name
        self.made = False
        self._names: set[str] = set()
        self._last: Counter[str] = Counter()

    def new(self, name: str) -> Path:
        """The path of a file that does not exist yet, named much as the client named it.

        Raises BodyTooLarge for more than 64 files, StorageFailed.
        """
        if len(self._names) >= MOST_FILES:
            raise BodyTooLarge(f"the input has more than {MOST_FILES} files")
        if not self.made:
            with storing():
                _make_private(self.path)
            self.made = True
        plain = PurePosixPath(safe_name(name))
        unique, number = plain.name, self._last[plain.name.casefold()] or 1
        while unique.casefold() in self._names:
            number += 1
            unique = f"{plain.stem}-{number}{plain.suffix}"
        self._names.add(unique.casefold())
        self._last[plain.name.casefold()] = number
        return self.path / unique

    def put(self, name: str, data: Memory) -> Path:
        """A new file that holds `data`. Raises as `new` does."""
        path = self.new(name)
        with storing():
            path.write_bytes(data)
        return path

    def remove(self) -> None:
        """Remove the folder with all that is in it, whoever made it."""
        shutil.rmtree(self.path, ignore_errors=True)


@contextmanager
def storing() -> Iterator[None]:
    """Raises StorageFailed for what the host's file system refuses."""
    try:
        yield
    except OSError as error:
        raise StorageFailed(log=f"the files of the call: {error.strerror or type(error).__name__}") from None


def _make_private(folder: Path) -> None:
    """Make a folder for this user only, and those above it that somebody has cleaned away.

    Raises OSError, also if the one above belongs to another user, who could exchange what is in it.
    """
    above = folder.parent
    if not os.path.lexists(above):
        with suppress(FileExistsError):  # a neighbour was faster
            _make_private(above)
    found = above.lstat()
    if found.st_uid not in (0, os.geteuid()) or not stat.S_ISDIR(found.st_mode):
        raise PermissionError(errno.EPERM, "the folder above is somebody else's")
    folder.mkdir(mode=0o700)


def safe_name(name: str) -> str:
    """A client's file name without folders, control characters and leading dots, in at most 100 bytes; else `file`."""
    last = name.replace("\\", "/").rpartition("/")[2]
    plain = "".join(character for character in last if character.isprintable()).strip(" .")
    if len(plain.encode()) > _LONGEST_NAME:
        suffix = PurePosixPath(plain).suffix
        suffix = suffix if len(suffix.encode()) <= _LONGEST_SUFFIX else ""
        room = _LONGEST_NAME - len(suffix.encode())
        plain = plain.encode()[:room].decode(errors="ignore").rstrip(" .") + suffix
    return plain or _NAMELESS


def check_media_type(kind: FileType | BinaryType | ImageType, said: str, name: str) -> str:
    """The most specific media type that is known of a file: what was said of it, else what its name suggests.

    Raises ValueError if that is not what the schema wants. Of what nobody knows nothing is required.
    """
    known = said if said not in ("", OCTETS) else suggested(name)
    concrete = kind.media_type if "*" not in kind.media_type else ""
    if not known:
        return concrete or said
    if not lies_in(known, kind.media_type):
        raise ValueError(f"is {known}, not {kind.media_type}")
    return concrete or known


def suggested(name: str) -> str:
    """The media type that a file's name suggests, the same on every host; empty if none."""
    kind, encoding = _known_suffixes().guess_type(name, strict=False)
    return kind if kind is not None and encoding is None else ""


def default_name(media_type: str) -> str:
    """A name for a file that came without one: its suffix tells what it is to whoever goes by suffixes."""
    if media_type in ("", OCTETS) or "*" in media_type:
        return _NAMELESS
    return _NAMELESS + (_known_suffixes().guess_extension(media_type, strict=False) or "")


@cache
def _known_suffixes() -> MimeTypes:
    known = MimeTypes()
    for suffix, media_type in _NEWER.items():
        known.add_type(media_type, suffix)
    return known
