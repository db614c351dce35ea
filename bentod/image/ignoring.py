"""The patterns that choose files, as in a .gitignore: `include` and `exclude` of a spec, and `.bentoignore` files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from pathspec import GitIgnoreSpec

from bentod.errors import Problem
from bentod.spec.patterns import UnusablePattern, compiled

NAME = ".bentoignore"
_LARGEST = 1024 * 1024


class Patterns:
    """Patterns of a spec's list; which of them mean a file is kept. Raises UnusablePattern."""

    def __init__(self, lines: Sequence[str]) -> None:
        self._spec = compiled(lines)
        self._unused = {
            place: compiled([line]) for place, line in enumerate(lines) if line.strip() and line[0] not in "!#"
        }
        self._lines = tuple(lines)

    def match(self, path: str) -> bool:
        """Whether the patterns mean this file."""
        for place in [place for place, one in self._unused.items() if one.match_file(path)]:
            del self._unused[place]
        return self._spec.match_file(path)

    def leave_out(self, path: str) -> bool:
        """Whether the patterns mean this file, or a folder that it lies in: of such a folder nothing comes back."""
        return any(map(self._spec.match_file, _with_folders(path)))

    def unused(self) -> list[tuple[int, str]]:
        """The patterns that mean none of the files that were asked about, with their place in the list."""
        return [(place, self._lines[place]) for place in self._unused]


class Ignores:
    """The `.bentoignore` files of a project's folders, read when a file beside or below is judged."""

    def __init__(self, project: Path) -> None:
        self._project = project
        self._specs: dict[str, GitIgnoreSpec | None] = {}
        self._folders: dict[str, bool] = {}
        self.problems: list[Problem] = []

    def match(self, path: str) -> bool:
        """Whether a file is left out, by itself or with a folder that it lies in. Of each of them the nearest
        `.bentoignore` above that says anything decides."""
        *folders, file = _with_folders(path)
        for folder in folders:
            if folder not in self._folders:
                self._folders[folder] = self._means(folder)
        return any(self._folders[folder] for folder in folders) or self._means(file)

    def _means(self, path: str) -> bool:
        parts = path.removesuffix("/").split("/")
        end = path[len(path.removesuffix("/")) :]
        for depth in range(len(parts) - 1, -1, -1):
            spec = self._at("/".join(parts[:depth]))
            found = spec.check_file("/".join(parts[depth:]) + end).include if spec else None
            if found is not None:
                return found
        return False

    def _at(self, folder: str) -> GitIgnoreSpec | None:
        if folder not in self._specs:
            self._specs[folder] = self._read(self._project / folder / NAME)
        return self._specs[folder]

    def _read(self, file: Path) -> GitIgnoreSpec | None:
        try:
            if not file.is_file():
                return None
            if file.stat().st_size > _LARGEST:
                raise UnusablePattern("it is larger than 1 MiB")
            return compiled(file.read_text("utf-8").splitlines())
        except (OSError, UnicodeDecodeError, UnusablePattern) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            self.problems.append(Problem("bad-pattern", f"`{NAME}` cannot be used: {reason}", file=str(file)))
            return None


def _with_folders(path: str) -> list[str]:
    """The folders that a file lies in, each with a slash at its end, from the first on; and the file."""
    return [*(f"{folder}/" for folder in reversed(PurePosixPath(path).parents[:-1])), path]
