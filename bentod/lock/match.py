"""A lock against what is asked for: the lock wins, and what does not match it is an error."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from bentod.errors import Problem
from bentod.lock.locked import Locked, LockedPackage
from bentod.lock.requirements import Line, Requirements
from bentod.lock.target import allows, environments, holds

_LOCK = "lock anew, or ask for what is locked"
Environment = Mapping[str, str]


def mismatches(locked: Locked, requirements: Requirements, python: str) -> list[Problem]:
    """What is asked for and not locked, locked in another version, or not for an image with this `python`."""
    if locked.requires_python and not allows(locked.requires_python, python):
        message = f"the lock is for Python {locked.requires_python}, and `build.python` is {python}"
        return [locked.problem(None, "other-python", message, "lock anew for this Python")]
    there = list(_environments(locked, python))
    if not there:
        hint = "lock for Linux, or for every platform"
        return [locked.problem(None, "other-platform", f"the lock is not for Linux with Python {python}", hint)]
    by_name: dict[str, list[LockedPackage]] = {}
    for package in locked.packages:
        by_name.setdefault(package.name, []).append(package)
    problems = list(_twice(locked, by_name, there))
    for line in requirements.lines:
        problems += _unmet(line, by_name, there, locked)
    return problems


def _environments(locked: Locked, python: str) -> Iterator[Environment]:
    """Those of `python` for which the lock was made."""
    for one in environments(python):
        fits = not locked.requires_python or SpecifierSet(locked.requires_python).contains(one["python_full_version"])
        if fits and (not locked.environments or any(holds(marker, one) for marker in locked.environments)):
            yield one


def _twice(locked: Locked, by_name: Mapping[str, list[LockedPackage]], there: list[Environment]) -> Iterator[Problem]:
    """Packages that would be installed in two versions at once."""
    for name, packages in by_name.items():
        for index, package in enumerate(packages):
            clash = next((one for one in packages[:index] if _meet(one, package, there)), None)
            if clash is not None:
                message = f"`{name}` is locked twice: {_what(clash)} and {_what(package)}"
                yield locked.problem(package, "locked-twice", message, "lock anew")


def _meet(left: LockedPackage, right: LockedPackage, there: list[Environment]) -> bool:
    return any(holds(left.marker, one) and holds(right.marker, one) for one in there)


def _unmet(
    line: Line, by_name: Mapping[str, list[LockedPackage]], there: list[Environment], locked: Locked
) -> list[Problem]:
    """What is wrong with the lock for one requirement, once for all environments."""
    wanted = line.requirement
    name = canonicalize_name(wanted.name)
    packages = by_name.get(name, [])
    marker = str(wanted.marker or "")
    problems: dict[str, Problem] = {}
    for one in there:
        if not holds(marker, one):
            continue
        found = [package for package in packages if holds(package.marker, one)]
        if not found and not line.constraint:
            message = f"`{wanted}` is asked for, and the lock {locked.file} does not have it"
            problems["missing"] = line.problem("not-locked", message, _LOCK)
        for package in found:
            if message := _differs(wanted, package):
                problems[package.version] = line.problem(
                    "lock-mismatch", f"{message} (in {_place(locked, package)})", _LOCK
                )
    return list(problems.values())


def _differs(wanted: Requirement, package: LockedPackage) -> str:
    if wanted.url:
        same = wanted.url.partition("#")[0] == package.url.partition("#")[0]
        return (
            ""
            if same
            else f"`{wanted.name}` is asked for as {wanted.url.partition('#')[0]}, and locked as {_what(package)}"
        )
    if package.url and not package.version:
        return "" if not wanted.specifier else f"`{wanted}` is asked for, and locked is an archive without a version"
    fits = wanted.specifier.contains(package.version, prereleases=True)
    return "" if fits else f"`{wanted}` is asked for, and locked is {_what(package)}"


def _what(package: LockedPackage) -> str:
    return package.version or package.url.partition("#")[0]


def _place(locked: Locked, package: LockedPackage) -> str:
    return f"{locked.file}:{package.line}" if package.line else locked.file
