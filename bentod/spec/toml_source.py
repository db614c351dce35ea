"""TOML text → nodes with places: tomllib reads the values, a small scanner finds where they are written.

The scanner runs only on text that tomllib accepted, so it looks for structure and checks nothing.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from typing import Any

from bentod.errors import Problem
from bentod.spec.node import Entry, Node, Path, Place, dotted, tree_size
from bentod.spec.scalars import judged
from bentod.spec.yaml_source import MAX_DEPTH, MAX_VALUES

Spots = dict[Path, tuple[int, int]]
"""For each path, the offsets of its key and of its value."""

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_BARE = re.compile(r"[^\s=.\]\[{},#]+")
_STRING = re.compile(
    r'"""(?:[^\\]|\\.)*?"{3,5}(?!")|' r"'''(?:.)*?'{3,5}(?!')|" r'"(?:[^"\\\n]|\\.)*"|' r"'[^'\n]*'", re.DOTALL
)
_ENDLESS_KEY = re.compile(r"""(?<![\w.\-"'])(?:(?:[\w\-]+|"[^"\n]*"|'[^'\n]*')[ \t]*\.[ \t]*)""" + f"{{{MAX_DEPTH}}}")
"""A dotted key that is nested too deeply. tomllib takes a time that grows with the square of its length."""

_AT = re.compile(r"at line (\d+), column (\d+)")


def parse(text: str, file: str) -> tuple[Node | None, list[Problem]]:
    """The document in `text` and what is wrong with it. TOML has one syntax error at most."""
    # tomllib reads \r\n as \n, and the scanner shall see what it saw.
    text = text.replace("\r\n", "\n")
    too_deep = f"nested deeper than {MAX_DEPTH} levels"
    if found := _ENDLESS_KEY.search(text):
        return None, [Problem("syntax", too_deep, file, text.count("\n", 0, found.start()) + 1, 1)]
    try:
        data = tomllib.loads(text)
        spots = _Scanner(text).spots()
        builder = _Builder(text, file, spots)
        return builder.node(data, ()), builder.problems
    except RecursionError:
        return None, [Problem("syntax", too_deep, file, 1, 1)]
    except TooLargeError as error:
        return None, [Problem("syntax", str(error), file, 1, 1)]
    except ValueError as error:
        return None, [_syntax(str(error), text, file)]


def _syntax(message: str, text: str, file: str) -> Problem:
    found = _AT.search(message)
    lines = text.split("\n")
    line, column = (int(found[1]), int(found[2])) if found else (len(lines), len(lines[-1]) + 1)
    said = message.split(" (at ")[0]
    if "Cannot overwrite a value" in said or "twice" in said:
        return Problem("duplicate-key", f"a key is written twice: {said}", file, line, column)
    return Problem("syntax", f"not valid TOML: {said}", file, line, column)


class TooLargeError(Exception):
    """The document is nested too deeply or has too many values."""


class _Scanner:
    """Finds the offset of every key and value. The recursion is bounded by MAX_DEPTH."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._spots: Spots = {}
        self._rows: dict[Path, int] = {}

    def spots(self) -> Spots:
        table: Path = ()
        self._skip()
        while self._at < len(self._text):
            if self._text[self._at] == "[":
                table = self._header()
            else:
                self._pair(table)
            self._skip()
        return self._spots

    def _skip(self) -> None:
        self._at = _BLANK.match(self._text, self._at).end()  # type: ignore[union-attr]

    def _header(self) -> Path:
        start = self._at
        rows = self._text.startswith("[[", start)
        self._at += 2 if rows else 1
        path: Path = ()
        keys = self._keys()
        for index, (key, offset) in enumerate(keys):
            path = (*path, key)
            self._spots.setdefault(path, (offset, start))
            if path in self._rows and not (rows and index == len(keys) - 1):
                path = (*path, self._rows[path])
        if rows:
            self._rows[path] = self._rows.get(path, -1) + 1
            path = (*path, self._rows[path])
            self._spots[path] = (start, start)
        self._at += 2 if rows else 1
        return path

    def _keys(self) -> list[tuple[str, int]]:
        """A dotted key, part by part with offsets; the scanner stands behind it afterwards."""
        keys: list[tuple[str, int]] = []
        while True:
            self._skip()
            start = self._at
            match = (_STRING if self._text[start] in "\"'" else _BARE).match(self._text, start)
            self._at = match.end()  # type: ignore[union-attr]
            raw = self._text[start : self._at]
            keys.append((_unquoted(raw), start))
            self._skip()
            if self._text[self._at] != ".":
                return keys
            self._at += 1

    def _pair(self, table: Path) -> None:
        path = table
        for key, offset in self._keys():
            path = (*path, key)
            self._spots.setdefault(path, (offset, offset))
        self._at += 1  # the equals sign
        self._skip()
        self._spots[path] = (self._spots[path][0], self._at)
        self._value(path)

    def _value(self, path: Path) -> None:
        if len(path) > MAX_DEPTH:
            raise TooLargeError(f"nested deeper than {MAX_DEPTH} levels")
        first = self._text[self._at]
        if first == "[":
            self._array(path)
        elif first == "{":
            self._inline(path)
        elif first in "\"'":
            self._at = _STRING.match(self._text, self._at).end()  # type: ignore[union-attr]
        else:
            # A date may hold a blank, so what follows up to the end of the value belongs to it.
            self._at = re.compile(r"[^,\]}#\n]+").match(self._text, self._at).end()  # type: ignore[union-attr]

    def _array(self, path: Path) -> None:
        self._at += 1
        for index in range(len(self._text)):
            self._skip()
            if self._text[self._at] == "]":
                break
            self._spots[(*path, index)] = (self._at, self._at)
            self._value((*path, index))
            self._skip()
            self._at += self._text[self._at] == ","
        self._at += 1

    def _inline(self, path: Path) -> None:
        self._at += 1
        self._skip()
        while self._text[self._at] != "}":
            self._pair(path)
            self._skip()
            self._at += self._text[self._at] == ","
            self._skip()
        self._at += 1


def _unquoted(raw: str) -> str:
    return next(iter(tomllib.loads(f"{raw} = 0"))) if raw[0] in "\"'" else raw


class _Builder:
    """Joins tomllib's values with the scanner's offsets."""

    def __init__(self, text: str, file: str, spots: Spots) -> None:
        self._file = file
        self._spots = spots
        self._values = 0
        self.problems: list[Problem] = []
        self._starts = [0, *(match.end() for match in re.finditer("\n", text))]

    def node(self, value: Any, path: Path) -> Node:
        self._values += 1
        if self._values > MAX_VALUES:
            raise TooLargeError(f"more than {MAX_VALUES:,} values")
        place = self._place(path, 1)
        if isinstance(value, dict):
            entries = {key: Entry(self._place((*path, key), 0), self.node(value[key], (*path, key))) for key in value}
            return Node(entries, place, tree_size(_nodes(entries)))
        if isinstance(value, list):
            items = [self.node(item, (*path, index)) for index, item in enumerate(value)]
            return Node(items, place, tree_size(iter(items)))
        value, message = judged(value)
        if message:
            self.problems.append(Problem("wrong-value", message, place.file, place.line, place.column, dotted(path)))
        return Node(value, place)

    def _place(self, path: Path, which: int) -> Place:
        offset = self._spots[path][which] if path else 0
        low, high = 0, len(self._starts)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self._starts[middle] <= offset else (low, middle)
        return Place(self._file, low + 1, offset - self._starts[low] + 1)


def _nodes(entries: dict[str, Entry]) -> Iterator[Node]:
    return (entry.node for entry in entries.values())
