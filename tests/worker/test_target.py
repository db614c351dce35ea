"""Targets: found, constructed, described; what fails is told with the user's traceback and nothing of ours."""

from __future__ import annotations

import functools
import inspect
import itertools
import sys
import types
from pathlib import Path

import pytest

from bentod.worker.target import (
    TargetFailed,
    bind,
    construct,
    describe,
    load,
    methods,
    style,
)

_NUMBERS = itertools.count()


@pytest.fixture(autouse=True)
def imports():
    """What a target imports is forgotten afterwards."""
    path, modules = list(sys.path), set(sys.modules)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        del sys.modules[name]


@pytest.fixture
def module(tmp_path):
    """Writes a module with a name of its own, and returns the name."""

    def write(code: str) -> str:
        name = f"target_module_{next(_NUMBERS)}"
        (tmp_path / f"{name}.py").write_text(code)
        return name

    return write


def failure(call, *args) -> TargetFailed:
    with pytest.raises(TargetFailed) as raised:
        call(*args)
    return raised.value


# ── loading ──────────────────────────────────────────────────────────────────────────────────────

CODE = """
def f(x): return x
class C:
    class Inner:
        def g(self): return "g"
    def m(self): return "m"
value = 5
"""


@pytest.mark.parametrize(
    ("attribute", "kind"),
    [
        ("", types.ModuleType),
        (":f", types.FunctionType),
        (":C", type),
        (":C.Inner", type),
        (":C.m", types.FunctionType),
    ],
)
def test_modules_and_attributes_are_found(tmp_path, module, attribute, kind):
    assert isinstance(load(module(CODE) + attribute, tmp_path), kind)


def test_packages_and_files_are_found(tmp_path):
    package = tmp_path / f"pack{next(_NUMBERS)}"
    (package / "inner").mkdir(parents=True)
    (package / "inner" / "a.py").write_text("from helper_beside import n\ndef f(): return n")
    (package / "inner" / "helper_beside.py").write_text("n = 7")
    assert load(f"{package.name}/inner/a.py:f", tmp_path)() == 7  # type: ignore[operator]
    (package / "b.py").write_text("def f(): return 8")
    assert load(f"{package.name}.b:f", tmp_path)() == 8  # type: ignore[operator]


def test_files_that_are_no_module_names_and_files_called_like_known_modules(tmp_path):
    (tmp_path / "my-model.py").write_text("name = __name__")
    (tmp_path / "json.py").write_text("def mine(): return 'mine'")
    assert load("my-model.py", tmp_path).name  # type: ignore[attr-defined]
    found = load("json.py:mine", tmp_path)
    assert found() == "mine"  # type: ignore[operator]
    assert sys.modules["json"].__file__ != str(tmp_path / "json.py")
    assert load("json.py:mine", tmp_path)() == "mine"  # type: ignore[operator]


def test_two_loads_of_a_file_are_one_import(tmp_path):
    (tmp_path / "once_only.py").write_text("import itertools\nobject_ = object()")
    assert load("once_only.py:object_", tmp_path) is load("once_only.py:object_", tmp_path)


@pytest.mark.parametrize(
    ("code", "error"),
    [
        pytest.param("raise SystemExit(3)", "SystemExit: 3", id="SystemExit"),
        pytest.param("import sys; sys.exit()", "SystemExit", id="exit"),
        pytest.param("raise KeyboardInterrupt", "KeyboardInterrupt", id="KeyboardInterrupt"),
        pytest.param("import no_such_module_at_all", "ModuleNotFoundError: No module named", id="import"),
        pytest.param("object().missing", "AttributeError: 'object' object has no attribute 'missing'", id="attribute"),
        pytest.param("def f(:\n  pass", "SyntaxError", id="syntax"),
        pytest.param("\0", "source code string cannot contain null bytes", id="NUL"),
        pytest.param("def f():\n\tpass\n        pass", "TabError", id="tabs"),
        pytest.param("class E(Exception):\n  def __str__(self): raise OSError\nraise E", "E: <", id="no text"),
        pytest.param("e = ValueError('text')\ne.add_note('a note')\nraise e", "ValueError: text", id="with a note"),
        pytest.param("raise ExceptionGroup('many', [ValueError(1), TypeError(2)])", "ExceptionGroup: many", id="group"),
        pytest.param("def f(): f()\nf()", "RecursionError", id="recursion"),
    ],
)
def test_whatever_an_import_raises_is_told_with_the_users_traceback(tmp_path, module, code, error):
    found = failure(load, module(code), tmp_path)
    assert found.stage == "import"
    assert error in found.error
    assert "\n" not in found.error
    assert found.error in found.traceback or error in found.traceback
    assert "bentod" not in found.traceback.replace(str(tmp_path), "")
    assert "importlib" not in found.traceback


