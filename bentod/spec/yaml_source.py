"""YAML text → nodes with places, safely: no object tags, bounded depth and size, duplicate keys reported.

Scalars are read by the core schema of YAML 1.2, not by YAML 1.1: `on`, `off`, `yes`, `no`, dates, `1:30` and `1_000`
are strings, `010` is ten, `0o10` is eight. Keys are always strings, as written. Aliases and merge keys keep the place
of the anchor that they refer to.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml

from bentod.errors import Problem
from bentod.spec.node import Entry, Node, Path, Place, dotted, tree_size
from bentod.spec.scalars import judged

MAX_DEPTH = 64
"""Nested deeper than any body that a gateway takes, so deeper is a mistake or an attack."""

MAX_VALUES = 200_000
"""Values in one file, each alias counted as often as it is used: what anchors bombs multiply."""

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_STANDARD = "tag:yaml.org,2002:"
_CONSTANTS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_ESCAPED_LINES = re.compile(r"\r\n|\r|\n|\x85|\u2028|\u2029")


class UnreadableError(Exception):
    """Nothing after this can be read."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


def parse(text: str, file: str) -> tuple[Node | None, list[Problem]]:
    """The one document in `text`, as far as it can be read, and what is wrong with it."""
    reader = _Reader(text, file)
    try:
        return reader.document(), reader.problems
    except UnreadableError as unreadable:
        return None, [*reader.problems, unreadable.problem]


