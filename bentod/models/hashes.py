"""Digests of models that lie on this host, remembered as long as their files look the same."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from bentod.models import digest
from bentod.models.digest import File, FileSet, Found

_Look = tuple[int, int, int, int, int]


class Hashes:
    """What files held when they were read last. A model that was forgotten, or never seen, is read."""

    def __init__(self) -> None:
        self._known: dict[Path, dict[str, tuple[_Look, File]]] = {}

    def of(self, path: Path) -> FileSet:
        """The files of the model at `path`, a folder or one file. Raises ModelError."""
        return self.of_files(path, digest.found(path, follow=True))

    def of_files(self, path: Path, found: Sequence[Found]) -> FileSet:
        """These files of the model at `path`. Raises ModelError."""
        before = self._known.get(path, {})
        looks = {one.path: _look(one.place) for one in found}
        same = {name: before[name] for name, look in looks.items() if name in before and before[name][0] == look}
        read = digest.hashed((one for one in found if one.path not in same), follow=True)
        self._known[path] = same | {file.path: (looks[file.path], file) for file in read.files}
        return FileSet(tuple(file for _, file in self._known[path].values()))


def _look(path: Path) -> _Look:
    with digest.failing(f"the model's file {path} cannot be read"):
        found: os.stat_result = path.stat()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
