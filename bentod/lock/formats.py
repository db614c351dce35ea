"""Which lock file is in which form: by its name."""

from __future__ import annotations

import re
from pathlib import Path

from bentod.errors import Problem, SpecError
from bentod.lock import hashed, pylock, uvlock
from bentod.lock.locked import Locked

_PYLOCK = re.compile(r"pylock(\.[^.]+)?\.toml")
_OTHERS = {
    "poetry.lock": "`poetry export --format requirements.txt`",
    "pdm.lock": "`pdm export --format pylock`",
    "Pipfile.lock": "`pipenv requirements --hash`",
}


def read_locked(path: Path, project: Path) -> Locked:
    """What a lock file of Python packages says. Raises SpecError, which says all that is wrong with it."""
    if not path.resolve().is_relative_to(project.resolve()):
        message = f"`{path.name}` leaves the project"
        raise SpecError([Problem("outside-project", message, str(path), hint=f"keep it inside {project}")])
    if not path.is_file():
        message = "the lock file does not exist or is not a file"
        raise SpecError([Problem("missing-file", message, str(path), hint="make it with `bentod lock` or `uv lock`")])
    if _PYLOCK.fullmatch(path.name):
        return pylock.read(path)
    if path.name == "uv.lock":
        return uvlock.read(path)
    if path.name in _OTHERS or path.suffix in {".lock", ".toml"}:
        message = f"`{path.name}` is read neither as `pylock.toml` nor as `uv.lock` nor as hashed requirements"
        hint = f"export it: {_OTHERS.get(path.name, '`uv export --format pylock.toml`')}"
        raise SpecError([Problem("unknown-lock", message, str(path), hint=hint)])
    return hashed.read(path, project)
