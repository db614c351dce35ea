"""The digest of a model: SHA-256 over the sorted lines `<sha256>  <path>` of its files, as `sha256sum` prints them."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import stat
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

from bentod.models.home import ModelError

CHUNK = 1 << 20
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_KINDS = (
    (stat.S_ISLNK, "a link"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISCHR, "a device"),
)
_THREADS = 4
_LONGEST_PATH = 4000

Counted = Callable[[int], None]
"""Is told of every piece of bytes that was read; it is called from several threads."""


class File(NamedTuple):
    """One file of a model: its path within the model, with `/`, its size in bytes and its SHA-256 in hex."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class FileSet:
    """The files of a model, sorted by path."""

    files: tuple[File, ...]

    @property
    def digest(self) -> str:
        """`sha256:<hex>` over the lines of the files."""
        lines = "".join(f"{file.sha256}  {file.path}\n" for file in in_order(self.files))
        return "sha256:" + hashlib.sha256(lines.encode()).hexdigest()

    @property
    def size(self) -> int:
        """All bytes of all files."""
        return sum(file.size for file in self.files)


class Found(NamedTuple):
    """A file of a model that has not been read: its path within the model, its size, and its path on this host."""

    path: str
    size: int
    place: Path


def in_order(files: Iterable[File]) -> list[File]:
    """Sorted by the bytes of their paths, as `LC_ALL=C sort` does."""
    return sorted(files, key=lambda file: file.path.encode())


def of(path: Path, *, follow: bool = False, counted: Counted | None = None) -> FileSet:
    """The files of the model at `path`, a folder or one file. Raises ModelError."""
    return hashed(found(path, follow=follow), follow=follow, counted=counted)


def hashed(files: Iterable[Found], *, follow: bool = False, counted: Counted | None = None) -> FileSet:
    """Read the files that were found. Raises ModelError, also for a file that has changed since."""
    return each(files, lambda file, count: _hashed(file, follow, count), counted)


def each(files: Iterable[Found], job: Callable[[Found, Counted], File], counted: Counted | None = None) -> FileSet:
    """What the job makes of the files, in the same order; it is done in several threads. The job has to count the bytes
    that it reads: an interrupt, or an error of another one, ends it there."""
    files, over = tuple(files), threading.Event()

    def count(size: int) -> None:
        if over.is_set():
            raise ModelError("this was interrupted; do it again")
        if counted is not None:
            counted(size)

    with ThreadPoolExecutor(max(1, min(_THREADS, os.cpu_count() or 1, len(files)))) as pool:
        tasks = [pool.submit(job, file, count) for file in files]
        try:
            return FileSet(tuple(task.result() for task in tasks))
        except BaseException:
            over.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def found(path: Path, *, follow: bool = False) -> tuple[Found, ...]:
    """The files of the model at `path`, a folder or one file, without reading any. Raises ModelError."""
    return listing(path, follow=follow) if path.is_dir() else single(path)


def listing(path: Path, *, follow: bool = False) -> tuple[Found, ...]:
    """The files of the folder `path`, sorted as their digest wants it, without reading any. Raises ModelError."""
    with failing(f"the model {path} cannot be read"):
        files = sorted(_walk(path, follow), key=lambda one: one.path.encode())
    if not files:
        raise ModelError(f"the model {path} holds no file; name a folder that holds the model's files")
    return tuple(files)


def single(path: Path) -> tuple[Found, ...]:
    """The one file `path`, as `listing` gives the files of a folder. Raises ModelError.

    It may be a link: it was named, and its line has the link's name.
    """
    with failing(f"the model {path} cannot be read"):
        size = _regular(path, path.stat(), follow=False).st_size
        return (Found(checked_name(path.name, path), size, path.resolve()),)


def checked_name(name: str, where: Path | str) -> str:
    """`name`, if a file of a model may be called so. Raises ModelError."""
    if reason := why_not_a_name(name):
        raise ModelError(f"{str(where)!r}: {reason}; rename it")
    return name


