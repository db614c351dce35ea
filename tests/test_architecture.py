"""The shape of the package, held by checks: layers, sizes, names, mappings."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bentod import errors
from bentod.errors import CallError
from bentod.gateway.problems import KINDS
from bentod.observe.events import EVENTS

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "bentod").rglob("*.py"))
TREES = {path: ast.parse(path.read_text("utf-8")) for path in FILES}
MOST_LINES, MOST_LINES_OF_A_FUNCTION = 300, 40
CALLABLE = (ast.FunctionDef, ast.AsyncFunctionDef)


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def by_file(function):
    return pytest.mark.parametrize("path", FILES, ids=name_of)(function)


def test_imports_follow_the_layers():
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


@by_file
def test_a_file_begins_with_its_job_and_is_short(path):
    text = path.read_text("utf-8")
    first = (ast.get_docstring(TREES[path], clean=False) or "").partition("\n")[0]
    assert text.startswith('"""')
    assert len(first) >= 15
    assert len(text.splitlines()) <= MOST_LINES


@by_file
def test_functions_are_short(path):
    long = {
        node.name: node.end_lineno - node.lineno + 1
        for node in ast.walk(TREES[path])
        if isinstance(node, CALLABLE) and node.end_lineno - node.lineno >= MOST_LINES_OF_A_FUNCTION
    }
    assert long == {}


@by_file
def test_what_is_public_says_what_it_does(path):
    """Methods that a base class or Python itself describes need no words."""
    tree = TREES[path]
    public = [
        node for node in tree.body if isinstance(node, (*CALLABLE, ast.ClassDef)) and not node.name.startswith("_")
    ]
    assert [node.name for node in public if not ast.get_docstring(node)] == []


def used_names(tree: ast.AST) -> Iterator[str]:
    """Modules and dotted names that a file uses."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            yield f"{node.value.id}.{node.attr}"
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield f"{node.func.id}()"


@by_file
def test_nothing_dangerous_is_used(path):
    banned = re.compile(r"(pickle|cPickle|marshal|shelve|dill|cloudpickle)(\..*)?|time\.sleep|eval\(\)|os\.system")
    assert [name for name in used_names(TREES[path]) if banned.fullmatch(name)] == []


def test_only_the_command_line_and_the_children_read_the_environment():
    inherited = {"bentod/daemon/inspect.py", "bentod/daemon/prelaunch.py"}  # they pass it on to a child
    readers = {name_of(path) for path in FILES if {"os.environ", "os.getenv"} & set(used_names(TREES[path]))}
    others = {path for path in readers if not re.search(r"/cli/|/settings\.py|/__main__\.py", path)}
    assert others <= inherited


def test_no_package_is_called_by_what_it_is_not():
    vague = {"utils", "util", "common", "helpers", "helper", "manager", "base", "misc"}
    assert [name_of(path) for path in FILES if vague & {path.stem, path.parent.name}] == []


def all_subclasses(cls: type) -> set[type]:
    return {cls}.union(*(all_subclasses(one) for one in cls.__subclasses__()))


def test_every_error_of_a_call_is_mapped_to_a_problem_and_only_those():
    public = {cls for cls in all_subclasses(CallError) if cls.__module__ == errors.__name__} - {CallError}
    assert set(KINDS) == public
    codes = [kind.code for kind in KINDS.values()]
    assert len(codes) == len(set(codes))


def test_the_error_tree_in_the_docstring_is_the_one_in_the_code():
    written = set(re.findall(r"\w+", errors.__doc__ or ""))
    made = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, Exception)}
    assert made - written == {"ProblemsError"}
    assert {word for word in written if word.endswith("Error")} <= made


def logged_events() -> Iterator[tuple[str, str]]:
    """Where an event is logged, and its name."""
    for path, tree in TREES.items():
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            function = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            first = node.args[0]
            if function in {"log", "_log"} and isinstance(first, ast.Constant) and isinstance(first.value, str):
                yield name_of(path), first.value


def test_every_event_that_is_logged_is_documented_and_the_reverse():
    used = {name for _, name in logged_events()}
    used.add("call.finished")  # written by observe/access.py, which is no log
    assert used == set(EVENTS)


def test_an_event_is_logged_with_its_documented_keys():
    """`service` is added where a pool's log is made."""
    wrong = {}
    for path, tree in TREES.items():
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call) or not node.args or not isinstance(node.args[0], ast.Constant):
                continue
            documented = EVENTS.get(str(node.args[0].value))
            given = {keyword.arg for keyword in node.keywords}
            if documented is None or None in given or not given:
                continue
            missing = set(documented.split(", ")) - given - {"service"}
            unknown = given - set(documented.split(", ")) - {"level"}
            if missing or unknown:
                wrong[f"{name_of(path)}: {node.args[0].value}"] = (missing, unknown)
    assert wrong == {}


def test_tests_mirror_the_package():
    """A folder of tests is a folder of the package."""
    own = {"cases", "e2e", "fuzz", "support"}
    folders = {path.name for path in (ROOT / "tests").iterdir() if path.is_dir() and not path.name.startswith("_")}
    assert {folder for folder in folders - own if not (ROOT / "bentod" / folder).is_dir()} == set()
