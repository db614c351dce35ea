"""Collects the problems of one spec and puts each at its place."""

from __future__ import annotations

from bentod.errors import Problem
from bentod.spec.node import Node, Path, Place, dotted, key_place, value_place

_SHORTEST_SECRET = 4
"""What is shorter hides nothing, and masking it would make other words unreadable."""


class Fault(Exception):
    """Something wrong, found by who does not know its place; who knows it reports `code`, `message` and `hint`."""

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.code, self.message, self.hint = code, message, hint


class Report:
    """The problems found so far. A path is broken if a problem lies at it or below it."""

    def __init__(self, root: Node) -> None:
        self._root = root
        self._broken: set[Path] = set()
        self._secrets: set[str] = set()
        self._settled: set[Place] = set()
        self._said: set[tuple[Place, str, str]] = set()
        self.problems: list[Problem] = []

    def at_key(self, path: Path, code: str, message: str, hint: str = "") -> None:
        """Report a problem with the key at `path`, or with the part around it if the key is not there."""
        self._add(path, key_place(self._root, path), code, message, hint)

    def at_value(self, path: Path, code: str, message: str, hint: str = "") -> None:
        """Report a problem with the value at `path`."""
        self._add(path, value_place(self._root, path), code, message, hint)

    def at_file(self, problem: Problem) -> None:
        """Report a problem that has its place already."""
        self.problems.append(problem)
        self._settled.add(Place(problem.file, problem.line, problem.column))

    def hide(self, value: str) -> None:
        """Keep a value of the environment out of the messages to come."""
        if len(value) >= _SHORTEST_SECRET:
            self._secrets.add(value)

    def broken(self, path: Path) -> bool:
        """Whether something is wrong at `path` or below it, so that nothing can be concluded from it."""
        return path in self._broken

    def line(self, path: Path) -> int:
        """The line of the key at `path`."""
        return key_place(self._root, path).line

    def _add(self, path: Path, place: Place, code: str, message: str, hint: str) -> None:
        self._broken.update(path[:length] for length in range(1, len(path) + 1))
        message, hint = self._masked(message), self._masked(hint)
        if place in self._settled or (place, code, message) in self._said:
            # One mistake is one problem, even where an anchor puts it in several places.
            return
        self._said.add((place, code, message))
        self.problems.append(Problem(code, message, place.file, place.line, place.column, dotted(path), hint))

    def _masked(self, text: str) -> str:
        for secret in sorted(self._secrets, key=len, reverse=True):
            text = text.replace(secret, "***")
        return text