def why_not_a_name(name: str) -> str:
    """Why no file of a model may be called `name`; "" if it may."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return "the name is not UTF-8"
    if control := _CONTROL.search(name):
        return f"the name holds the control character U+{ord(control[0]):04X}"
    if "\\" in name:
        return "the name holds a backslash, which is no name everywhere"
    return "this is no name of a file" if name in {"", ".", ".."} or "/" in name else ""


def why_not_a_path(path: str) -> str:
    """Why `path` cannot be the path of a file within a model; "" if it can."""
    if len(path) > _LONGEST_PATH:
        return "the path is too long"
    return next(filter(None, map(why_not_a_name, path.split("/"))), "")


def opened(file: Found, *, follow: bool = False) -> BinaryIO:
    """The file, open, if it is still the regular file that was found. Raises ModelError, OSError."""
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | (0 if follow else os.O_NOFOLLOW)
    stream = os.fdopen(os.open(file.place, flags), "rb", buffering=0)
    state = os.fstat(stream.fileno())
    if not stat.S_ISREG(state.st_mode) or state.st_size != file.size:
        stream.close()
        raise _changed(file)
    return stream


def pieces(file: Found, *, follow: bool = False, counted: Counted | None = None) -> Iterator[bytes]:
    """The bytes of the file, as many as were found. Raises ModelError."""
    left = file.size
    with failing(f"the model's file {file.place} cannot be read"), opened(file, follow=follow) as stream:
        while piece := stream.read(CHUNK):
            left -= len(piece)
            if left < 0:
                break
            if counted is not None:
                counted(len(piece))
            yield piece
    if left:
        raise _changed(file)


def small(path: Path, most: int) -> bytes:
    """The first `most` bytes of the file `path`, and one more if there are more. Raises OSError, also for what is no
    regular file: to open a FIFO would never end."""
    with regular(path) as stream:
        return stream.read(most + 1)


def regular(path: Path) -> BinaryIO:
    """The regular file `path`, open. Raises OSError, also for what is none."""
    stream = os.fdopen(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb")
    if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
        stream.close()
        raise OSError(errno.EINVAL, "it is no regular file", str(path))
    return stream


@contextlib.contextmanager
def failing(what: str) -> Iterator[None]:
    """Turns OSError into ModelError: `what`, then why."""
    try:
        yield
    except OSError as error:
        place = f" ({error.filename2 or error.filename})" if error.filename else ""
        raise ModelError(f"{what}: {error.strerror or error}{place}") from None


def _hashed(file: Found, follow: bool, counted: Counted) -> File:
    sha256 = hashlib.sha256()
    for piece in pieces(file, follow=follow, counted=counted):
        sha256.update(piece)
    return File(file.path, file.size, sha256.hexdigest())


def _walk(root: Path, follow: bool) -> Iterator[Found]:
    folders = [("", root)]
    while folders:
        prefix, folder = folders.pop()
        with os.scandir(folder) as entries:
            for entry in entries:
                path = prefix + checked_name(entry.name, root / prefix / entry.name)
                if len(path) > _LONGEST_PATH:
                    raise ModelError(f"{root}: the paths in it are too long")
                if entry.is_dir(follow_symlinks=False):
                    folders.append((f"{path}/", Path(entry.path)))
                else:
                    state = _regular(Path(entry.path), entry.stat(follow_symlinks=False), follow)
                    yield Found(path, state.st_size, Path(entry.path))


def _regular(path: Path, state: os.stat_result, follow: bool) -> os.stat_result:
    """The state of a regular file. Raises ModelError for anything else."""
    if follow and stat.S_ISLNK(state.st_mode):
        state = path.stat()
    if not stat.S_ISREG(state.st_mode):
        kind = next((name for check, name in _KINDS if check(state.st_mode)), "no regular file")
        advice = "copy what it points to there" if kind == "a link" else "take it away"
        raise ModelError(f"{path} is {kind}, and a model consists of regular files; {advice}")
    return state


def _changed(file: Found) -> ModelError:
    return ModelError(f"the model's file {file.place} changed while it was read; try again once nobody writes it")
