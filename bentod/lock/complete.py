"""A lock and bentod's own packages: all that is installed into an image, without a gap and without a contradiction."""

from __future__ import annotations

import importlib.metadata
import tomllib
from collections.abc import Iterator, Sequence

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from bentod.errors import Problem, SpecError
from bentod.lock import hashed
from bentod.lock.locked import Locked, LockedPackage
from bentod.lock.requirements import OWN
from bentod.lock.target import environments, holds
from bentod.shipped import shipped

_HINT = "lock another version, or let `bentod lock` choose one that fits both"


def complete(locked: Locked, own: Locked, ranges: Sequence[Requirement], python: str) -> tuple[str, ...]:
    """The lines of the final requirements file: the lock, and what of bentod's own packages it lacks for this `python`.
    `ranges` are the versions that bentod works with. Raises SpecError if the lock has another."""
    there = list(environments(python))
    packages = [one for one in locked.packages if one.name != OWN and any(holds(one.marker, at) for at in there)]
    if problems := list(_unfit(locked, packages, ranges)):
        raise SpecError(problems)
    names = {package.name for package in packages}
    return tuple(
        sorted(package.text for package in (*packages, *(one for one in own.packages if one.name not in names)))
    )


def _unfit(locked: Locked, packages: Sequence[LockedPackage], ranges: Sequence[Requirement]) -> Iterator[Problem]:
    """The locked packages that bentod does not work with."""
    for wanted in ranges:
        for package in packages:
            if package.name != canonicalize_name(wanted.name) or not package.version:
                continue
            if not wanted.specifier.contains(package.version, prereleases=True):
                message = f"the lock has `{package.name}` {package.version}, and bentod needs `{wanted}`"
                yield locked.problem(package, "lock-mismatch", message, _HINT)


def own_ranges() -> tuple[Requirement, ...]:
    """The packages that bentod needs, in which versions, as it was installed."""
    found = []
    for text in _required():
        try:
            wanted = Requirement(text)
        except InvalidRequirement:
            continue
        if wanted.marker is None or "extra" not in str(wanted.marker):
            found.append(wanted)
    return tuple(found)


def _required() -> Sequence[str]:
    """What the checkout says, if this is one: what is installed of it may be older."""
    project = shipped("pyproject.toml")
    if project.is_file():
        found: list[str] = tomllib.loads(project.read_text("utf-8"))["project"]["dependencies"]
        return found
    return importlib.metadata.requires("bentod") or ()


def own_lock() -> Locked:
    """The packages that bentod needs, in the versions that it is tested with."""
    path = shipped("constraints/bentod.txt")
    return hashed.read(path, path.parent)
