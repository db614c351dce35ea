"""Finds a target's module and attribute without running any of it: a path search, then a look at the source."""

from __future__ import annotations

import importlib.machinery
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.machinery import EXTENSION_SUFFIXES, ExtensionFileLoader, FileFinder, ModuleSpec, SourceFileLoader
from pathlib import Path

from bentod.spec.bindings import Bindings, UnparsableError, read_bindings
from bentod.spec.found import did_you_mean, shown
from bentod.spec.report import Fault

_DOTTED = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")
_HINT = "such as `package.module`, `package.module:attribute` or `path/file.py:attribute`"
_DEEPEST = 5
_LOADERS = ((ExtensionFileLoader, EXTENSION_SUFFIXES), (SourceFileLoader, [".py"]))


class TargetError(Fault):
    """The target does not exist, or cannot be one."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a target is: `module`, `function`, `class` or `unknown`; its `names`, None if only running it tells them."""

    kind: str
    names: frozenset[str] | None


@dataclass(frozen=True, slots=True)
class _Source:
    """A module's file; None if there is none to read. `package` is where its relative imports start."""

    file: Path | None
    package: str


class Finder:
    """Finds targets of one project."""

    def __init__(self, project: Path) -> None:
        self._project = project
        self._read: dict[Path, Bindings] = {}

    def find(self, target: str) -> Found:
        """What `target` is. Raises TargetError if it does not exist or is no target at all."""
        location, colon, attribute = target.partition(":")
        if colon and not _DOTTED.fullmatch(attribute):
            raise TargetError("wrong-value", f"{shown(target)} names nothing after the colon", _name_hint(target))
        source = self._file(location) if is_file(location) else self._module(location)
        first, _, rest = attribute.partition(".")
        found = self._attribute(source, location, first) if first else self._whole(source)
        for name in rest.split(".") if rest else ():
            if found.names is not None and name not in found.names:
                raise TargetError(
                    "missing-attribute", f"`{location}:{first}` has no `{name}`", did_you_mean(name, found.names)
                )
            found = Found("unknown", None)
        return found

    def _whole(self, source: _Source) -> Found:
        bindings = self._bindings(source)
        return Found("module", None if bindings is None or bindings.dynamic else frozenset(bindings.names))

    def _attribute(self, source: _Source, location: str, name: str, depth: int = 0) -> Found:
        bindings = self._bindings(source)
        if bindings is None:
            return Found("unknown", None)
        bound = bindings.names.get(name)
        if bound is None:
            if bindings.dynamic:
                return Found("unknown", None)
            public = [known for known in bindings.names if not known.startswith("_")]
            raise TargetError("missing-attribute", f"`{location}` has no `{name}`", did_you_mean(name, public))
        if bound.kind == "class":
            return Found("class", bindings.members(name))
        if bound.kind == "import" and depth < _DEEPEST:
            return self._imported(source, bound.module, bound.attribute, depth)
        return Found("function" if bound.kind == "function" else "unknown", None)

    def _imported(self, source: _Source, module: str, attribute: str, depth: int) -> Found:
        """What another module of the project gives; what is elsewhere stays unknown."""
        level = len(module) - len(module.lstrip("."))
        if level:
            base = source.package.split(".")
            module = ".".join([*base[: len(base) - level + 1], module[level:]]).strip(".")
        try:
            return (
                self._attribute(self._module(module), module, attribute, depth + 1)
                if attribute
                else Found("module", None)
            )
        except TargetError:
            return Found("unknown", None)

    def _file(self, location: str) -> _Source:
        path = self._project / location
        if Path(location).is_absolute() or not path.resolve().is_relative_to(self._project.resolve()):
            raise TargetError("outside-project", f"`{location}` leaves the project", f"keep it inside {self._project}")
        if not location.endswith(".py"):
            raise TargetError("wrong-value", f"`{location}` is neither a module nor a `.py` file", _HINT)
        if not path.is_file():
            raise TargetError("missing-file", f"there is no file `{location}`", self._similar(path))
        return _Source(path, "")

    def _module(self, name: str) -> _Source:
        if not _DOTTED.fullmatch(name):
            raise TargetError("wrong-value", f"{shown(name)} is not an import string", _HINT)
        parts = name.split(".")
        spec = search(parts[0], [str(self._project)])
        local = spec is not None
        spec = spec or search(parts[0], sys.path) or _by_finders(parts[0])
        for index, part in enumerate(parts):
            if index and spec is not None:
                if spec.submodule_search_locations is None and not local:
                    return _Source(None, "")  # such as `os.path`: a module that another one puts into sys.modules
                spec = search(part, list(spec.submodule_search_locations or ()))
            if spec is None:
                missing = ".".join(parts[: index + 1])
                hint = self._colon_hint(parts, index) if index else self._module_hint(missing)
                raise TargetError("missing-module", f"there is no module `{missing}`", hint)
        assert spec is not None
        file = Path(spec.origin) if spec.origin and spec.origin.endswith(".py") else None
        if local and file and not file.resolve().is_relative_to(self._project.resolve()):
            raise TargetError("outside-project", f"`{name}` is a link that leaves the project")
        return _Source(file, name if spec.submodule_search_locations is not None else name.rpartition(".")[0])

    def _colon_hint(self, parts: Sequence[str], index: int) -> str:
        """What to write if a dot stands where the module ends and its attribute begins."""
        module, attribute = ".".join(parts[:index]), ".".join(parts[index:])
        bindings = self._bindings(self._module(module))
        return f"did you mean `{module}:{attribute}`?" if bindings and parts[index] in bindings.names else ""

    def _module_hint(self, name: str) -> str:
        here = [path.stem for path in self._project.glob("*.py")] + [
            path.parent.name for path in self._project.glob("*/*.py")
        ]
        close = did_you_mean(name, here)
        return (
            close if close.startswith("did") else f"looked in {self._project} and in the packages of {sys.executable}"
        )

    def _similar(self, path: Path) -> str:
        names = [other.name for other in path.parent.glob("*.py")] if path.parent.is_dir() else []
        close = did_you_mean(path.name, names)
        return close if close.startswith("did") else f"looked in {path.parent}"

    def _bindings(self, source: _Source) -> Bindings | None:
        if source.file is None:
            return None
        if source.file not in self._read:
            try:
                self._read[source.file] = read_bindings(source.file)
            except UnparsableError as error:
                raise TargetError("invalid-python", str(error)) from None
        return self._read[source.file]


