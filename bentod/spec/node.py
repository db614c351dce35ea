"""What a parsed file is: a tree of values that know where they were written."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

PathKey = str | int
Path = tuple[PathKey, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """Where something is written; `line` and `column` are 1-based."""

    file: str
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Entry:
    """One `key: value` of a map. The value may be shared with other entries (YAML anchors)."""

    key: Place
    node: Node


@dataclass(frozen=True, slots=True)
class Node:
    """A value and its place: a map of entries, a list of nodes, or a scalar. `size` counts the values in it."""

    value: dict[str, Entry] | list[Node] | Any
    place: Place
    size: int = 1

    def plain(self) -> Any:
        """The value without places."""
        if isinstance(self.value, dict):
            return {key: entry.node.plain() for key, entry in self.value.items()}
        if isinstance(self.value, list):
            return [item.plain() for item in self.value]
        return self.value


def tree_size(children: Iterator[Node]) -> int:
    """The `size` of a map or list with these children."""
    return 1 + sum(child.size for child in children)


def key_place(root: Node, path: Path) -> Place:
    """Where the key at `path` is written; for what is not written, where the nearest part around it is."""
    return _walk(root, path)[0]


def value_place(root: Node, path: Path) -> Place:
    """Where the value at `path` is written; for what is not written, where the nearest key around it is."""
    key, value, complete = _walk(root, path)
    return value if complete else key


def _walk(root: Node, path: Path) -> tuple[Place, Place, bool]:
    key = root.place
    node = root
    for part in path:
        if isinstance(node.value, dict) and part in node.value:
            entry = node.value[str(part)]
            key, node = entry.key, entry.node
        elif isinstance(node.value, list) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            key = node.place
        else:
            return key, node.place, False
    return key, node.place, True


def merge(left: Node, right: Node) -> Node:
    """`right` laid over `left`: maps merge by key, scalars and lists are replaced."""
    if not (isinstance(left.value, dict) and isinstance(right.value, dict)):
        return right
    entries = dict(left.value)
    for key, entry in right.value.items():
        old = entries.get(key)
        entries[key] = Entry(entry.key, merge(old.node, entry.node)) if old else entry
    return Node(entries, left.place, tree_size(entry.node for entry in entries.values()))


def dotted(path: Path) -> str:
    """`path` for people, on one line: `apis.embed.examples[0].input`; a key that holds a dot is quoted in brackets."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif not part.isprintable():
            text += f"[{json.dumps(part)}]"
        elif not part or any(char in part for char in ".[]\"' "):
            text += '["' + part.replace("\\", "\\\\").replace('"', '\\"') + '"]'
        else:
            text += f".{part}" if text else part
    return text


def places(root: Node) -> Iterator[tuple[Path, Place]]:
    """Every path of the tree with the place of its key (an item of a list: of its value)."""
    yield from _places(root, ())


def _places(node: Node, path: Path) -> Iterator[tuple[Path, Place]]:
    if isinstance(node.value, dict):
        for key, entry in node.value.items():
            yield (*path, key), entry.key
            yield from _places(entry.node, (*path, key))
    elif isinstance(node.value, list):
        for index, item in enumerate(node.value):
            yield (*path, index), item.place
            yield from _places(item, (*path, index))
