"""Imports in the tests' own process as if they were in fresh ones, each followed anew."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from bentod.worker.imports import Imports


class Fresh:
    """What one such process would do."""

    def __init__(self, imports: Imports) -> None:
        self.imports = imports

    def __call__(self, name: str) -> ModuleType:
        return importlib.import_module(name)

    @property
    def files(self) -> dict[str, str]:
        return self.imports.record.files


@contextmanager
def fresh(
    project: Path, objects: Path | None = None, pins: Mapping[str, str] | None = None, path: list[Path] | None = None
) -> Iterator[Fresh]:
    """Follow imports from `project`; afterwards, Python is as it was. `path`: instead of the project's folder."""
    before = list(sys.path), list(sys.meta_path), dict(sys.modules), dict(sys.path_importer_cache)
    sys.path[:0] = [str(entry) for entry in ([project] if path is None else path)]
    importlib.invalidate_caches()
    imports = Imports(str(project), str(objects) if objects else "", pins)
    imports.install()
    try:
        yield Fresh(imports)
    finally:
        sys.path[:], sys.meta_path[:] = before[0], before[1]
        for name in set(sys.modules) - set(before[2]):
            del sys.modules[name]
        sys.path_importer_cache.clear()
        sys.path_importer_cache.update(before[3])


def write(folder: Path, files: Mapping[str, str | bytes]) -> Path:
    """`folder` with these files."""
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content.encode() if isinstance(content, str) else content)
    return folder
