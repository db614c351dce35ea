"""A build context: every file that an engine is given, in order, as a tar stream or a folder. The same files give the
same bytes."""

from __future__ import annotations

import hashlib
import io
import itertools
import os
import stat
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from bentod.errors import BentodError

MTIME = 315532800
"""1980-01-01: what every file says, since nothing of an image shall depend on when it was built."""
FILE, PROGRAM, FOLDER = 0o644, 0o755, 0o755
_PIECE = 1024 * 1024
_RECORD = 512


class ContextError(BentodError):
    """A build context cannot be made."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A file: its `path` in the context, and its content: bytes, or the file that holds `size` bytes."""

    path: str
    source: bytes | Path
    size: int
    mode: int = FILE


@dataclass(frozen=True, slots=True)
class Context:
    """The files, sorted by path. `known` are digests of folders whose files need not be read for the context's own."""

    entries: tuple[Entry, ...]
    known: tuple[tuple[str, str], ...] = ()

    @property
    def size(self) -> int:
        """All bytes of all files."""
        return sum(entry.size for entry in self.entries)


def text(path: str, content: str) -> Entry:
    """An entry of text."""
    data = content.encode()
    return Entry(path, data, len(data))


def held(path: str, data: bytes) -> Entry:
    """An entry of bytes."""
    return Entry(path, data, len(data))


def made(entries: Iterable[Entry], known: Iterable[tuple[str, str]] = ()) -> Context:
    """The context of these files. Raises ContextError if one path stands for two, or a file is a folder, too."""
    in_order = sorted(entries, key=lambda entry: entry.path.encode())
    paths = {entry.path for entry in in_order}
    folders = {str(parent) for path in paths for parent in PurePosixPath(path).parents}
    if twice := next((a.path for a, b in itertools.pairwise(in_order) if a.path == b.path), ""):
        raise ContextError(f"two files of the image are called `{twice}`")
    if both := paths & folders:
        raise ContextError(f"`{min(both)}` is a file and a folder of the image")
    return Context(tuple(in_order), tuple(sorted(known)))


def pieces(entry: Entry) -> Iterator[bytes]:
    """The content. Raises ContextError if the file is not what it was when it was found."""
    if isinstance(entry.source, bytes):
        yield entry.source
        return
    try:
        yield from _read(entry.source, entry.size)
    except OSError as error:
        raise ContextError(f"{entry.source} cannot be read: {error.strerror}") from None


def _read(file: Path, size: int) -> Iterator[bytes]:
    """The path had no links when it was found, so a link that is there now was put there since."""
    descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb", buffering=0) as stream:
        before = os.fstat(descriptor)
        moved = Path(f"/proc/self/fd/{descriptor}").readlink() != file
        if moved or not stat.S_ISREG(before.st_mode) or before.st_size != size:
            raise _changed(file)
        left = size
        while left and (piece := stream.read(min(_PIECE, left))):
            left -= len(piece)
            yield piece
        after = os.fstat(descriptor)
        if left or after.st_size != size or after.st_mtime_ns != before.st_mtime_ns:
            raise _changed(file)


def _changed(file: Path) -> ContextError:
    return ContextError(f"{file} changed while the build context was made; build again once nobody writes it")


def tar(context: Context) -> Iterator[bytes]:
    """The context as a tar archive, piece by piece. Raises ContextError."""
    for path, entry in _with_folders(context):
        yield _header(path, entry)
        if entry is not None:
            yield from pieces(entry)
            if entry.size % _RECORD:
                yield bytes(_RECORD - entry.size % _RECORD)
    yield bytes(2 * _RECORD)


def _with_folders(context: Context) -> Iterator[tuple[str, Entry | None]]:
    """Each entry with its path, and before it those of its folders that did not come yet."""
    seen: set[str] = set()
    for entry in context.entries:
        for parent in reversed(PurePosixPath(entry.path).parents[:-1]):
            if str(parent) not in seen:
                seen.add(str(parent))
                yield str(parent), None
        yield entry.path, entry


def _header(path: str, entry: Entry | None) -> bytes:
    info = tarfile.TarInfo(path)
    info.mtime = MTIME
    info.type, info.mode = (tarfile.REGTYPE, entry.mode) if entry else (tarfile.DIRTYPE, FOLDER)
    info.size = entry.size if entry else 0
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "strict")


def digest(context: Context) -> str:
    """`sha256:<hex>` over the lines of all files; of a folder that is known, over its digest."""
    lines = [f"{known}  {path}/" for path, known in context.known]
    folders = tuple(f"{path}/" for path, _ in context.known)
    for entry in context.entries:
        if not entry.path.startswith(folders) if folders else True:
            read = hashlib.sha256()
            for piece in pieces(entry):
                read.update(piece)
            lines.append(f"{read.hexdigest()} {entry.mode:o} {entry.path}")
    return "sha256:" + hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()


def stream(context: Context) -> io.RawIOBase:
    """The tar archive as a file to read from."""
    return _Stream(tar(context))


class _Stream(io.RawIOBase):
    def __init__(self, source: Iterator[bytes]) -> None:
        self._source = source
        self._left = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        while not self._left:
            piece = next(self._source, None)
            if piece is None:
                return 0
            self._left = memoryview(piece)
        count = min(len(buffer), len(self._left))
        buffer[:count] = self._left[:count]
        self._left = self._left[count:]
        return count
