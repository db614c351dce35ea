"""Where to look for changes of files: the folders to watch, and which file an event in one of them is about."""

from __future__ import annotations

import itertools
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bentod.daemon.contents import name
from bentod.daemon.patterns import Patterns

MAX_FOLDERS = 4_000
"""The kernel gives a user some thousands of watches at the least, and others want some."""
_MAX_LINKS = 40

_Identity = tuple[int, int]
_Stamp = tuple[int, int, int] | None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What counts: `files` by name, what `include` and `exclude` say, nothing in `ignored`. With `anything`, every
    Python file of the project that is not excluded: what mends a failed change may be a new one."""

    files: frozenset[Path] = frozenset()
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    ignored: tuple[Path, ...] = ()
    anything: bool = False


@dataclass(frozen=True, slots=True)
class Seen:
    """What has happened: the files that count, by their names from the project's folder; whether what was found on the
    disk may be another by now; and whether a folder that is watched was made, removed or replaced, which ends its
    watch, even if the new one is just like it."""

    names: frozenset[str]
    outdated: bool
    rebuilt: bool


class Places:
    """All that follows from what is wanted, and from what links and folders there are just now: it reads the disk when
    it is made. Folders are named by their real paths: the kernel knows a folder once, however many names lead to it.
    Raises UnusablePattern, and FileNotFoundError if there is no project."""

    def __init__(self, project: Path, wanted: Wanted) -> None:
        self._project = project
        self._real = _real(project)
        self._wanted = wanted
        ignored = {*wanted.ignored, *(_real(path) for path in wanted.ignored)}
        self._patterns = Patterns(self._real, wanted.include, wanted.exclude, ignored)
        self._files = {hop: path for path in wanted.files for hop in hops(path)}
        self._stamps = {path: _stamp(path) for path in wanted.files}
        found = list(itertools.islice(self._all_folders(), MAX_FOLDERS + 1))
        self.limited = len(found) > MAX_FOLDERS
        """Whether there are more folders than can be watched."""
        self.folders = dict(found[:MAX_FOLDERS])
        """The folders to watch, each with what tells it from another one of its name."""
        if self._real not in self.folders:
            raise FileNotFoundError(f"there is no folder {project}")

    def seen(self, paths: Iterable[str]) -> Seen:
        """What an event about these paths means. Reads the disk."""
        found = [Path(path) for path in paths]
        named = (self._counts(path) for path in found)
        rebuilt = any(path in self.folders for path in found)
        return Seen(
            names=frozenset(one for one in named if one is not None),
            outdated=rebuilt or any(path in self._files or _folder(path) is not None for path in found),
            rebuilt=rebuilt,
        )

    def missed(self) -> Seen:
        """What has happened since this was made, whether or not there was an event. Reads the disk."""
        touched = (path for path, stamp in self._stamps.items() if _stamp(path) != stamp)
        names = frozenset(name(path, self._project) for path in touched)
        rebuilt = any(_folder(path) != found for path, found in self.folders.items())
        return Seen(names, outdated=rebuilt or bool(names), rebuilt=rebuilt)

    def _counts(self, path: Path) -> str | None:
        for one in (path, path.parent):  # of a folder that counts, all that is in it
            if one in self._files:
                return name(self._files[one], self._project)
        if not path.is_relative_to(self._real):
            return None
        python = self._wanted.anything and path.suffix == ".py" and not self._patterns.excluded(path)
        if python or self._patterns.included(path):
            return name(path, self._real)
        return None

    def _all_folders(self) -> Iterator[tuple[Path, _Identity]]:
        """Each folder once, the most important ones first."""
        named = (folder for hop in self._files for folder in self._up(hop.parent))
        more = self._patterns.tree() if self._wanted.anything else self._patterns.folders()
        seen = set()
        for path in itertools.chain([self._real], named, more):
            if path not in seen:
                seen.add(path)
                found = _folder(path)
                if found is not None:
                    yield path, found

    def _up(self, folder: Path) -> Iterator[Path]:
        """The folder and those around it, up to the project's; outside the project, up to one that exists."""
        if folder.is_relative_to(self._real):
            yield from (one for one in (folder, *folder.parents) if one.is_relative_to(self._real))
            return
        for one in (folder, *folder.parents):
            yield one
            if one.is_dir():
                return


def hops(path: Path) -> list[Path]:
    """The places at which a change can change what `path` means: the file, and each link that leads to it. The folder
    of each is its real one."""
    found: list[Path] = []
    waiting = list(reversed(path.absolute().parts))
    at = Path(waiting.pop())
    while waiting and len(found) <= _MAX_LINKS:
        part = waiting.pop()
        if part == "..":
            at = at.parent
            continue
        at /= part
        target = _target(at)
        if target is not None:
            found.append(at)
            parts = Path(target).parts
            at = Path(parts[0]) if target.startswith("/") else at.parent
            waiting += reversed(parts[1:] if target.startswith("/") else parts)
    return [*found, at]


def _target(path: Path) -> str | None:
    """Where a link leads to; None for what is no link."""
    try:
        return str(path.readlink())
    except OSError:
        return None


def _folder(path: Path) -> _Identity | None:
    """What tells a folder from all others; None for what is no folder, or cannot be watched."""
    try:
        found = path.stat()
    except OSError:
        return None
    usable = stat.S_ISDIR(found.st_mode) and os.access(path, os.R_OK)
    return (found.st_dev, found.st_ino) if usable else None


def _stamp(path: Path) -> _Stamp:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _real(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError):  # a link to itself
        return path.absolute()