def test_a_traceback_names_the_users_line(tmp_path, module):
    found = failure(load, module("def boom():\n    raise ValueError('here')\n\nboom()\n"), tmp_path)
    assert "line 4, in <module>" in found.traceback
    assert "line 2, in boom" in found.traceback


def test_the_cause_of_an_error_is_told_too(tmp_path, module):
    code = "try:\n    {}['key']\nexcept KeyError as e:\n    raise RuntimeError('weights are missing') from e"
    found = failure(load, module(code), tmp_path)
    assert found.error == "RuntimeError: weights are missing"
    assert "KeyError: 'key'" in found.traceback


def test_a_failed_import_can_be_tried_again(tmp_path):
    path = tmp_path / "second_try.py"
    path.write_text("raise ValueError")
    failure(load, "second_try.py", tmp_path)
    path.write_text("def f(): return 'now'")
    assert load("second_try.py:f", tmp_path)() == "now"  # type: ignore[operator]


@pytest.mark.parametrize(
    "name",
    ["no_such_module_here", "no_such_module_here.sub:f", "no_such.py:f", "json:no_such", "json:loads.no_such", ""],
)
def test_what_is_not_there_is_told(tmp_path, name):
    found = failure(load, name, tmp_path)
    assert (found.stage, bool(found.error)) == ("import", True)


# ── constructing ─────────────────────────────────────────────────────────────────────────────────


class Model:
    def __init__(self, size=1, error=None):
        self.size = size
        if error:
            raise error

    def run(self, x, *, y=2):
        return x, y

    async def later(self, x): ...

    @staticmethod
    def static(x): ...

    @classmethod
    def of_class(cls, x): ...

    @property
    def attribute(self):
        return 5

    def __call__(self, z): ...


def test_only_classes_are_constructed():
    assert construct(Model, {"size": 5}).size == 5  # type: ignore[attr-defined]
    assert construct(len, {}) is len
    assert construct(sys, {}) is sys
    assert failure(construct, len, {"size": 5}).stage == "construct"


@pytest.mark.parametrize("error", [ValueError("no weights"), SystemExit(1), KeyboardInterrupt(), StopIteration(3)])
def test_whatever_a_constructor_raises_is_told(error):
    found = failure(construct, Model, {"error": error})
    assert found.stage == "construct"
    assert type(error).__name__ in found.error
    assert "test_target.py" in found.traceback


def test_wrong_arguments_of_a_constructor_are_told():
    assert "nobody" in failure(construct, Model, {"nobody": 1}).error


# ── methods ──────────────────────────────────────────────────────────────────────────────────────


def named(method) -> list[str]:
    return [parameter.name for parameter in method.parameters]


@pytest.mark.parametrize(
    ("name", "parameters", "kind"),
    [
        ("run", ["x", "y"], "sync"),
        ("later", ["x"], "async"),
        ("static", ["x"], "sync"),
        ("of_class", ["x"], "sync"),
        ("__call__", ["z"], "sync"),
    ],
)
def test_methods_are_the_same_before_and_after_construction(name, parameters, kind):
    for target in (Model, Model()):
        found = methods(target, [name])[name]
        assert (found.name, named(found), found.style) == (name, parameters, kind)


@pytest.mark.filterwarnings("ignore:functools.partial will be a method descriptor:FutureWarning")
def test_a_callable_attribute_of_a_class_has_no_self():
    class Holder:
        call = Model()
        part = functools.partial(lambda x, y: (x, y), 1)
        apart = staticmethod(part)

    for target in (Holder, Holder()):
        assert named(methods(target, ["call"])["call"]) == ["z"]
        assert named(methods(target, ["part"])["part"]) == ([] if sys.version_info >= (3, 14) else ["y"])
        assert named(methods(target, ["apart"])["apart"]) == ["y"]


@pytest.mark.skipif(sys.version_info < (3, 14), reason="annotations are evaluated with the function")
def test_an_annotation_that_only_a_type_checker_understands_is_not_looked_up(tmp_path, module):
    text = "import typing\nif typing.TYPE_CHECKING:\n    from some import What\ndef f(x: What, y: What.Part): ..."
    assert named(describe("f", load(f"{module(text)}:f", tmp_path))) == ["x", "y"]


@pytest.mark.parametrize("name", ["nobody", "attribute", "size"])
def test_what_is_no_method_is_told(name):
    found = failure(bind, Model(), name)
    assert found.stage == "method"
    assert name in found.error


def test_a_function_has_one_method_its_own():
    def f(x): ...

    assert bind(f, "f") is f
    assert failure(bind, f, "g").stage == "method"


