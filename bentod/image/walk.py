"""A project's files as an image would hold them: links are what they lead to, and what cannot be one is told."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from bentod.image.junk import is_environment, is_junk_folder, why_bad_name


@dataclass(frozen=True, slots=True)
class ProjectFile:
    """A file: its `path` from the project's folder, and the regular file that holds its content."""

    path: str
    source: Path
    size: int
    executable: bool


@dataclass(frozen=True, slots=True)
class Refused:
    """What cannot be part of an image: `reason` completes the sentence that begins with its path."""

    path: str
    code: str
    reason: str


Seen = ProjectFile | Refused


class Tree:
    """The project's folder, links followed as long as they stay in it."""

    def __init__(self, project: Path) -> None:
        self._top = Path(os.path.realpath(project))
        self._project = project
        self._environments: dict[Path, bool] = {}

    def look(self, path: str) -> list[Seen]:
        """What is at a path that somebody named: a file, or a link's whole content. Nothing if it is gone."""
        if bad := why_bad_name(path):
            return [Refused(path, "bad-name", bad)]
        if not os.path.lexists(self._project / path):
            return []
        if (self._project / path).is_symlink() or not (self._project / path).is_dir():
            return list(self._one(path, tracked=True, above=self._above(path)))
        return []

    def all(self, *, tracked: bool = False) -> Iterator[Seen]:
        """Every file, folder by folder, in the order of names."""
        yield from self._folder("", tracked=tracked, above=(self._top,))

    def is_never(self, path: str, *, tracked: bool) -> bool:
        """Whether a file lies in a folder that nothing is taken from."""
        folders = PurePosixPath(path).parts[:-1]
        if any(is_junk_folder(name, tracked=tracked) for name in folders):
            return True
        return any(self._is_environment(self._top.joinpath(*folders[:depth])) for depth in range(1, len(folders) + 1))

    def _folder(self, folder: str, *, tracked: bool, above: tuple[Path, ...]) -> Iterator[Seen]:
        where = self._project / folder if folder else self._project
        try:
            names = sorted(os.listdir(where))  # noqa: PTH208 - names alone are wanted
        except OSError as error:
            yield Refused(folder or ".", "unreadable", f"cannot be read: {error.strerror}")
            return
        for name in names:
            path = f"{folder}/{name}" if folder else name
            if not is_junk_folder(name, tracked=tracked):
                yield from self._one(path, tracked=tracked, above=above)

    def _one(self, path: str, *, tracked: bool, above: tuple[Path, ...]) -> Iterator[Seen]:
        if bad := why_bad_name(path):
            yield Refused(path, "bad-name", bad)
            return
        here = self._project / path
        try:
            real = Path(os.path.realpath(here, strict=True))
            found = real.stat()
        except OSError as error:
            yield Refused(path, *_why_not(here, error))
            return
        if not real.is_relative_to(self._top):
            yield Refused(path, "escaping-link", f"leads out of the project, to {real}")
        elif stat.S_ISDIR(found.st_mode):
            yield from self._within(path, real, tracked=tracked, above=above)
        elif not stat.S_ISREG(found.st_mode):
            yield Refused(path, "special-file", f"is {_kind(found.st_mode)}, not a file")
        elif here.is_symlink() and self.is_never(real.relative_to(self._top).as_posix(), tracked=tracked):
            yield Refused(path, "escaping-link", f"leads to {real}, which is never part of an image")
        elif not os.access(real, os.R_OK):
            yield Refused(path, "unreadable", "cannot be read: you may not")
        else:
            yield ProjectFile(path, real, found.st_size, bool(found.st_mode & stat.S_IXUSR))

    def _within(self, path: str, real: Path, *, tracked: bool, above: tuple[Path, ...]) -> Iterator[Seen]:
        if real in above:
            yield Refused(path, "link-loop", "leads to a folder that it lies in")
        elif self._is_environment(real):
            return
        elif real != self._top / path and self.is_never(f"{real.relative_to(self._top).as_posix()}/x", tracked=tracked):
            yield Refused(path, "escaping-link", f"leads to {real}, which is never part of an image")
        else:
            yield from self._folder(path, tracked=tracked, above=(*above, real))

    def _above(self, path: str) -> tuple[Path, ...]:
        return tuple(Path(os.path.realpath(self._project / parent)) for parent in PurePosixPath(path).parents)

    def _is_environment(self, folder: Path) -> bool:
        if folder not in self._environments:
            self._environments[folder] = is_environment(folder)
        return self._environments[folder]


def _why_not(here: Path, error: OSError) -> tuple[str, str]:
    if here.is_symlink():
        try:
            target = here.readlink()
        except OSError:
            return "dangling-link", "is a link that cannot be followed"
        return "dangling-link", f"is a link to `{target}`, which cannot be followed: {error.strerror}"
    return "unreadable", f"cannot be read: {error.strerror}"


_KINDS: tuple[tuple[Callable[[int], bool], str], ...] = (
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def _kind(mode: int) -> str:
    return next((name for is_it, name in _KINDS if is_it(mode)), "something else")
