"""Which files of a project the patterns of `reload` mean, and where such files can be."""

from __future__ import annotations

import fnmatch
import os
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from bentod.spec.patterns import UnusablePattern, compiled

MAX_FILES = 10_000
_NEVER = frozenset(
    {
        *(".git", ".hg", ".svn", "__pycache__", "node_modules", ".bentod", ".tox", ".nox", "site-packages"),
        *(".mypy_cache", ".pytest_cache", ".ruff_cache", ".hypothesis", ".ipynb_checkpoints"),
    }
)
"""Folders that hold nothing that anybody edits."""


class Patterns:
    """The patterns of one project, as in a `.gitignore`. `ignored` are folders and files that never count, such as
    those that the daemon writes. Raises UnusablePattern."""

    def __init__(
        self, project: Path, include: Sequence[str], exclude: Sequence[str], ignored: Iterable[Path] = ()
    ) -> None:
        self._project = project
        self._lines = tuple(include)
        self._include = compiled(include)
        self._exclude = compiled(exclude)
        self._ignored = frozenset(map(str, ignored))
        self._reach = [_parts(line) for line in include if line.strip() and line[0] not in "!#"]

    def included(self, path: Path) -> bool:
        """Whether an include pattern means this file, and no exclude pattern."""
        name = self._name(path)
        return name is not None and self._include.match_file(name) and not self.excluded(path)

    def excluded(self, path: Path) -> bool:
        """Whether this file of the project never counts: by a pattern, or because of the folder it is in."""
        if self.ignored(path):
            return True
        name = self._name(path)
        if name is None:
            return False
        return self._exclude.match_file(name) or any(part in _NEVER for part in name.split("/")[:-1])

    def ignored(self, path: Path) -> bool:
        """Whether `path` is what never counts, or lies in it."""
        return bool(self._ignored) and any(str(one) in self._ignored for one in (path, *path.parents))

    def files(self) -> list[Path]:
        """The files that the include patterns mean, sorted. Raises UnusablePattern if there are too many."""
        found: list[Path] = []
        by_pattern: Counter[int] = Counter()
        for folder in self.folders():
            for entry in _entries(folder):
                which = self._which(Path(entry.path)) if _is_file(entry) else None
                if which is None:
                    continue
                found.append(Path(entry.path))
                by_pattern[which] += 1
                if len(found) > MAX_FILES:
                    line = self._lines[by_pattern.most_common(1)[0][0]]
                    raise UnusablePattern(
                        f"reload.include: `{line}` means too many files; at most {MAX_FILES:,} can be watched"
                    )
        return sorted(found)

    def folders(self) -> Iterator[Path]:
        """The folders that can hold a file which an include pattern means: those near the project's first."""
        return self._walk(everywhere=False) if self._reach else iter(())

    def tree(self) -> Iterator[Path]:
        """Every folder of the project that can hold something that counts."""
        return self._walk(everywhere=True)

    def _walk(self, *, everywhere: bool) -> Iterator[Path]:
        waiting = deque([self._project])
        while waiting:
            folder = waiting.popleft()
            yield folder
            for entry in sorted(_entries(folder), key=lambda entry: entry.name):
                path = Path(entry.path)
                if _is_folder(entry) and not self._pruned(path) and (everywhere or self._reaches(path)):
                    waiting.append(path)

    def _pruned(self, folder: Path) -> bool:
        name = self._name(folder)
        return (
            folder.name in _NEVER
            or self.ignored(folder)
            or (name is not None and self._exclude.match_file(f"{name}/"))
            or (folder / "pyvenv.cfg").exists()
        )

    def _reaches(self, folder: Path) -> bool:
        """Whether a file that is included can lie in `folder` or below it."""
        parts = folder.relative_to(self._project).parts
        return any(_leads(pattern, parts) for pattern in self._reach)

    def _which(self, path: Path) -> int | None:
        """The place in the list of the pattern that includes the file."""
        name = self._name(path)
        found = self._include.check_file(name) if name is not None else None
        return found.index if found and found.include and not self.excluded(path) else None

    def _name(self, path: Path) -> str | None:
        try:
            return path.relative_to(self._project).as_posix()
        except ValueError:
            return None


def _parts(line: str) -> tuple[str, ...]:
    """A pattern by folders. One that names no folder can match anywhere."""
    pattern = line.rstrip().rstrip("/")
    return tuple(pattern.lstrip("/").split("/")) if "/" in pattern else ("**",)


def _leads(pattern: tuple[str, ...], folder: tuple[str, ...]) -> bool:
    """Whether the pattern can match something at or below `folder`. If it matches the folder itself, it matches all
    that is in it."""
    for part, want in zip(folder, pattern, strict=False):
        if want == "**" or any(sign in want for sign in ("\\", "[^", "[[")):
            return True  # these mean something else to fnmatch
        if not fnmatch.fnmatchcase(part, want):
            return False
    return True


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """What is in a folder: nothing, if it is gone by now or may not be read."""
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:
        return []


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Links are not followed: they may lead in circles, or out of the project."""
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return False


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:
        return False
