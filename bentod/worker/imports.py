"""Follows what a process imports from the project, and can import it again as it was.

Each file is recorded with the hash of the very source that ran, and the source is kept. A pinned file is imported as it
was then, whatever the disk holds by now.

Python's own cache takes a file for unchanged that has the size and the second of the one it compiled. Here only content
counts: the source is always read, and cached bytecode is used if it carries this source's hash (PEP 552).

Not followed: files outside the project, what was installed into it (see `project`), and files that the user's code runs
without the import system, such as by `exec` or `spec_from_file_location`. Extension modules, and modules whose loader
is someone else's, are recorded when they are found, and never pinned.
"""

from __future__ import annotations

import linecache
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from importlib.util import MAGIC_NUMBER, cache_from_source, decode_source, source_hash, spec_from_file_location
from queue import SimpleQueue
from types import ModuleType
from typing import Any

from bentod.worker.kept import Kept, name_of, read
from bentod.worker.project import Project

_CHECKED_HASH = (3).to_bytes(4, "little")
_HASHED = ((1).to_bytes(4, "little"), _CHECKED_HASH)


class Record:
    """The project's files that were imported, each with the hash of its content. From any thread.

    `changed` holds something whenever there is news. Nothing here takes a lock that a fork could leave taken.
    """

    def __init__(self, objects: str, pins: Mapping[str, str]) -> None:
        self.pins = pins
        self.changed: SimpleQueue[None] = SimpleQueue()
        self._kept = Kept(objects)
        self._files: dict[str, str] = {}

    @property
    def files(self) -> dict[str, str]:
        """All so far."""
        return dict(self._files)

    def add(self, key: str, name: str) -> None:
        """A file with the name of its content."""
        if self._files.get(key) != name:
            self._files[key] = name
            if self.changed.empty():
                self.changed.put(None)

    def compiled(self, key: str, path: str) -> bytes:
        """The source of a file that is about to be compiled. Raises OSError and ImportError."""
        source = self.source(key, path)
        name = self.pins.get(key) or name_of(source)
        self._kept.keep(name, source)
        self.add(key, name)
        return source

    def source(self, key: str, path: str) -> bytes:
        """The source of a file: as it was pinned, or else as it is. Raises OSError and ImportError."""
        pin = self.pins.get(key)
        if pin is None:
            return read(path)
        source = self._kept.get(pin)
        if source is None:
            with suppress(OSError):
                source = read(path)
        if source is None or name_of(source) != pin:
            raise ImportError(f"the code of this generation is lost: {key}", path=path)
        return source


class Loader(SourceFileLoader):
    """Compiles what `Record` says. All the work is done in what importlib calls for bytes, so that tracebacks through
    an import look as always: Python leaves its own frames out, and would not leave out ours."""

    def __init__(self, fullname: str, path: str, key: str, record: Record) -> None:
        super().__init__(fullname, path)
        self._key = key
        self._record = record
        self._source: bytes | None = None
        self._stamp = b""

    def path_stats(self, path: Any) -> Any:
        """What importlib asks first, each time that it wants the code. The time is of no interest."""
        del path
        self._source = self._record.compiled(self._key, self.path)
        self._stamp = source_hash(self._source)
        if self._key in self._record.pins:
            _show(self.path, self._source)
        return {"mtime": 0, "size": len(self._source)}

    def get_data(self, path: Any) -> bytes:
        """The source; or a file's content, if it is not bytecode of another source."""
        if path == self.path:
            source, self._source = self._source, None
            return self._record.compiled(self._key, self.path) if source is None else source
        data = super().get_data(path)
        if self._source is not None and path == cache_from_source(self.path) and not _fits(data, self._stamp):
            raise OSError(f"{path} is of another source")
        return data

    def set_data(self, path: Any, data: Any, *, _mode: int = 0o666) -> None:
        """Cache bytecode with the hash of its source. What is pinned may be older than the disk: it is not cached."""
        if self._key not in self._record.pins:
            super().set_data(path, bytes(data[:4]) + _CHECKED_HASH + self._stamp + bytes(data[16:]), _mode=_mode)

    def get_source(self, fullname: str) -> str:
        """The source as it would be compiled."""
        try:
            return decode_source(self._record.source(self._key, self.path))
        except OSError as error:
            raise ImportError(f"the source of {self._key} cannot be read", name=fullname) from error


def _fits(bytecode: bytes, stamp: bytes) -> bool:
    """Whether bytecode says that it was compiled from the source with this hash."""
    return bytecode[:4] == MAGIC_NUMBER and bytecode[4:8] in _HASHED and bytecode[8:16] == stamp


def _show(path: str, source: bytes) -> None:
    """Let tracebacks and `inspect` show this source, whatever the file holds by now."""
    with suppress(SyntaxError, UnicodeDecodeError):
        text = decode_source(source)
        linecache.cache[path] = (len(source), None, text.splitlines(keepends=True), path)


