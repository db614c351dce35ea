"""The Python packages of a lock file: the lock that `build` names is checked, or one is resolved beside the spec."""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import suppress
from pathlib import Path

from packaging.pylock import Pylock

from bentod.cli.lock_files import write
from bentod.daemon.drifted import asks
from bentod.errors import Problem, SpecError
from bentod.lock import pylock
from bentod.lock.changes import package_changes
from bentod.lock.complete import complete, own_lock, own_ranges
from bentod.lock.file import LockedPython, LockFile
from bentod.lock.formats import read_locked
from bentod.lock.locked import Locked
from bentod.lock.match import mismatches
from bentod.lock.pip import file_digest, python_drift
from bentod.lock.requirements import Requirements, requirements
from bentod.lock.resolve import Question, find, resolve
from bentod.spec.load import Loaded


def locked_python(args: argparse.Namespace, loaded: Loaded, old: LockFile) -> tuple[LockedPython | None, list[str]]:
    """The packages as the lock file has them, and which changed. Raises SpecError, Unresolvable, Unwritten."""
    if not asks(loaded):
        return None, []
    build, folder = loaded.spec.build, loaded.directory
    asked = requirements(build, folder, loaded.origins)
    if build.lock is not None:
        _checked(read_locked(folder / build.lock, folder), asked, build.python)
        return LockedPython(asked.digest, build.python, build.lock, file_digest(folder / build.lock)), []
    if not asked.packages:
        return None, []
    path = folder / pylock_name(loaded.files[0])
    _refuse_foreign(path)
    if old.python is not None and not args.upgrade and _holds(loaded, asked, old):
        return old.python, []
    if args.offline:
        raise SpecError([Problem("needs-network", "the packages are not locked as they are asked for", str(path),
                                 hint="lock without --offline, which asks the package index")])  # fmt: skip
    before = _before(path, folder)
    answer = _resolved(args, loaded, asked, path if before is not None else None)
    after = pylock.locked(answer, str(path))
    _checked(after, asked, build.python)
    write(path, pylock.written(answer).encode())
    made = LockedPython(asked.digest, build.python, path.name, file_digest(path))
    return made, package_changes(before, after) if before is not None else [
        f"{path.name}: {len(after.packages)} packages"
    ]


def pylock_name(spec: Path) -> str:
    """The lock of the packages of this spec: `pylock.toml` for a bentofile, for others one with their name."""
    stem = spec.stem.replace(".", "-")
    return "pylock.toml" if stem == "bentofile" else f"pylock.{stem}.toml"


def _resolved(args: argparse.Namespace, loaded: Loaded, asked: Requirements, previous: Path | None) -> Pylock:
    build = loaded.spec.build
    running = f"{sys.version_info.major}.{sys.version_info.minor}"
    question = Question(
        packages=tuple(sorted({*(line.text for line in asked.packages), *(str(one) for one in own_ranges())})),
        constraints=tuple(sorted({line.text for line in asked.constraints})),
        python=build.python,
        index_url=build.index_url or "",
        extra_index_urls=build.extra_index_urls,
        previous=None if args.upgrade else previous,
    )
    resolver = find(os.environ, Path(sys.executable), running, build.python)
    return resolve(question, resolver, os.environ, args.timeout)


def _checked(locked: Locked, asked: Requirements, python: str) -> None:
    """Raises SpecError if the lock is not one of what is asked for, or not one that bentod can run with."""
    if problems := mismatches(locked, asked, python):
        raise SpecError(problems)
    complete(locked, own_lock(), own_ranges(), python)


def _holds(loaded: Loaded, asked: Requirements, old: LockFile) -> bool:
    """Whether the lock so far is still one of what is asked for."""
    build = loaded.spec.build
    if old.python is None or python_drift(build, asked, old):
        return False
    with suppress(SpecError):
        _checked(read_locked(old.folder / old.python.lock, loaded.directory), asked, build.python)
        return True
    return False


def _before(path: Path, folder: Path) -> Locked | None:
    """The lock so far; None if there is none, or none that can be read."""
    with suppress(SpecError):
        return read_locked(path, folder)
    return None


def _refuse_foreign(path: Path) -> None:
    """Raises SpecError if the file is there and somebody else made it."""
    if path.is_file() and pylock.created_by(path) != pylock.CREATED_BY:
        message = f"{path.name} is there, and bentod did not make it"
        hint = f"use it with `build.lock: {path.name}`, or remove it"
        raise SpecError([Problem("foreign-lock", message, str(path), hint=hint)])
