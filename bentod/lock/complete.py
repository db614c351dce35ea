"""A lock and bentod's own packages: all that is installed into an image, without a gap and without a contradiction."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from bentod.errors import Problem, SpecError
from bentod.lock import hashed
from bentod.lock.locked import Locked
from bentod.shipped import shipped

_HINT = "lock another version, or let `bentod lock` choose one that fits both"


def complete(locked: Locked, own: Locked, ranges: Sequence[Requirement]) -> tuple[str, ...]:
    """The lines of the final requirements file: the lock, and what of bentod's own packages it lacks. `ranges` are the
    versions that bentod works with. Raises SpecError if the lock has another."""
    names = {package.name for package in locked.packages}
    problems: list[Problem] = []
    for wanted in ranges:
        for package in locked.packages:
            if package.name != canonicalize_name(wanted.name) or not package.version:
                continue
            if not wanted.specifier.contains(package.version, prereleases=True):
                message = f"the lock has `{package.name}` {package.version}, and bentod needs `{wanted}`"
                problems.append(locked.problem(package, "lock-mismatch", message, _HINT))
    if problems:
        raise SpecError(problems)
    added = [package.text for package in own.packages if package.name not in names]
    return tuple(sorted([*locked.lines(), *added]))


def own_ranges() -> tuple[Requirement, ...]:
    """The packages that bentod needs, in which versions, as it was installed."""
    found = []
    for text in importlib.metadata.requires("bentod") or ():
        try:
            wanted = Requirement(text)
        except InvalidRequirement:
            continue
        if wanted.marker is None or "extra" not in str(wanted.marker):
            found.append(wanted)
    return tuple(found)


def own_lock() -> Locked:
    """The packages that bentod needs, in the versions that it is tested with."""
    path = shipped("constraints/bentod.txt")
    return hashed.read(path, path.parent)
