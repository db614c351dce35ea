"""A build context written into a folder, which appears whole or not at all."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bentod.image.context import FOLDER, MTIME, Context, ContextError, Entry, pieces
from bentod.image.junk import MARK

_SAID = "This folder was written by `bentod build-image --output`. The next such command replaces all of it.\n"


def write(context: Context, folder: Path) -> None:
    """Write the context into `folder`, which is not there, empty, or an older context. Raises ContextError."""
    folder = folder.absolute()
    if why := _why_not(folder):
        raise ContextError(f"the build context cannot be written into {folder}: {why}")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with temporary(context, folder.parent, f".{folder.name}-") as made:
            (made / MARK).write_text(_SAID, "utf-8")
            _swap(made, folder)
    except OSError as error:
        raise ContextError(f"the build context cannot be written into {folder}: {error.strerror or error}") from None


@contextlib.contextmanager
def temporary(context: Context, where: Path | None = None, prefix: str = "bentod-image-") -> Iterator[Path]:
    """The context in a folder of its own that is removed afterwards, however that comes. Raises ContextError."""
    try:
        made = Path(tempfile.mkdtemp(dir=where, prefix=prefix))
    except OSError as error:
        raise ContextError(f"no folder for the build context can be made: {error}") from None
    try:
        made.chmod(FOLDER)
        for entry in context.entries:
            _write(entry, made)
        yield made
    except OSError as error:
        raise ContextError(f"the build context cannot be written: {error}") from None
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _why_not(folder: Path) -> str:
    if folder.is_symlink():
        return "it is a link"
    if not folder.exists():
        return ""
    if not folder.is_dir():
        return "it is no folder"
    if (folder / MARK).is_file() or not any(folder.iterdir()):
        return ""
    return "it has files that are not an older build context; name a new or an empty folder"


def _swap(made: Path, folder: Path) -> None:
    """`made` takes the place of `folder`; its content is removed only once the new one is there."""
    if not folder.exists() or not any(folder.iterdir()):
        made.replace(folder)
        return
    old = made.with_name(f"{made.name}-old")
    folder.replace(old)
    try:
        made.replace(folder)
    except BaseException:
        old.replace(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _write(entry: Entry, top: Path) -> None:
    path = top / entry.path
    path.parent.mkdir(parents=True, exist_ok=True, mode=FOLDER)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, entry.mode)
    with os.fdopen(descriptor, "wb", buffering=0) as file:
        for piece in pieces(entry):
            file.write(piece)
        os.fchmod(descriptor, entry.mode)
        os.utime(descriptor, (MTIME, MTIME))
