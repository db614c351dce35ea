"""`bentofile.lock`: what a spec leaves open, as it was decided. The values, and their strict reader and writer."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from bentod.errors import Problem, SpecError
from bentod.lock.text import read_text
from bentod.spec.fields import NAME
from bentod.spec.found import did_you_mean, kind, shown
from bentod.spec.node import Node, PathKey, dotted, places
from bentod.spec.node import Path as Route
from bentod.spec.toml_source import parse

VERSION = 1
AGAIN = "write it anew with `bentod lock`"
_HEAD = "# Written by `bentod lock`: what the spec leaves open. Keep it in version control.\n"
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_SHA256 = re.compile(r"sha256:[0-9a-f]{64}")
_MOST_BYTES = 4 * 1024 * 1024
_LONGEST = 4096
_FORMS: Mapping[str, tuple[re.Pattern[str], str]] = {
    "digest": (_SHA256, "`sha256:` and 64 hexadecimal digits"),
    "requirements": (_SHA256, "`sha256:` and 64 hexadecimal digits"),
    "commit": (re.compile(r"[0-9a-f]{40}"), "40 hexadecimal digits"),
    "version": (re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*"), "a version"),
    "python": (re.compile(r"3\.[0-9]{1,2}"), "a version of Python, such as `3.12`"),
    "revision": (re.compile(r"(?!.*\.\.)[A-Za-z0-9][A-Za-z0-9._/-]*"), "a branch, a tag or a commit"),
    "endpoint": (re.compile(r"https?://[^\s@\"'\\]+"), "the URL of a hub"),
    "lock": (re.compile(r"(?!.*\.\.)[A-Za-z0-9._][A-Za-z0-9._/ +-]*"), "the path of a file of the project"),
    "base": (re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]*"), "an image's reference"),
}
"""What the strings of a lock file look like, by their key."""


@dataclass(frozen=True, slots=True)
class LockedModel:
    """One model as it was declared, and what that was: a commit of Hugging Face, a version of the store, the digest of
    the files and their size in bytes; "" and 0 if that is not known. `source` is as in a spec, a path from the lock
    file's folder."""

    source: str
    revision: str = ""
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    endpoint: str = ""
    commit: str = ""
    version: str = ""
    digest: str = ""
    size: int = 0


@dataclass(frozen=True, slots=True)
class LockedPython:
    """The Python packages: the digest of what `build` asks for, for which Python, the file that has all of them with
    their hashes, and the digest of that file."""

    requirements: str
    python: str
    lock: str
    digest: str


@dataclass(frozen=True, slots=True)
class LockedImage:
    """What the image is made from."""

    base: str
    digest: str


@dataclass(frozen=True, slots=True)
class LockedApis:
    """The digest of all that a client has to know of the APIs, and that of each API."""

    digest: str
    schemas: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LockFile:
    """A lock file. `lines` says where what is written, by the dotted path of its key."""

    apis: LockedApis | None = None
    models: Mapping[str, LockedModel] = field(default_factory=dict)
    python: LockedPython | None = None
    image: LockedImage | None = None
    file: str = field(default="", compare=False)
    lines: Mapping[str, int] = field(default_factory=dict, compare=False)

    @property
    def folder(self) -> Path:
        """From where its paths lead."""
        return Path(self.file).parent

    def problem(self, path: str, code: str, message: str, hint: str = "") -> Problem:
        """A problem at the key `path`, or at the nearest part around it that is written."""
        written = path
        while written and written not in self.lines:
            written = written.rpartition(".")[0]
        return Problem(code, message, self.file, self.lines.get(written, 1), 1, path, hint)


def lock_path(spec: Path) -> Path:
    """The lock file of a spec: beside it, with its name."""
    return spec.with_suffix(".lock")


def made_by_bentod(path: Path) -> bool:
    """Whether the file begins as those do that `bentod lock` writes, whatever else it holds."""
    try:
        with path.open("rb") as stream:
            return stream.read(len(_HEAD.encode())) == _HEAD.encode()
    except OSError:
        return False


def read(path: Path) -> LockFile | None:
    """The lock file at `path`; None if there is none. Raises SpecError, which says all that is wrong with it."""
    text = read_text(path, _MOST_BYTES, AGAIN)
    return None if text is None else parsed(text, str(path))


def parsed(text: str, file: str) -> LockFile:
    """The lock file that holds `text`. Raises SpecError."""
    root, problems = parse(text, file)
    if root is None or problems:
        raise SpecError([Problem(p.code, p.message, p.file, p.line, p.column, p.path, AGAIN) for p in problems])
    reader = _Reader()
    lock = reader.lock(root)
    if reader.problems:
        raise SpecError(reader.problems)
    lines = {dotted(path): place.line for path, place in places(root)}
    return LockFile(lock.apis, lock.models, lock.python, lock.image, file, lines)


def written(lock: LockFile) -> str:
    """The text of a lock file: the same for the same value, whatever order it was made in."""
    import tomli_w

    document: dict[str, Any] = {"version": VERSION}
    if lock.apis is not None:
        document["apis"] = {"digest": lock.apis.digest, "schemas": dict(sorted(lock.apis.schemas.items()))}
    if lock.models:
        document["models"] = {name: _plain(lock.models[name]) for name in sorted(lock.models)}
    document |= {
        name: _plain(part) for name, part in (("python", lock.python), ("image", lock.image)) if part is not None
    }
    return _HEAD + tomli_w.dumps(document)


