"""What files hold, as digests: whether something has changed is judged by content, never by times or events."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import stat
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from bentod.plan.difference import Cause

_YOUNG_NS = 2_000_000_000
"""A file may be written twice within one tick of its file system's clock. After this long that is over anywhere."""
_REMEMBERED = 50_000
_EMPTY = hashlib.sha256().hexdigest()
_RECENT_S = 1.0
"""What was settled so lately needs no second read to be believed again."""
_DOUBTS = 5
"""How many reads in a row must agree that a file which held something is now gone or empty. It may be being saved."""

_Signature = tuple[int, int, int, int]


class Contents:
    """The digests of files. What has not been touched for a while is not read again. `clock_ns` is the time of day."""

    def __init__(self, clock_ns: Callable[[], int] = time.time_ns) -> None:
        self._clock_ns = clock_ns
        self._known: dict[Path, tuple[_Signature, str]] = {}
        self._settled: dict[Path, str] = {}
        self._settled_at = -_RECENT_S

    def digest(self, path: Path) -> str:
        """The SHA-256 of what `path` holds, as hex digits, of a folder that of the names in it; "" if there is nothing,
        or nothing that can be read."""
        try:
            found = path.stat()
            if stat.S_ISDIR(found.st_mode):
                return hashlib.sha256(b"\0".join(sorted(os.listdir(os.fsencode(path))))).hexdigest()  # noqa: PTH208
            known = self._known.get(path)
            if known and known[0] == _signature(found):
                return known[1]
            return self._read(path)
        except (OSError, ValueError):
            return ""

    def digests(self, paths: Iterable[Path]) -> dict[Path, str]:
        """The digest of each path."""
        return {path: self.digest(path) for path in paths}

    async def settled(self, paths: Iterable[Path], pause_s: float = 0.05, limit_s: float = 5.0) -> dict[Path, str]:
        """The digests, once they stay the same from one read to the next, or what they are after `limit_s`.

        The files are read in a thread: they may be large, or far away.
        """
        wanted = tuple(paths)
        deadline = time.monotonic() + limit_s
        found = await asyncio.to_thread(self.digests, wanted)
        agreed = 2 if self._known_lately(found) else 1
        while agreed < self._needed(found) and time.monotonic() < deadline:
            await asyncio.sleep(pause_s)
            again = await asyncio.to_thread(self.digests, wanted)
            agreed = agreed + 1 if again == found else 1
            found = again
        self._settled, self._settled_at = found, time.monotonic()
        return found

    def _known_lately(self, found: Mapping[Path, str]) -> bool:
        """Whether this is just what was found a moment ago."""
        recent = time.monotonic() - self._settled_at < _RECENT_S
        return recent and all(self._settled.get(path) == digest for path, digest in found.items())

    def _needed(self, found: Mapping[Path, str]) -> int:
        """How many reads in a row must have found this."""
        doubtful = any(
            digest in ("", _EMPTY) and self._settled.get(path, digest) != digest for path, digest in found.items()
        )
        return _DOUBTS if doubtful else 2

    def _read(self, path: Path) -> str:
        # Without O_NONBLOCK, a pipe of this name would hold us forever.
        number = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(number, "rb") as stream:
            before = os.fstat(number)
            if not stat.S_ISREG(before.st_mode):
                return ""
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
            after = os.fstat(number)
        old = self._clock_ns() - after.st_mtime_ns > _YOUNG_NS
        if old and _signature(before) == _signature(after):
            self._remember(path, _signature(after), digest)
        return digest

    def _remember(self, path: Path, signature: _Signature, digest: str) -> None:
        if len(self._known) >= _REMEMBERED:
            self._known = {}
        self._known[path] = (signature, digest)


def _signature(found: os.stat_result) -> _Signature:
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino


def changes(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[Cause, ...]:
    """What differs between two sets of digests, by name: each file was `added`, `removed` or `changed`."""
    causes = []
    for name in sorted(before.keys() | after.keys()):
        old, new = before.get(name, ""), after.get(name, "")
        if old != new:
            word = "changed" if old and new else "added" if new else "removed"
            causes.append(Cause("file", name, "", word))
    return tuple(causes)


def name(path: Path, project: Path) -> str:
    """`path` for people and records: from the project's folder where it lies in it, else as it is."""
    with contextlib.suppress(ValueError):
        return path.relative_to(project).as_posix()
    return str(path)
