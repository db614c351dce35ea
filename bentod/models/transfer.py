"""One file from a hub to this host: continued where an earlier attempt ended, hashed while it comes, bounded."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event
from typing import Any, Protocol

from bentod.models.home import ModelError
from bentod.models.orders import Limits
from bentod.models.patience import Passing, Stopped, patiently
from bentod.models.progress import Offered

PARTIAL = ".bentod.incomplete"
"""How the name of a file ends that has not come wholly."""
_CHUNK = 1 << 20
_PART = 206
_BEYOND = 416
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}

Counted = Callable[[int], None]


class Answer(Protocol):
    """What is needed of an HTTP answer."""

    status_code: int
    headers: Any

    def iter_bytes(self) -> Iterator[bytes]:
        """The body."""


Source = Callable[[int], contextlib.AbstractContextManager[Answer]]
"""Asks for a file's bytes from an offset on; the connection's errors are Passing."""


class Hashes:
    """The digests of one file, as far as its bytes have come."""

    def __init__(self, file: Offered) -> None:
        self._file = file
        self._sha256 = hashlib.sha256()
        self._sha1 = None if file.sha256 else hashlib.sha1(b"blob %d\0" % file.size, usedforsecurity=False)

    def update(self, data: bytes) -> None:
        """More of the bytes."""
        self._sha256.update(data)
        if self._sha1 is not None:
            self._sha1.update(data)

    @property
    def sha256(self) -> str:
        """In hex."""
        return self._sha256.hexdigest()

    def wrong(self) -> str:
        """How the bytes differ from what the hub lists; "" if they do not."""
        name, listed = ("sha256", self._file.sha256) if self._sha1 is None else ("sha1", self._file.sha1)
        found = self.sha256 if self._sha1 is None else self._sha1.hexdigest()
        return "" if found == listed else f"its {name} is {found}, and the hub lists {listed}"


def hashed(place: Path, file: Offered, counted: Counted, stop: Event) -> str:
    """The sha256 of the file at `place` if that is the one that the hub lists; "" if it is another, or none."""
    hashes = Hashes(file)
    done = 0
    try:
        with place.open("rb", buffering=0) as stream:
            if os.fstat(stream.fileno()).st_size != file.size:
                return ""
            while data := stream.read(_CHUNK):
                if stop.is_set():
                    raise Stopped
                hashes.update(data)
                done += len(data)
                counted(len(data))
    except FileNotFoundError:
        return ""
    if hashes.wrong():
        counted(-done)
        return ""
    return hashes.sha256


def partly(blob: Path) -> int:
    """How many bytes of `blob` an earlier attempt has left."""
    try:
        return _partial(blob).stat().st_size
    except OSError:
        return 0


class Transfer:
    """One file on its way to `blob`. `ask` gives its bytes."""

    def __init__(self, file: Offered, blob: Path, ask: Source, limits: Limits, stop: Event) -> None:
        self._file = file
        self._blob = blob
        self._ask = ask
        self._limits = limits
        self._stop = stop
        self._hashes = Hashes(file)
        self._have = 0
        self._counted: Counted = lambda _: None

    def run(self, counted: Counted) -> str:
        """Fetch the file. Returns its sha256. Raises ModelError, Passing, Stopped, OSError."""
        self._counted = counted
        partial = _partial(self._blob)
        with _locked(partial) as stream:
            if found := hashed(self._blob, self._file, counted, self._stop):  # somebody else was quicker
                partial.unlink(missing_ok=True)
                return found
            try:
                self._fill(stream)
            except OSError as error:
                if error.errno in _FULL:  # whoever filled the disk gives back what it took
                    partial.unlink(missing_ok=True)
                raise
            except ModelError:
                partial.unlink(missing_ok=True)
                raise
            os.fdatasync(stream)
            partial.chmod(0o666 & ~_umask(self._blob.parent))
            partial.replace(self._blob)
        return self._hashes.sha256

    def _fill(self, stream: int) -> None:
        resumed = self._resume(stream)
        for again in (resumed, False):
            patiently(lambda: self._attempt(stream), self._limits, self._stop, lambda: self._have)
            wrong = self._hashes.wrong()
            if not wrong:
                return
            if not again:
                raise ModelError(f"the hub sent another file than it lists: of `{self._file.path}`, {wrong}")
            self._restart(stream)  # what an earlier attempt left may have been wrong

    def _resume(self, stream: int) -> bool:
        """Take what an earlier attempt left. Says whether there was anything."""
        if os.fstat(stream).st_size > self._file.size:
            os.ftruncate(stream, 0)
        while data := os.read(stream, _CHUNK):
            self._took(data)
        return self._have > 0

    def _restart(self, stream: int) -> None:
        os.ftruncate(stream, 0)
        os.lseek(stream, 0, os.SEEK_SET)
        self._counted(-self._have)
        self._have = 0
        self._hashes = Hashes(self._file)

    def _attempt(self, stream: int) -> None:
        """Append what is missing. Raises Passing if not all of it comes."""
        if self._have == self._file.size:
            return
        with self._ask(self._have) as answer:
            if self._have and not _continues(answer, self._have):
                self._restart(stream)
            if answer.status_code == _BEYOND:
                raise Passing("it says that there is no more of the file")
            self._check_length(answer)
            for data in answer.iter_bytes():
                if self._stop.is_set():
                    raise Stopped
                if self._have + len(data) > self._file.size:
                    raise self._too_many(f"more than {self._file.size}")
                _write(stream, data)
                self._took(data)
        if self._have < self._file.size:
            raise Passing(f"it sent {self._have} of {self._file.size} bytes of `{self._file.path}`, and no more")

    def _took(self, data: bytes) -> None:
        self._hashes.update(data)
        self._have += len(data)
        self._counted(len(data))

    def _check_length(self, answer: Answer) -> None:
        said = answer.headers.get("content-length", "")
        if said.isdecimal() and not answer.headers.get("content-encoding") and self._have + int(said) > self._file.size:
            raise self._too_many(str(self._have + int(said)))

    def _too_many(self, sent: str) -> ModelError:
        path, size = self._file.path, self._file.size
        return ModelError(f"the hub sends another file than it lists: of `{path}`, {sent} bytes instead of {size}")


def _partial(blob: Path) -> Path:
    return blob.with_name(f"{blob.name}{PARTIAL}")


def _continues(answer: Answer, start: int) -> bool:
    """Whether the answer begins where the file ends so far."""
    given = answer.headers.get("content-range", "")
    return answer.status_code == _PART and given.startswith(f"bytes {start}-")


def _write(stream: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(stream, view) :]


@contextlib.contextmanager
def _locked(partial: Path) -> Iterator[int]:
    """The open file `partial`, which no other process writes meanwhile. The lock goes with the process."""
    partial.parent.mkdir(parents=True, exist_ok=True)
    while True:
        stream = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(stream, fcntl.LOCK_EX)
            if not _same(partial, stream):  # its last owner has moved it to its place
                continue
            yield stream
            return
        finally:
            os.close(stream)


def _same(path: Path, stream: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(stream))
    except FileNotFoundError:
        return False


def _umask(folder: Path) -> int:
    """What the folder's mode keeps from others; asking the process would change its umask for a moment."""
    return ~folder.stat().st_mode & 0o066