def test_a_callable_object_as_target_is_a_function_of_any_name(tmp_path, module):
    part = "import functools\ndef f(x, y): return x, y\npart = functools.partial(f, 1)\n"
    name = module(part + "class C:\n  def __call__(self, z): return z\nobject_ = C()")
    part = load(f"{name}:part", tmp_path)
    assert bind(construct(part, {}), "whatever")(2) == (1, 2)
    assert named(methods(part, ["whatever"])["whatever"]) == ["y"]
    assert bind(load(f"{name}:object_", tmp_path), "whatever")(3) == 3


def test_a_function_is_known_by_the_name_in_its_module(tmp_path, module):
    code = "def bare(f):\n  def inner(x): return f(x)\n  return inner\n"
    name = module(code + "@bare\ndef wrapped(x): return x + 1\nsquare = lambda x: x * x")
    for attribute, answer in (("wrapped", 4), ("square", 9)):
        function = load(f"{name}:{attribute}", tmp_path)
        assert bind(construct(function, {}), attribute)(3) == answer
        assert named(methods(function, [attribute])[attribute]) == ["x"]


def test_a_module_has_its_functions(tmp_path, module):
    target = load(module(CODE), tmp_path)
    assert bind(target, "f")(4) == 4
    assert failure(bind, target, "value").error.count("value")
    assert failure(bind, target, "nobody").error.count("nobody")


def test_parameters_are_told_with_kind_and_need():
    def f(a, /, b, c=1, *d, e, g=2, **h): ...

    found = describe("f", f)
    assert [(p.name, p.kind, p.required) for p in found.parameters or ()] == [
        ("a", "POSITIONAL_ONLY", True),
        ("b", "POSITIONAL_OR_KEYWORD", True),
        ("c", "POSITIONAL_OR_KEYWORD", False),
        ("d", "VAR_POSITIONAL", True),
        ("e", "KEYWORD_ONLY", True),
        ("g", "KEYWORD_ONLY", False),
        ("h", "VAR_KEYWORD", True),
    ]


def test_a_builtin_without_signature_has_unknown_parameters():
    assert describe("max", max).parameters is None


# ── styles ───────────────────────────────────────────────────────────────────────────────────────


def plain(x): ...


async def later(x): ...


def stream(x):
    yield x


async def stream_later(x):
    yield x


def timed(function):
    """A usual decorator: it calls what it wraps."""

    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)

    return wrapper


def in_thread(function):
    """A decorator that makes a function asynchronous."""

    @functools.wraps(function)
    async def wrapper(*args, **kwargs):
        return function(*args, **kwargs)

    return wrapper


class Later:
    async def __call__(self, x): ...


class WithFunc:
    """`func` is an attribute of many objects that are no partials."""

    def __init__(self):
        self.func = later

    def __call__(self, x): ...


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        pytest.param(plain, "sync", id="function"),
        pytest.param(later, "async", id="async"),
        pytest.param(stream, "generator", id="generator"),
        pytest.param(stream_later, "async generator", id="async generator"),
        pytest.param(lambda x: x, "sync", id="lambda"),
        pytest.param(len, "sync", id="builtin"),
        pytest.param(functools.partial(plain, 1), "sync", id="partial"),
        pytest.param(functools.partial(later, 1), "async", id="partial of async"),
        pytest.param(functools.partial(functools.partial(later), 1), "async", id="partial of partial"),
        pytest.param(timed(plain), "sync", id="wrapped"),
        pytest.param(timed(later), "async", id="wrapped async"),
        pytest.param(timed(timed(stream)), "generator", id="wrapped generator, twice"),
        pytest.param(in_thread(plain), "async", id="made async"),
        pytest.param(timed(in_thread(plain)), "async", id="made async, wrapped"),
        pytest.param(functools.partial(timed(later)), "async", id="partial of wrapped async"),
        pytest.param(functools.lru_cache(plain), "sync", id="cached"),
        pytest.param(Later(), "async", id="callable object"),
        pytest.param(functools.partial(Later()), "async", id="partial of callable object"),
        pytest.param(WithFunc(), "sync", id="callable object with func"),
        pytest.param(Model().later, "async", id="bound method"),
        pytest.param(Model, "sync", id="class"),
        pytest.param(functools.partial(Model), "sync", id="partial of class"),
    ],
)
def test_the_style_is_that_of_what_is_called(function, expected):
    assert style(function) == expected
    found = describe("f", function)
    assert found.style == expected
    assert found.parameters == tuple(
        type(found.parameters[0])(p.name, p.kind.name, p.default is p.empty)  # type: ignore[index]
        for p in inspect.signature(function).parameters.values()
    )


def test_nothing_of_this_is_left_behind(tmp_path: Path):
    assert str(tmp_path) not in sys.path
