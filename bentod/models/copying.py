"""Files that are copied into the store, hashed on their way, and on the disk before anybody is told of them."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from bentod.models import digest
from bentod.models.digest import Counted, File, FileSet, Found
from bentod.models.home import ModelError
from bentod.whole import created, sync

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
    with created(where, MODE) as stream:
        for piece in pieces:
            sha256.update(piece)
            size += len(piece)
            stream.write(piece)
        stream.flush()
        os.fsync(stream.fileno())
    return File(path, size, sha256.hexdigest())


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
