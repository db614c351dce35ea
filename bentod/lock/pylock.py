"""`pylock.toml`, PEP 751: read, and written."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from packaging.pylock import Package, Pylock, PylockUnsupportedVersionError, PylockValidationError

from bentod.errors import Problem, SpecError
from bentod.lock.locked import Locked, LockedPackage, locked_package
from bentod.lock.logical import LENGTHS
from bentod.lock.one import Refused
from bentod.lock.target import valid
from bentod.lock.toml_lock import document, package_lines

CREATED_BY = "bentod"
_CREDENTIALS = re.compile(r"^(https?:)//[^/@]+@", re.IGNORECASE)
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_HEAD = "# Written by `bentod lock`. Keep it in version control; it is made anew from what `build` asks for.\n"


def read(path: Path) -> Locked:
    """The packages of the file. Raises SpecError, which says all that is wrong with it."""
    data, text = document(path)
    pylock = validated(data, str(path))
    return locked(pylock, str(path), package_lines(text, "packages", len(pylock.packages)))


def locked(pylock: Pylock, file: str, lines: Sequence[int] = ()) -> Locked:
    """The packages of a lock that is, or is to be, in `file`; `lines` says where they are. Raises SpecError."""
    lines = lines or [0] * len(pylock.packages)
    problems: list[Problem] = []
    packages: list[LockedPackage] = []
    for package, line in zip(pylock.packages, lines, strict=True):
        try:
            if not _is_the_project(package):
                packages.append(locked_package(_package(package, line)))
        except Refused as error:
            problems.append(Problem(error.code, error.message, file, line, 1 if line else 0, hint=error.hint))
    if problems:
        raise SpecError(problems)
    requires = str(pylock.requires_python) if pylock.requires_python is not None else ""
    return Locked(tuple(packages), requires, tuple(str(one) for one in pylock.environments or ()), file)


def validated(data: Mapping[str, Any], file: str) -> Pylock:
    """The document as PEP 751 has it. Raises SpecError."""
    try:
        pylock = Pylock.from_dict(data)
    except PylockUnsupportedVersionError as error:
        raise SpecError([Problem("unknown-version", str(error), file, hint="lock anew")]) from None
    except (PylockValidationError, RecursionError) as error:
        message = f"not a lock file of PEP 751: {error}"[:300]
        raise SpecError([Problem("wrong-value", message, file, hint="lock anew")]) from None
    unjudged = [str(one) for one in pylock.environments or () if not valid(str(one))]
    if unjudged:
        raise SpecError([Problem("wrong-value", "`environments` holds an unknown marker", file, hint="lock anew")])
    return pylock


def created_by(path: Path) -> str:
    """Who wrote the file, as it says itself. Raises SpecError."""
    return str(document(path)[0].get("created-by", ""))


def written(pylock: Pylock) -> str:
    """The text of the lock file, as made by bentod: the same for the same packages, a line for each distribution."""
    data = dict(pylock.to_dict())
    packages = sorted(
        data.pop("packages"), key=lambda one: (one["name"], one.get("version", ""), one.get("marker", ""))
    )
    head = {**data, "created-by": CREATED_BY}
    blocks = ["\n".join(f"{key} = {_value(value)}" for key, value in head.items())]
    blocks += ["[[packages]]\n" + "\n".join(f"{key} = {_value(one[key])}" for key in one) for one in packages]
    return _HEAD + "\n\n".join(blocks) + "\n"


def _value(value: Any, depth: int = 0) -> str:
    """A value of TOML; lists of tables have one a line, and no credentials are in any URL."""
    import tomli_w

    if isinstance(value, Mapping):
        entries = ", ".join(f"{_key(key)} = {_value(one, depth + 1)}" for key, one in value.items())
        return f"{{ {entries} }}"
    if isinstance(value, (list, tuple)):
        items = [_value(one, depth + 1) for one in value]
        if depth == 0 and value and isinstance(value[0], Mapping):
            return "[\n" + "".join(f"    {item},\n" for item in items) + "]"
        return f"[{', '.join(items)}]"
    plain = _CREDENTIALS.sub(r"\1//", value) if isinstance(value, str) else value
    return tomli_w.dumps({"x": plain}).removeprefix("x = ").rstrip("\n")


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else json.dumps(key, ensure_ascii=False)


def _is_the_project(package: Package) -> bool:
    """The project itself is no package of the image: its files are in it."""
    return package.directory is not None and package.directory.path in {".", "./", ""}


def _package(package: Package, line: int) -> LockedPackage:
    marker = str(package.marker or "")
    if marker and not valid(marker):
        message = f"`{package.name}` depends on extras or groups of the lock file, which pip does not know"
        raise Refused("extras", message, "export one that has only what is installed, as `uv export` does")
    if package.vcs is not None or package.directory is not None:
        message = f"`{package.name}` is a repository or a folder, which pip cannot check by a hash"
        raise Refused("unpinned-url", message, "publish it, or name an archive of that commit")
    url, found = _archive(package) if package.archive is not None else ("", list(_files(package)))
    if package.version is None and not url:
        raise Refused("unpinned", f"`{package.name}` has no version", "lock anew")
    version = "" if package.version is None else str(package.version)
    return LockedPackage(package.name, version, marker, tuple(f"{kind}:{digits}" for kind, digits in found), url, line)


def _files(package: Package) -> Iterator[tuple[str, str]]:
    """The hashes of the package's distributions."""
    for one in (*([package.sdist] if package.sdist is not None else ()), *(package.wheels or ())):
        if not one.url:
            raise Refused("local-file", f"`{package.name}` is a file of this machine", "publish it on an index")
        yield from _trusted(one.hashes)


def _archive(package: Package) -> tuple[str, list[tuple[str, str]]]:
    archive = package.archive
    if archive is None or not archive.url:
        raise Refused("local-file", f"`{package.name}` is a file of this machine", "publish it on an index")
    if archive.subdirectory:
        raise Refused("unpinned-url", f"`{package.name}` is a part of an archive", "publish it on an index")
    found = list(_trusted(archive.hashes))
    if not found:
        raise Refused("no-hash", f"`{package.name}` has no hash that pip trusts", "lock anew")
    kind, digits = found[0]
    return f"{archive.url.partition('#')[0]}#{kind}={digits.lower()}", found


def _trusted(hashes: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    return ((kind, digits) for kind, digits in sorted(hashes.items()) if kind in LENGTHS)
