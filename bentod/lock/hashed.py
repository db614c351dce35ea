"""Hashed requirements files, as `uv export`, `uv pip compile --generate-hashes` and pip-compile write them."""

from __future__ import annotations

from pathlib import Path

from bentod.errors import Problem, SpecError
from bentod.lock.locked import Locked, LockedPackage, locked_package
from bentod.lock.one import Refused
from bentod.lock.requirements import Line, read_file


def read(path: Path, project: Path) -> Locked:
    """The packages of the file. Raises SpecError, which says all that is wrong with it."""
    lines, problems = read_file(path, project, hashed=True)
    packages: list[LockedPackage] = []
    for line in lines:
        try:
            packages.append(_package(line))
        except Refused as error:
            problems.append(Problem(error.code, error.message, line.file, line.line, 1, hint=error.hint))
    if not packages and not problems:
        problems = [Problem("empty-lock", "the lock file names no package", str(path), hint="lock something")]
    if problems:
        raise SpecError(problems)
    return Locked(tuple(packages), file=str(path))


def _package(line: Line) -> LockedPackage:
    found = line.requirement
    if line.constraint:
        raise Refused("wrong-value", "a lock file has no constraints", "name the packages themselves")
    specifiers = list(found.specifier)
    exact = len(specifiers) == 1 and specifiers[0].operator == "==" and not specifiers[0].version.endswith(".*")
    if not found.url and not exact:
        raise Refused("unpinned", f"`{found.name}` is not locked to one version", "lock it as `name==version`")
    version = "" if found.url else specifiers[0].version
    marker = str(found.marker or "")
    return locked_package(LockedPackage(found.name, version, marker, line.hashes, found.url or "", line.line))
