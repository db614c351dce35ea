"""Digests of models that lie on this host, remembered as long as their files look the same."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from bentod.models import digest
from bentod.models.digest import File, FileSet, Found
from bentod.whole import write_whole

_Look = tuple[int, ...]
_Known = dict[str, tuple[_Look, File]]
_FIELDS = 5
_SHA256 = re.compile(r"[0-9a-f]{64}")
_LARGE = 64 * 1024 * 1024
_MOST_BYTES = 64 * 1024 * 1024
_YOUNG_NS = 2_000_000_000
"""A file may be written twice within one tick of its file system's clock. After this long that is over anywhere."""


class Hashes:
    """What files held when they were read last. What was never seen, or written just now, is read. `clock_ns` is the
    time of day. What took long to read is kept in the folder `kept`, for later processes."""

    def __init__(self, clock_ns: Callable[[], int] = time.time_ns, kept: Path | None = None) -> None:
        self._clock_ns = clock_ns
        self.kept = kept
        self._known: dict[Path, _Known] = {}

    def of(self, path: Path) -> FileSet:
        """The files of the model at `path`, a folder or one file. Raises ModelError."""
        return self.of_files(path, digest.found(path, follow=True))

    def of_files(self, path: Path, found: Sequence[Found]) -> FileSet:
        """These files of the model at `path`. Raises ModelError."""
        before = self._known[path] if path in self._known else self._load(path)
        looks, old = {one.path: _look(one.place) for one in found}, self._clock_ns() - _YOUNG_NS
        same = {name: before[name] for name, look in looks.items() if name in before and before[name][0] == look}
        read = digest.hashed((one for one in found if one.path not in same), follow=True)
        now = same | {file.path: (looks[file.path], file) for file in read.files}
        self._known[path] = {name: one for name, one in now.items() if max(one[0][3:]) < old}
        if read.size >= _LARGE:
            self._save(path)
        return FileSet(tuple(file for _, file in now.values()))

    def _place(self, path: Path) -> Path | None:
        return self.kept and self.kept / f"{hashlib.sha256(os.fsencode(path)).hexdigest()}.json"

    def _load(self, path: Path) -> _Known:
        """What an earlier process kept; nothing if that cannot be read, or is not what we write."""
        place = self._place(path)
        if place is None:
            return {}
        try:
            kept = json.loads(digest.small(place, _MOST_BYTES))
            return {
                str(name): (tuple(map(int, look)), File(str(name), int(look[2]), _hex(sha256)))
                for name, (*look, sha256) in kept.items()
                if len(look) == _FIELDS
            }
        except (OSError, ValueError, TypeError, AttributeError, IndexError):
            return {}

    def _save(self, path: Path) -> None:
        place = self._place(path)
        if place is None:
            return
        data = json.dumps({name: [*look, file.sha256] for name, (look, file) in self._known[path].items()}).encode()
        with contextlib.suppress(OSError):  # then they are read again
            place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_whole(place, data, 0o600)


def _hex(text: object) -> str:
    if not isinstance(text, str) or not _SHA256.fullmatch(text):
        raise ValueError(text)
    return text


def _look(path: Path) -> _Look:
    with digest.failing(f"the model's file {path} cannot be read"):
        found: os.stat_result = path.stat()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
