"""What is imported is recorded with the hash of what ran, whatever bytecode lies about, and changes nothing else."""

from __future__ import annotations

import compileall
import hashlib
import importlib
import importlib.resources
import importlib.util
import inspect
import linecache
import os
import pickle
import pkgutil
import py_compile
import subprocess
import sys
import threading
import traceback
import zipfile
from importlib.machinery import PathFinder, SourceFileLoader
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bentod.worker.imports import Imports, Loader
from bentod.worker.kept import Kept
from tests.support.imports import fresh, write

MOMENT = (1_700_000_000, 1_700_000_000)


@pytest.fixture(autouse=True)
def caching(monkeypatch):
    """Bytecode is cached, as it is by default."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)


def sha(content: str | bytes) -> str:
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()


def recorded(project: Path, *paths: str) -> dict[str, str]:
    return {path: sha((project / path).read_bytes()) for path in paths}


# ── content counts ───────────────────────────────────────────────────────────────────────────────


def test_edits_of_the_same_size_within_a_second_run_each_time(tmp_path):
    source = tmp_path / "edited.py"
    for count in range(100):
        text = f"VALUE = {count % 2}\n"
        source.write_text(text)
        os.utime(source, MOMENT)
        with fresh(tmp_path) as process:
            assert count % 2 == process("edited").VALUE
            assert process.files == {"edited.py": sha(text)}


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.integers(0, 2)), min_size=1, max_size=8))
def test_what_is_recorded_is_what_ran(tmp_path_factory, edits):
    """Also beside bytecode that Python itself wrote, in each of its three ways, for this source or for an older one."""
    project = tmp_path_factory.mktemp("project")
    source, modes = project / "edited.py", list(py_compile.PycInvalidationMode)
    for value, compiled, mode in edits:
        if compiled and source.exists():
            py_compile.compile(str(source), invalidation_mode=modes[mode])
        text = f"VALUE = {value}\n"
        source.write_text(text)
        os.utime(source, MOMENT)
        with fresh(project) as process:
            assert value == process("edited").VALUE
            assert process.files == {"edited.py": sha(text)}


def test_bytecode_is_cached_and_used(tmp_path, monkeypatch):
    write(tmp_path, {"cached.py": "VALUE = 1\n"})
    with fresh(tmp_path) as process:
        module = process("cached")
    bytecode = Path(module.__cached__)
    assert bytecode.read_bytes()[4] == 3, "checked by its hash"
    monkeypatch.setattr(Loader, "source_to_code", lambda *_: pytest.fail("it was compiled again"))
    with fresh(tmp_path) as process:
        assert process("cached").VALUE == 1
    del module
    done = subprocess.run(
        [sys.executable, "-c", "import cached; print(cached.VALUE)"], cwd=tmp_path, text=True, stdout=-1
    )
    assert done.stdout == "1\n", "Python itself takes it too"


def test_damaged_bytecode_is_replaced(tmp_path):
    write(tmp_path, {"cached.py": "VALUE = 1\n"})
    with fresh(tmp_path) as process:
        bytecode = Path(process("cached").__cached__)
    for content in (b"", b"\0" * 3, b"\0" * 40):
        bytecode.write_bytes(content)
        with fresh(tmp_path) as process:
            assert process("cached").VALUE == 1


def test_reload_records_the_new_content(tmp_path):
    write(tmp_path, {"again.py": "VALUE = 1\n"})
    with fresh(tmp_path) as process:
        module = process("again")
        write(tmp_path, {"again.py": "VALUE = 2\n"})
        os.utime(tmp_path / "again.py", MOMENT)
        assert importlib.reload(module).VALUE == 2
        assert process.files == {"again.py": sha("VALUE = 2\n")}


# ── what is recorded ─────────────────────────────────────────────────────────────────────────────


def test_packages_submodules_and_circles(tmp_path):
    files = {
        "top.py": "import pack.inner\nfrom space import lone\nimport json\n",
        "pack/__init__.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import pack.never\n",
        "pack/inner.py": "from pack import outer\n",
        "pack/outer.py": "import pack.inner\n",
        "pack/never.py": "",
        "space/lone.py": "",
    }
    write(tmp_path, files)
    with fresh(tmp_path) as process:
        process("top")
        assert process.files == recorded(tmp_path, *(set(files) - {"pack/never.py"}))


@pytest.mark.parametrize("code", ["VALUE = (", "raise ValueError('no')", "import nowhere_at_all", "x = '\udc80'"])
def test_what_failed_is_recorded_with_what_came_before(tmp_path, code):
    files = {"first.py": "import second", "second.py": code.encode("utf-8", "surrogateescape")}
    write(tmp_path, files)
    with fresh(tmp_path) as process:
        with pytest.raises((SyntaxError, ValueError, ImportError)) as raised:
            process("first")
        assert process.files == recorded(tmp_path, *files)
    trace = "".join(traceback.format_exception(raised.value))
    assert "bentod" not in trace
    assert "<frozen importlib" not in trace.partition("first.py")[2]


@pytest.mark.parametrize("folder", ["env", "site-packages", ".git/x", "node_modules/y"])
def test_what_was_installed_into_the_project_is_not_followed(tmp_path, folder):
    write(tmp_path, {"env/pyvenv.cfg": "", f"{folder}/lib/strange.py": "VALUE = 1", "pyvenv.cfg": "", "mine.py": ""})
    with fresh(tmp_path, path=[tmp_path, tmp_path / folder / "lib"]) as process:
        assert process("strange").VALUE == 1
        process("mine")
        assert set(process.files) == {"mine.py"}


def test_bentod_python_and_other_folders_are_not_followed(tmp_path):
    outside = write(tmp_path / "outside", {"foreign.py": ""})
    with fresh(Path("/"), path=[]) as process:
        sys.modules.pop("bentod.codec.json", None), sys.modules.pop("colorsys", None)
        process("bentod.codec.json"), process("colorsys")
        assert process.files == {}
    with fresh(tmp_path / "inside", path=[outside]) as process:
        process("foreign")
        assert process.files == {}


def test_links_are_called_by_the_path_that_was_found(tmp_path):
    write(tmp_path / "outside", {"shared.py": "VALUE = 1"})
    project = write(tmp_path / "project", {"real.py": "", "sub/deep.py": ""})
    (project / "shared.py").symlink_to(tmp_path / "outside/shared.py")
    (project / "alias.py").symlink_to("real.py")
    (tmp_path / "elsewhere").symlink_to(project / "sub")
    (tmp_path / "link").symlink_to(project)
    for folder in (project, tmp_path / "link"):
        with fresh(folder, path=[project, tmp_path / "elsewhere"]) as process:
            for name in ("shared", "alias", "real", "deep"):
                process(name)
            assert set(process.files) == {"shared.py", "alias.py", "real.py", "sub/deep.py"}


def test_extension_modules_and_other_loaders_are_recorded_by_content(tmp_path):
    import _bisect  # an extension module, or built in

    class Mine(SourceFileLoader):
        """A user's own loader, such as a type checker's."""

    write(tmp_path, {"checked.py": "VALUE = 1"})
    native = Path(getattr(_bisect, "__file__", "") or "")
    if native.is_file():
        (tmp_path / native.name).write_bytes(native.read_bytes())

    class Hook:
        @staticmethod
        def find_spec(name, path=None, target=None):
            place = tmp_path / f"{name}.py"
            return importlib.util.spec_from_file_location(name, place, loader=Mine(name, str(place)))

    with fresh(tmp_path, objects=tmp_path / "objects") as process:
        sys.meta_path.append(Hook)  # an editable install's is behind Python's own
        sys.meta_path.remove(PathFinder)
        assert type(process("checked").__loader__) is Mine
        assert process.files == recorded(tmp_path, "checked.py")
        if native.is_file():
            sys.meta_path.append(PathFinder)
            sys.meta_path.remove(Hook)
            assert process.imports.find_spec("_bisect").origin == str(tmp_path / native.name)
            assert process.files == recorded(tmp_path, "checked.py", native.name)
    assert not (tmp_path / "objects").exists()


def test_a_hook_behind_python_s_own_is_followed(tmp_path):
    """As an editable install has one: it maps names to folders that are not in `sys.path`."""
    write(tmp_path, {"src/mapped/__init__.py": "VALUE = 1", "src/mapped/sub.py": ""})

    class Editable:
        @staticmethod
        def find_spec(name, path=None, target=None):
            place = tmp_path / "src/mapped/__init__.py"
            return importlib.util.spec_from_file_location(name, place) if name == "mapped" else None

    with fresh(tmp_path, path=[]) as process:
        sys.meta_path.append(Editable)
        process("mapped.sub")
        assert process.files == recorded(tmp_path, "src/mapped/__init__.py", "src/mapped/sub.py")


def test_a_hook_in_front_comes_first(tmp_path):
    write(tmp_path, {"taken.py": "VALUE = 1"})

    class Loaded(importlib.abc.Loader):
        def exec_module(self, module):
            module.VALUE = 2

    class Front:
        @staticmethod
        def find_spec(name, path=None, target=None):
            return importlib.util.spec_from_loader(name, Loaded()) if name == "taken" else None

    with fresh(tmp_path) as process:
        sys.meta_path.insert(0, Front)
        assert process("taken").VALUE == 2


def test_a_target_s_file_is_followed(tmp_path):
    write(tmp_path, {"my-model.py": "VALUE = 1"})
    imports = Imports(str(tmp_path))
    spec = imports.file_spec("mine", str(tmp_path / "my-model.py"), str(tmp_path / "my-model.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.VALUE == 1
    assert imports.record.files == recorded(tmp_path, "my-model.py")


# ── all else is as usual ─────────────────────────────────────────────────────────────────────────


def test_modules_are_what_python_makes_of_them(tmp_path):
    write(tmp_path, {"pack/__init__.py": "", "pack/mod.py": "class C:\n    x = 1\n", "pack/data.txt": "text"})
    with fresh(tmp_path) as process:
        module, package = process("pack.mod"), process("pack")
        assert module.__file__ == module.__spec__.origin == str(tmp_path / "pack/mod.py")
        assert package.__path__ == [str(tmp_path / "pack")]
        assert isinstance(module.__loader__, SourceFileLoader)
        assert inspect.getsource(module.C) == "class C:\n    x = 1\n"
        assert module.__loader__.get_source("pack.mod") == "class C:\n    x = 1\n"
        assert importlib.resources.files("pack").joinpath("data.txt").read_text() == "text"
        assert pkgutil.get_data("pack", "data.txt") == b"text"
        assert [found.name for found in pkgutil.iter_modules(package.__path__)] == ["mod"]
        assert type(pickle.loads(pickle.dumps(module.C()))) is module.C
        assert "if __name__" not in vars(module)


def test_archives_are_as_usual(tmp_path):
    with zipfile.ZipFile(tmp_path / "code.zip", "w") as archive:
        archive.writestr("zipped.py", "VALUE = 1")
    with fresh(tmp_path, path=[tmp_path / "code.zip"]) as process:
        assert process("zipped").VALUE == 1
        assert process.files == {}


def test_folders_that_cannot_be_written_and_compiled_projects(tmp_path):
    write(tmp_path, {"old.py": "VALUE = 1"})
    compileall.compile_dir(tmp_path, quiet=2)
    with fresh(tmp_path) as process:
        assert process("old").VALUE == 1


# ── what is kept ─────────────────────────────────────────────────────────────────────────────────


def test_sources_are_kept_once_and_for_the_user_only(tmp_path):
    objects = tmp_path / "state/objects"
    write(tmp_path, {"one.py": "VALUE = 1", "two.py": "VALUE = 1", "three.py": ""})
    for _ in range(2):
        with fresh(tmp_path, objects) as process:
            for name in ("one", "two", "three"):
                process(name)
            names = set(process.files.values())
        assert {path.name for path in objects.iterdir()} == names
        assert {path.stat().st_mode & 0o777 for path in objects.iterdir()} == {0o600}
        (objects / sha("VALUE = 1")).write_text("cut")  # it is whole again afterwards
    with fresh(tmp_path, objects) as process:
        process("one")
    assert (objects / sha("VALUE = 1")).read_text() == "VALUE = 1"


@pytest.mark.parametrize("why", ["a file", "full"])
def test_a_worker_starts_although_nothing_can_be_kept(tmp_path, capfd, why):
    objects = tmp_path / "objects"
    if why == "a file":
        objects.write_text("in the way")
    else:
        objects = Path("/proc/objects")
    write(tmp_path, {"one.py": "", "two.py": "VALUE = 2"})
    with fresh(tmp_path, objects) as process:
        process("one")
        assert process("two").VALUE == 2
        assert set(process.files) == {"one.py", "two.py"}
    assert capfd.readouterr().err.count("cannot be kept in") == 1


def test_threads_may_import_at_once(tmp_path):
    names = [f"many{number}" for number in range(40)]
    write(tmp_path, {f"{name}.py": "import json" for name in names})
    with fresh(tmp_path, tmp_path / "objects") as process:
        threads = [threading.Thread(target=lambda: [process(name) for name in names]) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert set(process.files) == {f"{name}.py" for name in names}
        assert process.imports.record.changed.qsize() <= 4
    assert [path.name for path in (tmp_path / "objects").iterdir()] == [sha("import json")]
    linecache.clearcache()


def test_what_is_kept_already_counts_as_new(tmp_path):
    """Nothing clears it away before the generation that imports it again has a record."""
    store = Kept(str(tmp_path))
    store.keep("a" * 64, b"x")
    os.utime(tmp_path / ("a" * 64), (1, 1))
    store.keep("a" * 64, b"x")
    assert (tmp_path / ("a" * 64)).stat().st_mtime > 1
