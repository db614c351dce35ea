"""What the user wants now: the spec's files as they are (or were), read and planned."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bentod.daemon.history import Record
from bentod.daemon.overrides import overridden
from bentod.plan.build import build
from bentod.plan.model import Plan
from bentod.spec.load import Loaded, load
from bentod.spec.source import MAX_BYTES

Pins = Mapping[str, Mapping[str, str]]
"""By service, the project's files that it imports as they were: path → SHA-256."""


@dataclass(frozen=True)
class Desired:
    """A spec with the texts that it was read from, and the plan that follows. `pins` holds the code to one of old."""

    loaded: Loaded
    plan: Plan
    texts: Mapping[str, str]
    pins: Pins = field(default_factory=dict)


def read(
    files: Sequence[Path],
    environ: Mapping[str, str],
    held: Mapping[Path, bytes] | None = None,
    code: Path | None = None,
) -> Desired:
    """What `files` say, if they hold this, or what they hold now; for the modules in `code` instead of those beside
    them. Raises SpecError."""
    held = contents(files) if held is None else held
    loaded = load(files, environ, held, code)
    plan = build(loaded.spec, loaded.directory, loaded.environ(environ), loaded.env_file_values.keys())
    return Desired(loaded, overridden(plan, environ), {str(file): found.decode() for file, found in held.items()})


def contents(files: Sequence[Path]) -> dict[Path, bytes]:
    """What these files hold now. One that cannot be read, or is too large, is left out: `load` says what is wrong."""
    held = {}
    for file in files:
        with contextlib.suppress(OSError):
            if file.is_file():  # no pipe that would hold us
                with file.open("rb") as stream:
                    found = stream.read(MAX_BYTES + 1)
                if len(found) <= MAX_BYTES:
                    held[file] = found
    return held


def recorded(record: Record, environ: Mapping[str, str], objects: Path) -> Desired:
    """What was wanted when a generation was recorded, with its code, which is in `objects`. Raises SpecError if that is
    impossible by now."""
    held = {Path(name): text.encode() for name, text in record.files.items()}
    pins = {name: service.files for name, service in record.services.items()}
    with tempfile.TemporaryDirectory(prefix="bentod-code-") as folder:
        for name, digest in (item for files in pins.values() for item in files.items()):
            _put(Path(folder) / name, objects / digest, next(iter(held)).parent / name)
        found = read(list(held), environ, held, Path(folder).resolve())
    return Desired(found.loaded, found.plan, found.texts, pins)


def _put(path: Path, kept: Path, there: Path) -> None:
    """Have a file hold what was kept; or what is there by now, since extension modules are not kept."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(OSError):
            shutil.copyfile(kept if kept.exists() else there, path)