class Imports:
    """A finder in `sys.meta_path`. It finds what Python finds, and has the project's source files loaded by `Loader`;
    pinned ones also if they have gone from the disk. `objects` and `pins`: see `wire.orders.Setup`."""

    def __init__(self, project: str, objects: str = "", pins: Mapping[str, str] | None = None) -> None:
        self.record = Record(objects, pins or {})
        self._project = Project(project)
        self._folders = {folder for key in self.record.pins for folder in _ancestors(key)}

    def install(self) -> None:
        """Be asked first. Finders that user code puts in front of it come first then."""
        sys.meta_path.insert(0, self)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """What the finders behind this one find, so that nothing is looked for twice; or what is pinned."""
        found = _search(self, fullname, path, target)
        if self._folders:
            entries = filter(_is_text, sys.path if path is None else path)
            found = self._pinned(fullname, list(entries), found) or found
        return self._followed(found)

    def file_spec(self, name: str, path: str, found_as: str) -> ModuleSpec | None:
        """A module in a file that is not looked for by its name; its own path may be behind links."""
        key = self._project.key(found_as)
        if key is not None and path.endswith(".py"):
            return spec_from_file_location(name, path, loader=Loader(name, path, key, self.record))
        return self._followed(spec_from_file_location(name, path))

    def _followed(self, spec: ModuleSpec | None) -> ModuleSpec | None:
        if spec is None or not spec.has_location or not isinstance(spec.origin, str):
            return spec
        key = self._project.key(spec.origin)
        if key is None or isinstance(spec.loader, Loader):
            return spec
        if type(spec.loader) is SourceFileLoader:
            spec.loader = Loader(spec.loader.name, spec.loader.path, key, self.record)
        else:
            with suppress(OSError):  # not a file: it is in an archive, say
                self.record.add(key, name_of(read(spec.origin)))
        return spec

    def _pinned(self, fullname: str, entries: Sequence[str], found: ModuleSpec | None) -> ModuleSpec | None:
        tail = fullname.rpartition(".")[2]
        outside: list[str] = []
        for entry in entries:
            prefix = self._project.prefix(entry)
            if prefix is None:
                outside.append(entry)
                continue
            for name in (f"{tail}/__init__.py", f"{tail}.py"):
                if prefix + name in self.record.pins:
                    if self._precedes(found, prefix + name, fullname, outside):
                        return found
                    path = os.path.join(os.path.abspath(entry), name)
                    loader = Loader(fullname, path, prefix + name, self.record)
                    return spec_from_file_location(fullname, path, loader=loader)
        return self._namespace(fullname, tail, entries, found)

    def _precedes(self, found: ModuleSpec | None, key: str, fullname: str, outside: list[str]) -> bool:
        """Whether what was found comes before what is pinned by that name: it is Python's own, or lies further ahead
        on the path, or it is the pinned content with a loader of its own."""
        if found is None or found.loader is None:
            return False
        if not found.has_location or not isinstance(found.origin, str):
            return True
        if self._project.key(found.origin) == key and type(found.loader) is not SourceFileLoader:
            with suppress(OSError):
                return name_of(read(found.origin)) == self.record.pins[key]
        earlier = PathFinder.find_spec(fullname, outside) if outside else None
        return earlier is not None and earlier.loader is not None

    def _namespace(
        self, fullname: str, tail: str, entries: Sequence[str], found: ModuleSpec | None
    ) -> ModuleSpec | None:
        """A package without `__init__.py` that holds pinned modules, and whose folder has gone, or has given way to
        files that were not imported then. A folder in `sys.path` is no package."""
        there: Sequence[str] = ()
        if found is not None and found.loader is not None:
            if not isinstance(found.origin, str) or self._project.key(found.origin) is None:
                return None
        elif found is not None:
            there = list(found.submodule_search_locations or ())
        held = [entry for entry in entries if self._holds(self._project.prefix(entry), tail)]
        folders = [os.path.join(os.path.abspath(entry), tail) for entry in held]
        gone = [folder for folder in folders if folder not in there and folder not in sys.path]
        if not gone:
            return None
        spec = ModuleSpec(fullname, None, is_package=True)
        spec.submodule_search_locations = [*there, *gone]
        return spec

    def _holds(self, prefix: str | None, tail: str) -> bool:
        return prefix is not None and prefix + tail in self._folders


def _search(finder: Imports, fullname: str, path: Sequence[str] | None, target: ModuleType | None) -> ModuleSpec | None:
    """Ask the finders behind `finder`, as Python does if it says nothing."""
    behind = False
    for other in tuple(sys.meta_path):
        if behind and (find := getattr(other, "find_spec", None)) is not None:
            found: ModuleSpec | None = find(fullname, path, target)
            if found is not None:
                return found
        behind = behind or other is finder
    return None


def _is_text(entry: object) -> bool:
    """Python leaves out what is no text in `sys.path`."""
    return isinstance(entry, str)


def _ancestors(key: str) -> list[str]:
    parts = key.split("/")
    return ["/".join(parts[:count]) for count in range(len(parts))]