def _plain(part: LockedModel | LockedPython | LockedImage) -> dict[str, Any]:
    """The section's keys that say something."""
    values = {one.name: getattr(part, one.name) for one in fields(part)}
    return {key: list(value) if isinstance(value, tuple) else value for key, value in values.items() if value}


def relative(source: str, folder: Path) -> str:
    """The absolute path `source` from the lock file's `folder`."""
    return Path(os.path.relpath(source, folder)).as_posix()


class _Reader:
    """Nodes → a LockFile; collects what is wrong."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def lock(self, root: Node) -> LockFile:
        version = root.value["version"].node if isinstance(root.value, dict) and "version" in root.value else None
        if version is None or version.value != VERSION or isinstance(version.value, bool):
            found = "no version" if version is None else f"version {shown(version.value)}"
            message = f"the lock file has {found}; this bentod knows version {VERSION}"
            self._wrong(version or root, ("version",), "unknown-version", message)
            return LockFile()
        known = self._keys(root, (), ("version", "apis", "models", "python", "image"), ())
        models = known.get("models")
        return LockFile(
            self._apis(known["apis"], ("apis",)) if "apis" in known else None,
            self._models(models) if models is not None else {},
            self._section(LockedPython, known["python"], ("python",)) if "python" in known else None,
            self._section(LockedImage, known["image"], ("image",)) if "image" in known else None,
        )

    def _apis(self, node: Node, path: Route) -> LockedApis | None:
        known = self._keys(node, path, ("digest", "schemas"), ("digest",))
        schemas = known.get("schemas")
        found = self._named(schemas, (*path, "schemas")) if schemas is not None else {}
        each = {name: self._text(one, (*path, "schemas", name), "digest") for name, one in found.items()}
        return LockedApis(self._text(known["digest"], (*path, "digest"), "digest"), each) if "digest" in known else None

    def _models(self, node: Node) -> dict[str, LockedModel]:
        named = self._named(node, ("models",))
        found = {name: self._section(LockedModel, one, ("models", name)) for name, one in named.items()}
        return {name: one for name, one in found.items() if one is not None}

    def _named(self, node: Node, path: Route) -> dict[str, Node]:
        """The entries of a map whose keys are names."""
        entries = node.value if isinstance(node.value, dict) else {}
        for name, entry in entries.items():
            if not re.search(NAME, name):
                self._wrong(entry.node, (*path, name), "wrong-value", f"{shown(name)} is not a name")
        return self._keys(node, path, tuple(name for name in entries if re.search(NAME, name)), (), named=True)

    def _section(self, cls: type[Any], node: Node, path: Route) -> Any:
        """A `cls` of what the map says, or None if something is wrong with it."""
        before = len(self.problems)
        required = ("source",) if cls is LockedModel else tuple(one.name for one in fields(cls))
        known = self._keys(node, path, tuple(one.name for one in fields(cls)), required)
        values = {key: self._value(one, (*path, key), key) for key, one in known.items()}
        return cls(**values) if len(self.problems) == before else None

    def _keys(
        self, node: Node, path: Route, allowed: tuple[str, ...], required: tuple[str, ...], *, named: bool = False
    ) -> dict[str, Node]:
        """The nodes of a map by key; reports what is not allowed, and what is missing."""
        if not isinstance(node.value, dict):
            self._wrong(node, path, "wrong-type", f"expected a table, found {kind(node.value)}")
            return {}
        for key in node.value if not named else ():
            if key not in allowed:
                hint = did_you_mean(key, allowed) or AGAIN
                self._wrong(node.value[key].node, (*path, key), "unknown-key", f"unknown key {shown(key)}", hint)
        for key in required:
            if key not in node.value:
                self._wrong(node, path, "missing-key", f"`{key}` is missing")
        return {key: entry.node for key, entry in node.value.items() if key in allowed}

    def _value(self, node: Node, path: Route, key: str) -> Any:
        if key == "size":
            return self._size(node, path)
        if key in {"include", "exclude"}:
            if isinstance(node.value, list):
                return tuple(self._text(one, (*path, index), "") for index, one in enumerate(node.value))
            self._wrong(node, path, "wrong-type", f"expected a list, found {kind(node.value)}")
            return ()
        return self._text(node, path, key)

    def _size(self, node: Node, path: Route) -> int:
        if not isinstance(node.value, int) or isinstance(node.value, bool) or node.value < 0:
            self._wrong(node, path, "wrong-value", f"{shown(node.value)} is not a number of bytes")
            return 0
        return node.value

    def _text(self, node: Node, path: Route, key: str) -> str:
        text = node.value
        if not isinstance(text, str):
            self._wrong(node, path, "wrong-type", f"expected a string, found {kind(text)}")
            return ""
        pattern, what = _FORMS.get(key, (None, ""))
        if not text or len(text) > _LONGEST or _CONTROL.search(text):
            self._wrong(node, path, "wrong-value", f"{shown(text)} is empty, too long, or holds control characters")
        elif pattern is not None and not pattern.fullmatch(text):
            self._wrong(node, path, "wrong-value", f"{shown(text)} is not {what}")
        return text

    def _wrong(self, node: Node, path: tuple[PathKey, ...], code: str, message: str, hint: str = AGAIN) -> None:
        place = node.place
        self.problems.append(Problem(code, message, place.file, place.line, place.column, dotted(path), hint))
