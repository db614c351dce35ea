"""Which of a project's files a target imports, read from the sources without running any of them.

It is more rather than less: imports that only happen sometimes, such as those in functions, count as well.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from pathlib import Path

from bentod.spec.bindings import UnparsableError, parse
from bentod.spec.python_target import is_file, search

MOST_FILES = 10_000

_LONGEST = 500
_CALLS = frozenset(("import_module", "__import__"))
_FOREIGN = frozenset(("site-packages", "dist-packages", "__pycache__", "node_modules", ".git"))


@dataclass(frozen=True, slots=True)
class _Module:
    """A module's name and, where it is a package, the folders of its submodules."""

    name: str
    folders: tuple[str, ...] | None

    @property
    def package(self) -> str:
        """Where its relative imports start."""
        return self.name if self.folders is not None else self.name.rpartition(".")[0]


def imported(target: str, project: Path) -> frozenset[str]:
    """The files that `target` imports, directly or not, as paths from the project's folder; its own file is one.

    What cannot be found or parsed has no imports. At most MOST_FILES are looked at.
    """
    location = target.partition(":")[0]
    closure = _Closure(project.resolve())
    if is_file(location):
        closure.add_script(location)
    else:
        closure.add(location)
    closure.follow()
    return frozenset(closure.files)


class _Closure:
    """The files that were found so far, and those whose imports are still to be looked at."""

    def __init__(self, project: Path) -> None:
        self.files: set[str] = set()
        self._project = project
        self._roots = [str(project), *(path for path in sys.path if path and self._within(Path(path)) is not None)]
        self._known: dict[str, _Module | None] = {}
        self._waiting: list[tuple[Path, _Module]] = []

    def add_script(self, location: str) -> None:
        """A target that is a file; its own folder is importable too, as the worker has it."""
        path = self._project / location
        self._roots.append(str(path.parent))
        parts = Path(location).with_suffix("").parts
        self._take(path, _Module(".".join(parts), None))

    def add(self, name: str) -> _Module | None:
        """A module by its full name, with the packages around it; None if it is not of this project."""
        if name in self._known:
            return self._known[name]
        if not name or len(name) > _LONGEST:
            return None
        self._known[name] = None
        around, _, last = name.rpartition(".")
        parent = self.add(around) if around else None
        if around and (parent is None or parent.folders is None):
            return None
        spec = search(last, parent.folders or () if parent else self._roots)
        if spec is None:
            return None
        found = _Module(name, None if spec.submodule_search_locations is None else tuple(_folders(spec)))
        self._known[name] = found
        if spec.origin:
            self._take(Path(spec.origin), found)
        return found

    def follow(self) -> None:
        """Look at the imports of all files, and of those that come with them."""
        while self._waiting:
            path, module = self._waiting.pop()
            for name in _imports(path, module.package):
                self._import(name)

    def _import(self, name: str) -> None:
        """`package.name` may be a submodule or not, `package.*` are those in `__all__`."""
        if not name.endswith(".*"):
            self.add(name)
            return
        package = self.add(name[:-2])
        for folder in (package.folders or ()) if package else ():
            for member in _listed(Path(folder, "__init__.py")):
                self.add(f"{name[:-2]}.{member}")

    def _take(self, path: Path, module: _Module) -> None:
        relative = self._within(path)
        if relative is None or relative in self.files or len(self.files) >= MOST_FILES or not path.is_file():
            return
        self.files.add(relative)
        if path.suffix == ".py":
            self._waiting.append((path, module))

    def _within(self, path: Path) -> str | None:
        """The path from the project's folder; None for what is not the project's own, such as a virtual environment. A
        link inside the project counts by its own name, wherever it leads."""
        for one in (path, path.resolve()):
            if one.is_relative_to(self._project):
                relative = one.relative_to(self._project)
                break
        else:
            return None
        if _FOREIGN & set(relative.parts):
            return None
        above = [self._project / parent for parent in relative.parents if parent.parts]
        return None if any((folder / "pyvenv.cfg").is_file() for folder in above) else relative.as_posix()


def _folders(spec: ModuleSpec) -> Iterable[str]:
    return map(str, spec.submodule_search_locations or ())


def _imports(path: Path, package: str) -> Iterator[str]:
    """The full names that a file may import; of `from x import y` both `x` and `x.y`."""
    try:
        tree = parse(path)
    except UnparsableError:
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = _absolute("." * node.level + (node.module or ""), package)
            yield from (f"{module}.{alias.name}" for alias in node.names if module)
            yield module
        elif isinstance(node, ast.Call):
            yield from _called(node, package)


def _called(node: ast.Call, package: str) -> Iterator[str]:
    """`importlib.import_module("name")`, with a name that is written there."""
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    if name in _CALLS and node.args and isinstance(node.args[0], ast.Constant) and isinstance(node.args[0].value, str):
        yield _absolute(node.args[0].value, package)


def _absolute(module: str, package: str) -> str:
    """`..x` seen from `package`; empty if it leads out of it."""
    level = len(module) - len(module.lstrip("."))
    if not level:
        return module
    base = package.split(".") if package else []
    if level > len(base):
        return ""
    return ".".join([*base[: len(base) - level + 1], *filter(None, [module[level:]])])


def _listed(path: Path) -> Iterator[str]:
    """The names in a package's `__all__`."""
    try:
        tree = parse(path)
    except UnparsableError:
        return
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if any(isinstance(target, ast.Name) and target.id == "__all__" for target in targets):
            constants = (item.value for item in ast.walk(node) if isinstance(item, ast.Constant))
            yield from (value for value in constants if isinstance(value, str))
