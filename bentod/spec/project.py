"""Where a relative path in a spec leads: from the folder of its own file, and never out of the project."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from bentod.spec.node import Node, value_place
from bentod.spec.node import Path as Route
from bentod.spec.report import Fault


class PathError(Fault):
    """A path that the spec may not name."""


@dataclass(frozen=True, slots=True)
class Project:
    """The project's folder, and what was written in which of its files."""

    directory: Path
    root: Node

    def relative(self, text: str, path: Route) -> str:
        """`text`, which is written at `path`, as a path from the project's folder."""
        folder = self._folder(path)
        return text if folder == self.directory else os.path.relpath(folder / text, self.directory)

    def absolute(self, text: str, path: Route) -> str:
        """`text`, which is written at `path`, as an absolute path."""
        return os.path.normpath(self._folder(path) / text)

    def _folder(self, path: Route) -> Path:
        return Path(os.path.abspath(value_place(self.root, path).file)).parent  # noqa: PTH100 - links stay as they are

    def inside(self, text: str) -> Path:
        """Where `text`, a path from the project's folder, leads. Raises PathError if that is not in the project."""
        path = self.directory / text
        if Path(text).is_absolute() or not path.resolve().is_relative_to(self.directory.resolve()):
            raise PathError("outside-project", f"`{text}` leaves the project", f"keep it inside {self.directory}")
        return path
