"""Digests of models that lie on this host, remembered as long as their files look the same."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from bentod.models import digest
from bentod.models.digest import File, FileSet, Found

_Look = tuple[int, int, int, int, int]
_YOUNG_NS = 2_000_000_000
"""A file may be written twice within one tick of its file system's clock. After this long that is over anywhere."""


class Hashes:
    """What files held when they were read last. What was never seen, or written just now, is read. `clock_ns` is the
    time of day."""

    def __init__(self, clock_ns: Callable[[], int] = time.time_ns) -> None:
        self._clock_ns = clock_ns
        self._known: dict[Path, dict[str, tuple[_Look, File]]] = {}

    def of(self, path: Path) -> FileSet:
        """The files of the model at `path`, a folder or one file. Raises ModelError."""
        return self.of_files(path, digest.found(path, follow=True))

    def of_files(self, path: Path, found: Sequence[Found]) -> FileSet:
        """These files of the model at `path`. Raises ModelError."""
        before = self._known.get(path, {})
        looks, old = {one.path: _look(one.place) for one in found}, self._clock_ns() - _YOUNG_NS
        same = {name: before[name] for name, look in looks.items() if name in before and before[name][0] == look}
        read = digest.hashed((one for one in found if one.path not in same), follow=True)
        now = same | {file.path: (looks[file.path], file) for file in read.files}
        self._known[path] = {name: one for name, one in now.items() if max(one[0][3:]) < old}
        return FileSet(tuple(file for _, file in now.values()))


def _look(path: Path) -> _Look:
    with digest.failing(f"the model's file {path} cannot be read"):
        found: os.stat_result = path.stat()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
