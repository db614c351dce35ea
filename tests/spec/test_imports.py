"""Which files a target imports, as its sources say."""

import pytest

from bentod.spec.imports import imported


def write(folder, files):
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def found(folder, files, target="main"):
    return sorted(imported(target, write(folder, files)))


@pytest.mark.parametrize(
    "text",
    [
        "import a",
        "import os, a as b",
        "from a import x",
        "from a import *",
        "def f():\n    import a",
        "try:\n    import a\nexcept ImportError: ...",
        "if 0:\n    from a import x",
        "class C:\n    def m(self):\n        from a import x",
        "import importlib\nimportlib.import_module('a')",
        "from importlib import import_module\nx = import_module('a')",
        "__import__('a')",
    ],
)
def test_any_manner_of_import(tmp_path, text):
    assert found(tmp_path, {"main.py": text, "a.py": "", "b.py": ""}) == ["a.py", "main.py"]


def test_imports_are_followed_in_circles(tmp_path):
    files = {"main.py": "import a", "a.py": "import b", "b.py": "import a, main, c", "c.py": "", "d.py": ""}
    assert found(tmp_path, files, "main:f") == ["a.py", "b.py", "c.py", "main.py"]


def test_a_package_comes_with_those_around_it(tmp_path):
    files = {"p/__init__.py": "import a", "p/q/__init__.py": "", "p/q/m.py": "", "p/other.py": "", "a.py": ""}
    assert found(tmp_path, {**files, "main.py": "import p.q.m"}) == [
        "a.py", "main.py", "p/__init__.py", "p/q/__init__.py", "p/q/m.py",
    ]  # fmt: skip
    assert found(tmp_path, {}, "p.q.m:f.g") == ["a.py", "p/__init__.py", "p/q/__init__.py", "p/q/m.py"]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("from . import a", ["p/a.py"]),
        ("from .a import x", ["p/a.py"]),
        ("from .. import b", []),
        ("from .q import c", ["p/q/__init__.py", "p/q/c.py"]),
        ("from .q import *", ["p/q/__init__.py", "p/q/d.py"]),
        ("from p import a, nothing", ["p/a.py"]),
        ("import importlib\nimportlib.import_module('.a', __package__)", ["p/a.py"]),
    ],
)
def test_relative_imports_and_submodules(tmp_path, text, names):
    files = {
        "p/__init__.py": "", "p/main.py": text, "p/a.py": "", "b.py": "", "p/q/__init__.py": "__all__ = ['d']",
        "p/q/c.py": "", "p/q/d.py": "",
    }  # fmt: skip
    assert found(tmp_path, files, "p.main") == sorted(["p/__init__.py", "p/main.py", *names])


def test_inits_import_relatively_from_themselves(tmp_path):
    files = {"p/__init__.py": "from .a import x", "p/a.py": "from . import b", "p/b.py": ""}
    assert found(tmp_path, files, "p") == ["p/__init__.py", "p/a.py", "p/b.py"]


def test_folders_without_init(tmp_path):
    assert found(tmp_path, {"main.py": "import n.m", "n/m.py": "from n import k", "n/k.py": ""}) == [
        "main.py", "n/k.py", "n/m.py",
    ]  # fmt: skip


def test_a_file_finds_what_is_beside_it(tmp_path):
    files = {"src/main.py": "import near, far", "src/near.py": "", "far.py": "", "near.py": ""}
    assert found(tmp_path, files, "src/main.py:f") == ["far.py", "near.py", "src/main.py"]
    (tmp_path / "near.py").unlink()
    assert found(tmp_path, {}, "src/main.py") == ["far.py", "src/main.py", "src/near.py"]


def test_what_is_not_the_projects_does_not_count(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path / "env/lib/site-packages")
    monkeypatch.syspath_prepend(tmp_path / "own")
    monkeypatch.syspath_prepend(tmp_path / "venv/x")
    files = {
        "main.py": "import os, json, numpy, foreign, other, mine, env.lib",
        "env/lib/site-packages/foreign.py": "", "venv/pyvenv.cfg": "", "venv/x/other.py": "", "own/mine.py": "",
    }  # fmt: skip
    assert found(tmp_path, files) == ["main.py", "own/mine.py"]


def test_a_link_counts_by_its_own_name(tmp_path):
    outside = write(tmp_path / "outside", {"x.py": "import a"})
    write(tmp_path / "p", {"main.py": "import x", "a.py": ""})
    (tmp_path / "p/x.py").symlink_to(outside / "x.py")
    assert found(tmp_path / "p", {}) == ["a.py", "main.py", "x.py"]


@pytest.mark.parametrize("name", ["", ".", "a..b", "/", "x" * 5000, "a." * 5000])
def test_strange_names(tmp_path, name):
    assert found(tmp_path, {"main.py": f"__import__({name!r})", "a.py": ""}) in (["main.py"], ["a.py", "main.py"])


@pytest.mark.parametrize("text", ["import a\ndef (", "\0", "import", "x = " + "(" * 1000])
def test_what_cannot_be_parsed_has_no_imports(tmp_path, text):
    assert found(tmp_path, {"main.py": text, "a.py": ""}) == ["main.py"]


def test_a_target_that_is_not_there(tmp_path):
    assert found(tmp_path, {"a.py": ""}) == []
    assert found(tmp_path, {}, "main.py:f") == []


def test_there_is_an_end(tmp_path, monkeypatch):
    monkeypatch.setattr("bentod.spec.imports.MOST_FILES", 3)
    files = {f"m{n}.py": f"import m{n + 1}" for n in range(9)}
    assert found(tmp_path, files, "m0") == ["m0.py", "m1.py", "m2.py"]
