"""Files that are copied into the store, hashed on their way, and on the disk before anybody is told of them."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from bentod.models import digest
from bentod.models.digest import Counted, File, FileSet, Found
from bentod.models.home import ModelError

MODE = 0o444
"""Of the files in the store, less the umask: a model that was added is not written again."""


def copied(files: Iterable[Found], target: Path, *, link: bool = False, counted: Counted | None = None) -> FileSet:
    """Copy the files into the new folder `target`. `link`: as second names of the same files, where that can be.
    Raises ModelError for what cannot be read, OSError for what cannot be written."""
    files = tuple(files)
    _make_folders(target, files)

    def copy(file: Found, count: Counted) -> File:
        where = target / file.path
        if link and _link(file.place, where):
            return _linked(file, where, count)
        return written(file.path, where, digest.pieces(file, counted=count))

    done = digest.each(files, copy, counted)
    sync_tree(target)
    return done


def check_room(folder: Path, size: int) -> None:
    """Raises ModelError if the file system of `folder`, which need not be there yet, has no room for `size` bytes."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(there).free
    if size > free:
        raise ModelError(
            f"the model has {size} bytes, and {there} has room for {free}: make room, or let BENTOD_MODELS name a "
            "folder with more"
        )


def written(path: str, where: Path, pieces: Iterable[bytes]) -> File:
    """Write the new file `where` from the pieces; it is known as `path`. Raises OSError."""
    sha256, size = hashlib.sha256(), 0
    with _created(where, MODE) as stream:
        for piece in pieces:
            sha256.update(piece)
            size += len(piece)
            stream.write(piece)
        stream.flush()
        os.fsync(stream.fileno())
    return File(path, size, sha256.hexdigest())


def write_whole(path: Path, data: bytes, mode: int = 0o666) -> None:
    """Put `data` at `path`, in place of what is there; it appears whole or not at all. Raises OSError."""
    with replacing(path, mode) as stream:
        stream.write(data)


@contextlib.contextmanager
def replacing(path: Path, mode: int = 0o666) -> Iterator[BinaryIO]:
    """A new file, which takes the place of `path` once the block has ended well, and else goes. Raises OSError."""
    temporary = path.with_name(f".{path.name[:100]}.{secrets.token_hex(8)}.tmp")
    try:
        with _created(temporary, mode) as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
        sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _created(path: Path, mode: int) -> BinaryIO:
    """A new file of that mode, less the umask."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, mode), "wb")


def sync(path: Path) -> None:
    """What is written to the file or folder is on the disk, not only in memory. Raises OSError."""
    number = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def sync_tree(root: Path) -> None:
    """The names in all folders below, and in `root`, are on the disk. Raises OSError."""
    for folder, _, _ in os.walk(root, topdown=False):
        sync(Path(folder))


def _make_folders(target: Path, files: Iterable[Found]) -> None:
    target.mkdir()
    for folder in sorted({(target / file.path).parent for file in files}):
        folder.mkdir(parents=True, exist_ok=True)


def _link(source: Path, target: Path) -> bool:
    """Whether the file has got a second name; it may lie on another file system, or be somebody else's."""
    try:
        target.hardlink_to(source)
    except OSError:
        return False
    return True


def _linked(file: Found, where: Path, counted: Counted) -> File:
    """The file under its second name."""
    (one,) = digest.hashed((file._replace(place=where),), counted=counted).files
    sync(where)
    return one
