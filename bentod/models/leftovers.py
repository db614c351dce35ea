"""What fetches have left that nobody repeated: parts of files in huggingface_hub's cache."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Collection, Iterator
from pathlib import Path

from bentod.models.hubcache import RepositoryCache
from bentod.models.transfer import PARTIAL

KEPT_S = 7 * 24 * 3600.0
"""How long a part waits for its fetch to be repeated."""


def collect(cache: Path, now_s: float, wanted: Collection[str]) -> int:
    """Remove the parts in `cache` that nobody has written to for a week; those of the repositories `wanted` stay.
    Returns how many bytes that gave back."""
    kept = {RepositoryCache(cache, source).folder for source in wanted}
    with contextlib.suppress(OSError):
        folders = [folder for folder in cache.absolute().glob("models--*") if folder not in kept]
        return sum(_removed(part, now_s - KEPT_S) for folder in folders for part in _parts(folder))
    return 0


def forget(cache: Path, source: str) -> int:
    """Remove the parts of one repository that nobody writes to now. Returns how many bytes that gave back."""
    return sum(_removed(part, float("inf")) for part in _parts(RepositoryCache(cache, source).folder))


def _parts(folder: Path) -> Iterator[Path]:
    with contextlib.suppress(OSError):
        yield from (folder / "blobs").glob(f"*{PARTIAL}")


def _removed(part: Path, before_s: float) -> int:
    """The size of the part, if it was written last before that and is gone now. Whoever fetches holds a lock on it, and
    looks whether it is still there once it has got it."""
    try:
        number = os.open(part, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return 0
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        found = os.fstat(number)
        if found.st_mtime < before_s and os.path.samestat(found, part.lstat()):
            part.unlink()
            return found.st_size
    except OSError:
        return 0
    finally:
        os.close(number)
    return 0
