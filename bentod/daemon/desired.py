"""What the user wants now: the spec's files as they are (or were), read and planned."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bentod.daemon.history import Record
from bentod.plan.build import build
from bentod.plan.model import Plan
from bentod.spec.load import Loaded, load

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
    texts: Mapping[Path, str] | None = None,
    code: Path | None = None,
) -> Desired:
    """What `files` say, or what `texts` say in their place, for the modules in `code` instead of those beside them.
    Raises SpecError."""
    if texts is None:
        texts = {}
        for file in files:
            with contextlib.suppress(OSError, UnicodeDecodeError):  # `load` says so, with all that is wrong besides
                texts[file] = file.read_text("utf-8")
    loaded = load(files, environ, texts, code)
    plan = build(loaded.spec, loaded.directory, loaded.environ(environ), loaded.env_file_values.keys())
    return Desired(loaded, plan, {str(file): text for file, text in texts.items()})


async def read_aside(files: Sequence[Path], environ: Mapping[str, str]) -> Desired:
    """The same without stopping the loop. Raises SpecError."""
    return await asyncio.to_thread(read, files, environ)


def recorded(record: Record, environ: Mapping[str, str], objects: Path) -> Desired:
    """What was wanted when a generation was recorded, with its code, which is in `objects`. Raises SpecError if that is
    impossible by now."""
    texts = {Path(name): text for name, text in record.files.items()}
    pins = {name: service.files for name, service in record.services.items()}
    with tempfile.TemporaryDirectory(prefix="bentod-code-") as folder:
        for name, digest in (item for files in pins.values() for item in files.items()):
            _put(Path(folder) / name, objects / digest, next(iter(texts)).parent / name)
        found = read(list(texts), environ, texts, Path(folder).resolve())
    return Desired(found.loaded, found.plan, found.texts, pins)


def _put(path: Path, kept: Path, there: Path) -> None:
    """Have a file hold what was kept; or what is there by now, since extension modules are not kept."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(OSError):
            shutil.copyfile(kept if kept.exists() else there, path)
