"""Where to look for changes of files: the folders to watch, and which file an event in one of them is about."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bentod.daemon.contents import name
from bentod.daemon.patterns import Patterns

MAX_FOLDERS = 4_000
"""The kernel gives a user some thousands of watches at the least, and others want some."""
_MAX_LINKS = 40


@dataclass(frozen=True, slots=True)
class Wanted:
    """What counts: `files` by name, what `include` and `exclude` say, nothing in `ignored`. With `anything`, every
    Python file of the project that is not excluded: what mends a failed change may be a new one."""

    files: frozenset[Path] = frozenset()
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    ignored: tuple[Path, ...] = ()
    anything: bool = False


class Places:
    """All that follows from what is wanted, and from what links and folders there are just now. Folders are named by
    their real paths: the kernel knows a folder once, however many names lead to it. Raises UnusablePattern."""

    def __init__(self, project: Path, wanted: Wanted) -> None:
        self._project = project
        self._real = _real(project)
        self._wanted = wanted
        ignored = {*wanted.ignored, *(_real(path) for path in wanted.ignored)}
        self._patterns = Patterns(self._real, wanted.include, wanted.exclude, ignored)
        self._files = {hop: path for path in wanted.files for hop in hops(path)}
        found = list(itertools.islice(self._all_folders(), MAX_FOLDERS + 1))
        self.limited = len(found) > MAX_FOLDERS
        """Whether there are more folders than can be watched."""
        self.folders = frozenset(found[:MAX_FOLDERS])

    def counted(self, paths: Iterable[str]) -> frozenset[str]:
        """The files that count among those that an event is about, named from the project's folder."""
        named = (self._counts(Path(path)) for path in paths)
        return frozenset(found for found in named if found is not None)

    def restructured(self, paths: Iterable[str]) -> bool:
        """Whether a folder came or went that is, or should be, watched; or a link to one."""
        return any(Path(path) in self.folders or self._is_new_folder(Path(path)) for path in paths)

    def _is_new_folder(self, path: Path) -> bool:
        if not path.is_dir() or not path.parent.is_relative_to(self._real):
            return False
        leads = any(hop.is_relative_to(path) for hop in self._files)
        return leads or (self._watches_new_folders() and not self._patterns.excluded(path / "any"))

    def _watches_new_folders(self) -> bool:
        return bool(self._wanted.anything or self._wanted.include) and not self.limited

    def _counts(self, path: Path) -> str | None:
        if path in self._files:
            return name(self._files[path], self._project)
        if not path.is_relative_to(self._real):
            return None
        python = self._wanted.anything and path.suffix == ".py" and not self._patterns.excluded(path)
        if python or self._patterns.included(path):
            return name(path, self._real)
        return None

    def _all_folders(self) -> Iterator[Path]:
        """Each folder once, the most important ones first."""
        named = (folder for hop in self._files for folder in self._up(hop.parent))
        more = self._patterns.tree() if self._wanted.anything else self._patterns.folders()
        yield from (folder for folder in dict.fromkeys(itertools.chain([self._real], named)) if folder.is_dir())
        seen = {self._real, *(folder for hop in self._files for folder in self._up(hop.parent))}
        yield from (folder for folder in more if folder not in seen)

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


def _real(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError):  # a link to itself
        return path.absolute()
