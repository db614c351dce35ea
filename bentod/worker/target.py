"""Imports and constructs a target, finds its methods, and says precisely what failed.

The user's objects stay here: what leaves this file towards the daemon are names, signatures and texts.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from bentod.wire.orders import Method, Parameter
from bentod.worker.imports import Imports

_MOST_WRAPPERS = 100
_signature: Callable[[Any], inspect.Signature] = inspect.signature
_takers: tuple[type, ...] = (FunctionType,)
"""What takes the instance first when it is an attribute of a class."""
if sys.version_info >= (3, 14):
    from annotationlib import Format

    # As text: what only a type checker imports cannot be looked up.
    _signature = functools.partial(inspect.signature, annotation_format=Format.STRING)
    _takers = (FunctionType, functools.partial)


class TargetFailed(Exception):
    """The target cannot start. `stage` is `import`, `construct`, `method` or `start hook`."""

    def __init__(self, stage: str, error: str, trace: str = "") -> None:
        super().__init__(error)
        self.stage, self.error, self.traceback = stage, error, trace


def load(name: str, project: Path, imports: Imports | None = None) -> object:
    """Import `package.module[:attribute]` or `path/file.py[:attribute]`, relative to `project`; `imports`, which is
    installed, follows it.

    Raises TargetFailed, with the user's traceback if the import raised anything, SystemExit included.
    """
    place, _, attribute = name.partition(":")
    if str(project) not in sys.path:
        sys.path.insert(0, str(project))
    try:
        is_file = place.endswith(".py")
        found: object = _import_file(project, place, imports) if is_file else importlib.import_module(place)
        for part in attribute.split(".") if attribute else ():
            found = getattr(found, part)
    except AttributeError as error:
        if traceback.extract_tb(error.__traceback__)[-1].filename == __file__:
            raise TargetFailed("import", f"{place} has no attribute {attribute!r}") from None
        raise failed("import", error) from None
    except BaseException as error:  # noqa: BLE001 - user code may raise anything
        raise failed("import", error) from None
    return Function(found) if _is_nameless(found, attribute.rpartition(".")[2]) else found


def _is_nameless(found: Any, known: str) -> bool:
    """Whether a target is called like a function, but is none of the name by which it is known."""
    if isinstance(found, type) or not callable(found):
        return False
    return not inspect.isroutine(found) or getattr(found, "__name__", known) != known


class Function:
    """A target that is a callable object or a function by another name, such as a `functools.partial`, a lambda or what
    a decorator made: one function, whatever it is called."""

    def __init__(self, call: Any) -> None:
        self.call = call


def _import_file(project: Path, place: str, imports: Imports | None) -> ModuleType:
    """The module in a file; its own folder is importable too, as for a script."""
    path = (project / place).resolve()
    if str(path.parent) not in sys.path:
        sys.path.insert(1, str(path.parent))
    parts = Path(place).with_suffix("").parts
    name = ".".join(parts) if all(part.isidentifier() for part in parts) else path.stem
    known = sys.modules.get(name)
    if known is not None:
        if getattr(known, "__file__", None) == str(path):
            return known
        name = f"bentod_target_{path.stem}"
    if imports is None:
        spec = importlib.util.spec_from_file_location(name, path)
    else:
        spec = imports.file_spec(name, str(path), str(project / place))
    if spec is None or spec.loader is None:
        raise ImportError(f"{place} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def construct(target: object, init: dict[str, Any]) -> object:
    """An instance of a class, constructed with `init`; a module or a function as it is. Raises TargetFailed."""
    if not isinstance(target, type):
        if init:
            raise TargetFailed("construct", "`init` is for classes, and the target is none")
        return target
    try:
        return target(**init)
    except BaseException as error:  # noqa: BLE001 - user code may raise anything
        raise failed("construct", error) from None


def bind(target: object, name: str) -> Any:
    """The callable that is method `name` of a constructed target. Raises TargetFailed."""
    if not isinstance(target, ModuleType) and inspect.isroutine(target):
        if name != getattr(target, "__name__", name):
            raise TargetFailed("method", f"the target is the function {target.__name__!r}, which has no {name!r}")
        return target
    method = getattr(target.call if isinstance(target, Function) else target, name, None)
    if callable(method):
        return method
    if isinstance(target, Function):
        return target.call
    what = "has no" if method is None else "is not callable:"
    raise TargetFailed("method", f"the target {what} method {name!r}")


def methods(target: object, names: Sequence[str]) -> dict[str, Method]:
    """Style and parameters of the named methods. A class that is not constructed yet is taken as its instances.

    Raises TargetFailed.
    """
    return {name: describe(name, bind(target, name), skip_self=_takes_self(target, name)) for name in names}


def _takes_self(target: object, name: str) -> bool:
    return isinstance(target, type) and isinstance(inspect.getattr_static(target, name, None), _takers)


def describe(name: str, function: Any, *, skip_self: bool = False) -> Method:
    """How `function` is called, found through wrappers, partials and callable objects."""
    try:
        found = list(_signature(function).parameters.values())[1 if skip_self else 0 :]
    except (TypeError, ValueError):  # some builtins have no signature
        return Method(name, style(function), None)
    return Method(name, style(function), tuple(Parameter(p.name, p.kind.name, p.default is p.empty) for p in found))


def style(function: Any) -> str:
    """`sync`, `async`, `generator` or `async generator`: what `function` is, or else what it wraps."""
    for plain in _wrapped(function):
        if inspect.iscoroutinefunction(plain):
            return "async"
        if inspect.isasyncgenfunction(plain):
            return "async generator"
        if inspect.isgeneratorfunction(plain):
            return "generator"
    return "sync"


def _wrapped(function: Any) -> Iterator[Any]:
    """A callable, and what is inside its decorators, partials and callable objects, from outside to inside."""
    for _ in range(_MOST_WRAPPERS):
        yield function
        if isinstance(function, functools.partial):
            function = function.func
        elif hasattr(function, "__wrapped__"):
            function = function.__wrapped__
        elif not inspect.isroutine(function) and not isinstance(function, type):
            function = type(function).__call__
        else:
            return


def failed(stage: str, error: BaseException) -> TargetFailed:
    """`error` of user code as a TargetFailed; the traceback starts in the user's code, not in ours or importlib's."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = (str(Path(__file__).parent), "<frozen importlib")
    while frames and frames[0].filename.startswith(ours):
        frames.pop(0)
    while frames and "importlib" in frames[0].filename:
        frames.pop(0)
    trace = "".join(["Traceback (most recent call last):\n", *traceback.format_list(frames)] if frames else [])
    lines = traceback.format_exception_only(error)
    text = next((line.strip() for line in lines if not line.startswith(" ")), "")  # not a syntax error's source
    if isinstance(error, SyntaxError) and error.filename:
        text += f" ({Path(error.filename).name}, line {error.lineno})"
    return TargetFailed(stage, text or type(error).__name__, _origin(error) + trace + "".join(lines))


def _origin(error: BaseException) -> str:
    """What `error` came from, in Python's own words."""
    if error.__cause__ is not None:
        found, link = error.__cause__, "The above exception was the direct cause of the following exception:"
    elif error.__context__ is not None and not error.__suppress_context__:
        found, link = error.__context__, "During handling of the above exception, another exception occurred:"
    else:
        return ""
    return f"{''.join(traceback.format_exception(found))}\n{link}\n\n"
