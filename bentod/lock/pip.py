"""What pip installs into an image: what `build` asks for, or the lock of it with bentod's own packages."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bentod.errors import Problem, SpecError
from bentod.lock.complete import complete, own_lock, own_ranges
from bentod.lock.file import LockFile
from bentod.lock.formats import read_locked
from bentod.lock.match import mismatches
from bentod.lock.requirements import Requirements, requirements
from bentod.spec.model_build import Build
from bentod.spec.node import Place


@dataclass(frozen=True, slots=True)
class PipInput:
    """The lines of a requirements file. `locked`: they are all there is, with hashes."""

    lines: tuple[str, ...]
    locked: bool


def pip_input(build: Build, folder: Path, origins: Mapping[str, Place], lock: LockFile | None) -> PipInput:
    """What pip installs. `folder` is the project's, `origins` says where the spec's keys are written, and `lock` is the
    lock file, if there is one. Raises SpecError, which says all that is wrong with the files."""
    asked = requirements(build, folder, origins)
    path = lock_of(build, folder, asked, lock)
    if path is None:
        return PipInput(_unlocked(asked), locked=False)
    locked = read_locked(path, folder)
    if problems := mismatches(locked, asked, build.python):
        raise SpecError(problems)
    return PipInput(complete(locked, own_lock(), own_ranges(), build.python), locked=True)


def lock_of(build: Build, folder: Path, asked: Requirements, lock: LockFile | None) -> Path | None:
    """The lock of the Python packages: the one that `build` names, or the one that `bentod lock` made. None: there is
    none. Raises SpecError if it was made for something else."""
    if build.lock is not None:
        return folder / build.lock
    if lock is None or lock.python is None:
        return None
    if problems := python_drift(build, asked, lock):
        raise SpecError(problems)
    return lock.folder / lock.python.lock


def python_drift(build: Build, asked: Requirements, lock: LockFile) -> list[Problem]:
    """What differs between what `build` asks for and what was locked."""
    python = lock.python
    if python is None:
        return []
    problems: list[Problem] = []
    again = "lock anew with `bentod lock`"
    if python.requirements != asked.digest:
        message = (
            f"`build` asks for other packages than when they were locked: {_both(python.requirements, asked.digest)}"
        )
        problems.append(lock.problem("python.requirements", "drift", message, again))
    if python.python != build.python:
        message = f"the packages were locked for Python {python.python}, and `build.python` is {build.python}"
        problems.append(lock.problem("python.python", "drift", message, again))
    if build.lock is not None and Path(build.lock) != Path(python.lock):
        message = f"the packages were locked in `{python.lock}`, and `build.lock` is `{build.lock}`"
        problems.append(lock.problem("python.lock", "drift", message, again))
    elif (found := file_digest(lock.folder / python.lock)) != python.digest:
        what = (
            f"`{python.lock}` is not as it was: {_both(python.digest, found)}" if found else f"`{python.lock}` is gone"
        )
        problems.append(lock.problem("python.digest", "drift", what, again))
    return problems


def file_digest(path: Path) -> str:
    """The digest of a file; "" if there is none."""
    try:
        with path.open("rb") as stream:
            return "sha256:" + hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return ""


def _unlocked(asked: Requirements) -> tuple[str, ...]:
    """The lines as pip takes them without a lock."""
    problems = [
        line.problem(
            "needs-lock",
            f"the constraint `{line.requirement}` limits only what is locked",
            "lock the packages with `bentod lock`, or ask for the package itself",
        )
        for line in asked.constraints
    ]
    if problems:
        raise SpecError(problems)
    return tuple(sorted({line.text for line in asked.packages}))


def _both(old: str, new: str) -> str:
    return f"{old[:19]}… then, {new[:19]}… now"
