"""The names that a Python file binds, read from its source without running it."""

from __future__ import annotations

import ast
import builtins
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

MAX_BYTES = 4 * 1024 * 1024

_DYNAMIC = frozenset(("globals", "locals", "exec", "setattr"))
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)


class UnparsableError(Exception):
    """The file is no Python source."""


@dataclass(frozen=True, slots=True)
class Bound:
    """One name: a `function`, a `class`, an `import` of `module[.attribute]`, or something `other`."""

    kind: str
    module: str = ""
    attribute: str = ""


@dataclass(frozen=True, slots=True)
class Bindings:
    """What a module binds. `dynamic`: it may bind more when it runs."""

    names: dict[str, Bound]
    dynamic: bool
    classes: dict[str, ast.ClassDef] = field(default_factory=dict)

    def members(self, name: str, depth: int = 0) -> frozenset[str] | None:
        """The names of a class's attributes, with those of its bases; None if they cannot be told."""
        node = self.classes[name]
        body = list(_bound(node.body))
        found = {key for key, _ in body}
        if depth > 10 or node.keywords or node.decorator_list or "__getattr__" in found:
            return None
        for base in node.bases:
            inherited = self._base(base, depth)
            if inherited is None:
                return None
            found |= inherited
        return frozenset(found | set(dir(object)))

    def _base(self, base: ast.expr, depth: int) -> frozenset[str] | None:
        if not isinstance(base, ast.Name):
            return None
        if base.id in self.classes:
            return self.members(base.id, depth + 1)
        known = getattr(builtins, base.id, None) if base.id not in self.names else None
        return frozenset(dir(known)) if isinstance(known, type) else None


def read_bindings(file: Path) -> Bindings:
    """What the module in `file` binds. Raises UnparsableError."""
    tree = parse(file)
    names: dict[str, Bound] = {}
    dynamic = False
    for name, bound in _bound(tree.body):
        dynamic = dynamic or name in ("*", "__getattr__")
        names[name] = bound
    for node in ast.walk(tree):
        dynamic = dynamic or (isinstance(node, ast.Name) and node.id in _DYNAMIC)
        if isinstance(node, ast.Global):
            names.update({name: names.get(name, Bound("other")) for name in node.names})
    classes = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and node.name in names}
    return Bindings(names, dynamic, classes)


def parse(file: Path) -> ast.Module:
    """The syntax tree of `file`. Raises UnparsableError."""
    try:
        with file.open("rb") as stream:
            source = stream.read(MAX_BYTES + 1)
        if len(source) > MAX_BYTES:
            raise UnparsableError(f"{file.name} has more than {MAX_BYTES:,} bytes")
        with warnings.catch_warnings():
            # What the compiler has to say about style is for the user's own run.
            warnings.simplefilter("ignore")
            return ast.parse(source, filename=str(file))
    except SyntaxError as error:
        raise UnparsableError(f"{file.name}:{error.lineno or 1}: {error.msg}") from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise UnparsableError(f"{file.name} cannot be parsed: {error}") from None
    except OSError as error:
        raise UnparsableError(f"{file.name} cannot be read: {error.strerror}") from None


def _bound(body: Iterable[ast.AST]) -> Iterator[tuple[str, Bound]]:
    """Names bound by these statements and the blocks inside them, but not inside functions and classes."""
    for node in body:
        yield from _own(node)
        if not isinstance(node, _SCOPES):
            yield from _bound(ast.iter_child_nodes(node))


def _own(node: ast.AST) -> Iterator[tuple[str, Bound]]:
    """Names that this very node binds."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        yield node.name, Bound("function")
    elif isinstance(node, ast.ClassDef):
        yield node.name, Bound("class")
    elif isinstance(node, ast.Import):
        for alias in node.names:
            yield alias.asname or alias.name.partition(".")[0], Bound("import", alias.name)
    elif isinstance(node, ast.ImportFrom):
        module = "." * node.level + (node.module or "")
        for alias in node.names:
            yield alias.asname or alias.name, Bound("import", module, alias.name)
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        yield node.id, Bound("other")
    elif isinstance(node, (ast.ExceptHandler, ast.MatchAs, ast.MatchStar)) and node.name:
        yield node.name, Bound("other")