class _Reader:
    """Builds nodes from libyaml's events. The recursion is bounded by MAX_DEPTH."""

    def __init__(self, text: str, file: str) -> None:
        self._events: Iterator[Any] = yaml.parse(text, Loader=_LOADER)
        self._text = text
        self._file = file
        self._anchors: dict[str, Node | None] = {}
        self._values = 0
        self.problems: list[Problem] = []

    def document(self) -> Node | None:
        event = self._next()
        while not isinstance(event, yaml.NodeEvent):
            if isinstance(event, yaml.StreamEndEvent):
                raise self._unreadable(
                    "the file is empty", Place(self._file, 1, 1), "a bentofile starts with `bentod: 1`"
                )
            event = self._next()
        node = self._node(event, ())
        while not isinstance(event, yaml.StreamEndEvent):
            event = self._next()
            if isinstance(event, yaml.DocumentStartEvent):
                raise self._unreadable(
                    "a second document starts here", self._place(event), "keep one document per file"
                )
        return node

    def _next(self) -> Any:
        try:
            return next(self._events)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            place = Place(self._file, mark.line + 1, mark.column + 1) if mark else Place(self._file, 1, 1)
            context = (
                f" ({error.context} that starts at line {error.context_mark.line + 1})" if error.context_mark else ""
            )
            hint = _hint(self._text.splitlines()[place.line - 1 : place.line], str(error.problem))
            raise self._unreadable(f"not valid YAML: {error.problem}{context}", place, hint) from error
        except yaml.reader.ReaderError as error:
            raise self._unreadable(f"not valid YAML: {error.reason}", self._offset(error.position)) from error

    def _offset(self, position: int) -> Place:
        lines = _ESCAPED_LINES.split(self._text[:position])
        return Place(self._file, len(lines), len(lines[-1]) + 1)

    def _place(self, event: Any) -> Place:
        return Place(self._file, event.start_mark.line + 1, event.start_mark.column + 1)

    def _unreadable(self, message: str, place: Place, hint: str = "") -> UnreadableError:
        return UnreadableError(Problem("syntax", message, place.file, place.line, place.column, hint=hint))

    def _too_deep(self, place: Place) -> UnreadableError:
        return self._unreadable(f"nested deeper than {MAX_DEPTH} levels", place)

    def _problem(self, code: str, message: str, place: Place, hint: str = "", path: Path = ()) -> None:
        self.problems.append(Problem(code, message, place.file, place.line, place.column, dotted(path), hint))

    def _count(self, size: int, place: Place) -> None:
        self._values += size
        if self._values > MAX_VALUES:
            raise self._unreadable(
                f"more than {MAX_VALUES:,} values, counting each anchor as often as it is used",
                place,
                "shorten the file",
            )

    def _node(self, event: Any, path: Path) -> Node:
        place = self._place(event)
        if isinstance(event, yaml.AliasEvent):
            return self._alias(str(event.anchor), place, path)
        if len(path) > MAX_DEPTH:
            raise self._too_deep(place)
        self._count(1, place)
        if event.anchor:
            self._anchors[event.anchor] = None
        node = self._built(event, place, path)
        if event.anchor:
            self._anchors[event.anchor] = node
        return node

    def _built(self, event: Any, place: Place, path: Path) -> Node:
        if isinstance(event, yaml.ScalarEvent):
            value, message = judged(self._scalar(event, place))
            if message:
                self._problem("wrong-value", message, place, path=path)
            return Node(value, place)
        if isinstance(event, yaml.SequenceStartEvent):
            self._check_tag(event.tag, "seq", place)
            return self._sequence(place, path)
        self._check_tag(event.tag, "map", place)
        return self._mapping(place, path)

    def _alias(self, anchor: str, place: Place, path: Path) -> Node:
        if anchor not in self._anchors:
            raise self._unreadable(f"no anchor `&{anchor}` before this alias", place)
        node = self._anchors[anchor]
        if node is None:
            raise self._unreadable(f"the anchor `&{anchor}` contains itself", place)
        self._count(node.size, place)
        if len(path) + _depth(node) > MAX_DEPTH:
            raise self._too_deep(place)
        return node

    def _sequence(self, place: Place, path: Path) -> Node:
        items: list[Node] = []
        while not isinstance(event := self._next(), yaml.SequenceEndEvent):
            items.append(self._node(event, (*path, len(items))))
        return Node(items, place, tree_size(iter(items)))

    def _mapping(self, place: Place, path: Path) -> Node:
        entries: dict[str, Entry] = {}
        merged: list[Node] = []
        while not isinstance(event := self._next(), yaml.MappingEndEvent):
            key_place = self._place(event)
            is_merge = isinstance(event, yaml.ScalarEvent) and event.value == "<<" and event.implicit[0]
            key = self._key(event, path)
            node = self._node(self._next(), (*path, key or ""))
            if is_merge:
                merged += self._merged(node, key_place)
            elif key in entries:
                first = f"the first is at line {entries[key].key.line}; keep one"
                self._problem("duplicate-key", f"`{key}` is written twice", key_place, first, (*path, key))
            elif key is not None:
                entries[key] = Entry(key_place, node)
        for node in merged:
            value: Any = node.value
            for name, entry in value.items():
                entries.setdefault(name, entry)
        return Node(entries, place, tree_size(entry.node for entry in entries.values()))

    def _merged(self, node: Node, place: Place) -> list[Node]:
        nodes: list[Node] = node.value if isinstance(node.value, list) else [node]
        if any(not isinstance(item.value, dict) for item in nodes):
            self._problem("syntax", "`<<` takes a map or a list of maps", place, "such as `<<: *anchor`")
            return []
        return nodes

    def _key(self, event: Any, path: Path) -> str | None:
        """The key as it is written: `1`, `true` and `on` are the strings "1", "true" and "on"."""
        place = self._place(event)
        if isinstance(event, yaml.ScalarEvent):
            if event.anchor:
                self._anchors[event.anchor] = Node(event.value, place)
            return str(event.value)
        node = self._node(event, (*path, ""))
        if isinstance(node.value, str):
            return node.value
        self._problem("syntax", "a key must be a string", place)
        return None

    def _check_tag(self, tag: str | None, wanted: str, place: Place) -> None:
        if tag not in (None, "!", _STANDARD + wanted):
            shown = tag.replace(_STANDARD, "!!") if tag else ""
            self._problem(
                "syntax", f"the tag `{shown}` is not allowed here", place, "remove it: a spec holds plain data only"
            )

    def _scalar(self, event: Any, place: Place) -> Any:
        tag, text = event.tag, event.value
        if tag in (None, "!"):
            return self._resolve(text, place) if tag is None and event.implicit[0] else text
        kind = tag.removeprefix(_STANDARD)
        if kind == "str":
            return text
        if kind in ("null", "bool", "int", "float"):
            return self._resolve(text, place)
        self._check_tag(tag, "str", place)
        return text

    def _resolve(self, text: str, place: Place) -> Any:
        if text in _CONSTANTS:
            return _CONSTANTS[text]
        try:
            if _INTEGER.fullmatch(text):
                return int(text, 0) if text.startswith(("0o", "0x")) else int(text)
        except ValueError:
            # Python refuses to read thousands of digits; so does every consumer of the spec.
            self._problem("wrong-value", "this number has too many digits", place)
            return 0
        if _FLOAT.fullmatch(text):
            return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
        return text


def _depth(node: Node) -> int:
    """How many levels are below `node`."""
    value: Any = node.value
    if isinstance(value, dict):
        return 1 + max((_depth(entry.node) for entry in value.values()), default=0)
    return 1 + max(map(_depth, value), default=0) if isinstance(value, list) else 0


def _hint(line: list[str], problem: str) -> str:
    """What most often is behind a syntax error in `line`."""
    text = "".join(line)
    if "\\t" in problem or "\t" in text[: len(text) - len(text.lstrip())]:
        return "YAML is indented with spaces, not with tabs"
    if "${" in text and ("{" in text.replace("${", "") or "[" in text):
        return 'inside `{ }` and `[ ]` a variable needs quotes: "${NAME}"'
    return ""
