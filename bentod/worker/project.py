"""Which files are the project's, and what they are called: their path from its folder."""

from __future__ import annotations

import os
import sys
from contextlib import suppress

import bentod

_NEVER = {"site-packages", "dist-packages", ".git", "__pycache__", "node_modules"}


class Project:
    """The files below a folder, but for what was installed there: virtual environments, Python itself, bentod.

    A file is called as it was found: one behind a link inside the project has the link's path, wherever it lies. A
    file that was found by another path, but lies in the project, has its real path.
    """

    def __init__(self, folder: str) -> None:
        self._roots = tuple(
            _closed(path) for path in dict.fromkeys((os.path.abspath(folder), os.path.realpath(folder)))
        )
        installed = (os.path.dirname(bentod.__file__), os.path.dirname(os.__file__), sys.prefix, sys.base_prefix)
        self._not = tuple(place for path in installed if (place := _closed(os.path.realpath(path))) not in self._roots)
        self._not = tuple(place for place in self._not if place.startswith(self._roots))
        self._known: dict[str, str | None] = {}

    def prefix(self, folder: str) -> str | None:
        """What is in front of the names of files in `folder`: its path with a `/`; "" for the project's own folder.
        None for a folder that is not the project's."""
        if not folder:  # as in sys.path: wherever we are now
            with suppress(OSError):
                return self._prefix(os.getcwd())
            return None
        try:
            return self._known[folder]
        except KeyError:
            found = self._known[folder] = self._prefix(os.path.abspath(folder))
            return found

    def key(self, path: str) -> str | None:
        """The path of a file from the project's folder; None if it is not the project's."""
        folder, name = os.path.split(path)
        prefix = self.prefix(folder)
        return None if prefix is None else prefix + name

    def _prefix(self, folder: str) -> str | None:
        real = os.path.realpath(folder)
        for root in self._roots:
            for path in (_closed(folder), _closed(real)):
                if path.startswith(root):
                    found = path[len(root) :]
                    ours = not _closed(real).startswith(self._not) and not _installed(root, found)
                    return found if ours else None
        return None


def _closed(folder: str) -> str:
    return os.path.join(folder, "")


def _installed(root: str, inside: str) -> bool:
    """Whether a folder belongs to what tools have put into the project."""
    parts = inside.split("/")[:-1]
    if not _NEVER.isdisjoint(parts):
        return True
    ancestors = ("/".join(parts[: count + 1]) for count in range(len(parts)))
    return any(os.path.exists(f"{root}{ancestor}/pyvenv.cfg") for ancestor in ancestors)
