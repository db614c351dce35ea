"""The store of sources that workers have imported: one file for each content, named by its SHA-256."""

from __future__ import annotations

import contextlib
import stat
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path

from bentod.daemon.contents import Contents

_OLD_S = 3600.0
"""What is younger may have been kept for a generation that has no record yet."""


class Objects:
    """The store in `folder`. Workers put in, this takes out. `clock` is the time of day in seconds."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        self._folder = folder
        self._clock = clock

    def collect(self, keep: Collection[str]) -> int:
        """Remove what is not named in `keep` and is older than an hour, what a killed worker left half-written
        included. Says how many were removed."""
        wanted = frozenset(keep)
        removed = 0
        for path in self._files():
            with contextlib.suppress(OSError):  # another daemon may have removed it
                found = path.lstat()
                if path.name in wanted or not stat.S_ISREG(found.st_mode):
                    continue
                if self._clock() - max(found.st_mtime, found.st_ctime) > _OLD_S:
                    path.unlink()
                    removed += 1
        return removed

    def missing(self, pins: Mapping[str, str], project: Path) -> tuple[str, ...]:
        """The names of those files whose pinned content is neither here nor in the project still. What is no Python
        source is never kept."""
        places = {name: (self._folder / digest, project / name) for name, digest in pins.items()}
        contents = Contents()
        return tuple(
            sorted(name for name in pins if not any(contents.digest(one) == pins[name] != "" for one in places[name]))
        )

    def _files(self) -> Iterator[Path]:
        try:
            yield from list(self._folder.iterdir())
        except OSError:
            return
