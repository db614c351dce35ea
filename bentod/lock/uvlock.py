"""`uv.lock`: the packages that the project itself needs, and where, by the lock's graph of dependencies."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from bentod.errors import Problem, SpecError
from bentod.lock import conditions
from bentod.lock.conditions import ALWAYS, NEVER, Condition
from bentod.lock.locked import Locked, LockedPackage, locked_package
from bentod.lock.one import Refused
from bentod.lock.target import anywhere, valid
from bentod.lock.toml_lock import document, package_lines

_EXPORT = "export it: `uv export --no-dev --format pylock.toml`"
_LOCK = "lock anew with `uv lock`"
_VERSION = 1


@dataclass(frozen=True, slots=True)
class _Edge:
    """What a package needs: another, with these of its extras, where the marker holds."""

    name: str
    version: str
    extras: tuple[str, ...]
    marker: str


@dataclass(frozen=True, slots=True)
class _Package:
    """One entry of the lock; `edges` by extra, "" for what it always needs."""

    name: str
    version: str
    source: dict[str, str]
    hashes: tuple[str, ...]
    edges: dict[str, tuple[_Edge, ...]] = field(default_factory=dict)
    line: int = 0


def read(path: Path) -> Locked:
    """The packages that the project of the lock needs, without its extras and its groups for development. Raises
    SpecError."""
    data, text = document(path)
    try:
        if data.get("version") != _VERSION:
            raise Refused("unknown-version", f"this bentod reads uv.lock of version {_VERSION}", _EXPORT)
        entries = _list(data, "package")
        lines = package_lines(text, "package", len(entries))
        packages = [_package(one, line) for one, line in zip(entries, lines, strict=True)]
        found = _needed(packages)
        requires = _requires(_text(data, "requires-python"))
    except Refused as error:
        raise SpecError([Problem(error.code, error.message, str(path), hint=error.hint)]) from None
    problems: list[Problem] = []
    locked: list[LockedPackage] = []
    for package, condition in found:
        try:
            locked.append(locked_package(_locked(package, condition)))
        except Refused as error:
            problems.append(Problem(error.code, error.message, str(path), package.line, 1, hint=error.hint))
    if problems:
        raise SpecError(problems)
    return Locked(tuple(locked), requires, file=str(path))


def _needed(packages: list[_Package]) -> Iterator[tuple[_Package, Condition]]:
    """Each package that the project needs on Linux, and when. Conditions grow until nothing changes."""
    roots = [index for index, one in enumerate(packages) if _is_root(one)]
    if len(roots) != 1:
        raise Refused("no-project", "the lock has no package for the folder that it lies in", _EXPORT)
    by_name: dict[str, list[int]] = {}
    for index, one in enumerate(packages):
        by_name.setdefault(one.name, []).append(index)
    known: dict[tuple[int, str], Condition] = {(roots[0], ""): ALWAYS}
    waiting = deque(known)
    while waiting:
        index, extra = waiting.popleft()
        for edge in packages[index].edges.get(extra, ()):
            target = _target(edge, packages, by_name)
            for wanted in ("", *edge.extras):
                node = (target, wanted)
                old = known.get(node, NEVER)
                new = conditions.either(old, conditions.both(known[index, extra], edge.marker))
                if new != old:
                    known[node] = new
                    waiting.append(node)
    return ((packages[index], known[index, ""]) for index, extra in known if not extra and index != roots[0])


def _target(edge: _Edge, packages: list[_Package], by_name: dict[str, list[int]]) -> int:
    found = [one for one in by_name.get(edge.name, ()) if edge.version in {"", packages[one].version}]
    if len(found) != 1:
        what = "no package" if not found else "more than one package"
        raise Refused("wrong-value", f"the lock has {what} `{edge.name}` for what needs it", _LOCK)
    return found[0]


def _is_root(package: _Package) -> bool:
    return any(package.source.get(kind) == "." for kind in ("virtual", "editable", "directory"))


def _locked(package: _Package, condition: Condition) -> LockedPackage:
    marker = conditions.text(condition)
    url = package.source.get("url", "")
    if not url and "registry" not in package.source:
        message = f"`{package.name}` comes from a repository or a folder, which pip cannot check by a hash"
        raise Refused("unpinned-url", message, "publish it, or name an archive of that commit")
    if url and package.hashes:
        url = f"{url.partition('#')[0]}#{package.hashes[0].replace(':', '=', 1)}"
    return LockedPackage(package.name, package.version, marker, package.hashes, url, package.line)


def _package(entry: dict[str, Any], line: int) -> _Package:
    edges = {"": _edges(_list(entry, "dependencies"))}
    extras = _table(entry, "optional-dependencies")
    edges |= {extra: _edges(_list(extras, extra)) for extra in extras}
    files = [*([_table(entry, "sdist")] if "sdist" in entry else []), *_list(entry, "wheels")]
    hashes = tuple(sorted({_text(one, "hash") for one in files if "hash" in one}))
    source = {key: value for key, value in _table(entry, "source").items() if isinstance(value, str)}
    name = _text(entry, "name")
    if not name:
        raise Refused("wrong-value", "a package has no name", _LOCK)
    return _Package(name, _text(entry, "version"), source, hashes, edges, line)


def _edges(entries: list[dict[str, Any]]) -> tuple[_Edge, ...]:
    """The edges that can lead anywhere on Linux."""
    found = []
    for entry in entries:
        marker, extras = _text(entry, "marker"), entry.get("extra", [])
        if marker and not valid(marker):
            raise Refused("extras", "the lock has extras or groups that exclude each other", _EXPORT)
        if not isinstance(extras, list) or not all(isinstance(one, str) and one for one in extras):
            raise Refused("wrong-value", "`extra` is not a list of names", _LOCK)
        if not marker or anywhere(marker):
            found.append(_Edge(_text(entry, "name"), _text(entry, "version"), tuple(extras), marker))
    return tuple(found)


def _requires(text: str) -> str:
    try:
        return str(SpecifierSet(text))
    except InvalidSpecifier:
        raise Refused("wrong-value", "`requires-python` says no versions", _LOCK) from None


def _text(table: dict[str, Any], key: str) -> str:
    value = table.get(key, "")
    if not isinstance(value, str):
        raise Refused("wrong-type", f"`{key}` is not a string", _LOCK)
    return value


def _table(table: dict[str, Any], key: str) -> dict[str, Any]:
    value = table.get(key, {})
    if not isinstance(value, dict):
        raise Refused("wrong-type", f"`{key}` is not a table", _LOCK)
    return value


def _list(table: dict[str, Any], key: str) -> list[dict[str, Any]]:
    value = table.get(key, [])
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise Refused("wrong-type", f"`{key}` is not a list of tables", _LOCK)
    return value