def is_file(location: str) -> bool:
    """Whether a target is written as a file, not as a module."""
    return "/" in location or location.endswith(".py")


def search(name: str, folders: Iterable[str]) -> ModuleSpec | None:
    """The module in the first folder that has it; folders without `__init__.py` add up, as Python does it."""
    portions: list[str] = []
    for folder in filter(None, folders):
        spec = FileFinder(folder, *_LOADERS).find_spec(name)
        if spec is not None and spec.loader is not None:
            return spec
        portions += (spec.submodule_search_locations or []) if spec else []
    if not portions:
        return None
    namespace = ModuleSpec(name, None, is_package=True)
    namespace.submodule_search_locations = portions
    return namespace


def _by_finders(name: str) -> ModuleSpec | None:
    """Built-in modules, and what editable installs register."""
    finders: Sequence[object] = [finder for finder in sys.meta_path if finder is not importlib.machinery.PathFinder]
    for finder in finders:
        find = getattr(finder, "find_spec", None)
        spec = find(name, None) if find else None
        if isinstance(spec, ModuleSpec):
            return spec
    return None


def _name_hint(target: str) -> str:
    """What to write for an attribute with what does not belong to it, such as `module:Class()`."""
    location, _, written = target.partition(":")
    name = _DOTTED.match(written.strip())
    call = " Arguments are written as `init`" if "(" in written else ""
    return f"did you mean `{location}:{name[0]}`?{call}" if name else _HINT
