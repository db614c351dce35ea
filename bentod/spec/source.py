"""A file → its nodes: reads bytes within limits, decodes them, and picks the parser by the file's name."""

from __future__ import annotations

from pathlib import Path

from bentod.errors import Problem
from bentod.spec import toml_source, yaml_source
from bentod.spec.node import Node

MAX_BYTES = 4 * 1024 * 1024


def read(path: Path) -> tuple[Node | None, list[Problem]]:
    """The nodes of the file at `path` and its problems; None if it cannot be judged any further."""
    file = str(path)
    try:
        if not path.is_file():
            what = "this is not a file" if path.exists() else "the file does not exist"
            return None, [Problem("unreadable", what, file)]
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
        size = path.stat().st_size
    except OSError as error:
        return None, [Problem("unreadable", f"the file cannot be read: {error.strerror or error}", file)]
    if len(data) > MAX_BYTES:
        message = f"the file has {size:,} bytes; a spec has at most {MAX_BYTES:,} (4 MiB)"
        return None, [Problem("too-large", message, file, hint="keep data in files of their own")]
    return parse(data, file)


def parse(data: bytes, file: str) -> tuple[Node | None, list[Problem]]:
    """The nodes of `data`; TOML if `file` ends in `.toml`, else YAML."""
    try:
        text = data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line, column = _position(data[: error.start].decode("utf-8"))
        return None, [Problem("syntax", "the file is not UTF-8", file, line, column, hint="save it as UTF-8")]
    if "\0" in text:
        line, column = _position(text[: text.index("\0")])
        return None, [Problem("syntax", "the file holds a NUL character", file, line, column)]
    parser = toml_source.parse if file.endswith(".toml") else yaml_source.parse
    root, problems = parser(text, file)
    if root is None:
        return None, problems
    if not isinstance(root.value, dict):
        message = "a spec is a map of keys and values"
        return None, [*problems, Problem("wrong-type", message, file, root.place.line, root.place.column)]
    return root, problems


def _position(before: str) -> tuple[int, int]:
    return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
