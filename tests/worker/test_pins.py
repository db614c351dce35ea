"""Pinned files are imported as they were: changed, broken or gone from the disk."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import linecache
import shutil
import sys
import traceback

import pytest

from tests.support.imports import fresh, write

FILES = {
    "top.py": "import pack.inner\nfrom space.deep import lone\nVALUE = 'old'\n",
    "pack/__init__.py": "VALUE = 'old'\n",
    "pack/inner.py": "VALUE = 'old'\n\n\ndef fail():\n    raise ValueError('old')\n",
    "space/deep/lone.py": "VALUE = 'old'\n",
}
NAMES = ("top", "pack", "pack.inner", "space.deep.lone")


@pytest.fixture(autouse=True)
def caching(monkeypatch):
    """Bytecode is cached, as it is by default; other tests see no line of ours."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    yield
    linecache.clearcache()


@pytest.fixture
def project(tmp_path):
    return write(tmp_path / "project", FILES)


@pytest.fixture
def objects(tmp_path):
    return tmp_path / "objects"


@pytest.fixture
def pins(project, objects):
    with fresh(project, objects) as process:
        process("top")
        return process.files


def change(project, how):
    """What happens to the project's files."""
    if how == "gone":
        shutil.rmtree(project)
        project.mkdir()
    elif how == "turned":
        shutil.rmtree(project)
        write(project, {"top/__init__.py": "new", "space.py": "new", "pack/x.py": "", "pack/inner/__init__.py": "new"})
    else:
        text = {"changed": "VALUE = 'new'\n", "broken": "VALUE = (\n", "same": None}[how]
        write(project, {path: FILES[path] if text is None else text for path in FILES})


@pytest.mark.parametrize("how", ["same", "changed", "broken", "gone"])
def test_pinned_files_are_imported_as_they_were(project, objects, pins, how):
    change(project, how)
    with fresh(project, objects, pins) as process:
        assert [process(name).VALUE for name in NAMES] == ["old"] * 4
        assert process.files == pins
        assert process("pack").__path__ == [str(project / "pack")]
        assert process("pack.inner").__file__ == str(project / "pack/inner.py")
        assert list(process("space.deep").__path__) == [str(project / "space/deep")]
    if how == "gone":
        assert list(project.iterdir()) == [], "nothing is written into a folder that went"


def test_a_module_that_became_a_package_is_what_it_was(project, objects, pins):
    change(project, "turned")
    with fresh(project, objects, pins) as process:
        assert [process(name).VALUE for name in NAMES] == ["old"] * 4


def test_a_pinned_import_leaves_the_next_one_from_disk_alone(project, objects, pins):
    for _ in range(3):
        for text in ("'new'", "'odd'"):
            write(project, {"pack/inner.py": f"VALUE = {text}\n"})
            with fresh(project, objects, pins) as process:
                assert process("pack.inner").VALUE == "old"
            with fresh(project, objects) as process:
                assert repr(process("pack.inner").VALUE) == text


def test_tracebacks_and_sources_show_what_was_pinned(project, objects, pins):
    change(project, "changed")
    with fresh(project, objects, pins) as process:
        module = process("pack.inner")
        assert inspect.getsource(module.fail) == "def fail():\n    raise ValueError('old')\n"
        assert module.__loader__.get_source("pack.inner") == FILES["pack/inner.py"]
        with pytest.raises(ValueError, match="old") as raised:
            module.fail()
        assert "raise ValueError('old')" in "".join(traceback.format_exception(raised.value))


def test_reload_stays_pinned(project, objects, pins):
    change(project, "changed")
    with fresh(project, objects, pins) as process:
        assert importlib.reload(process("pack.inner")).VALUE == "old"
        assert process.files["pack/inner.py"] == pins["pack/inner.py"]


def test_what_is_not_pinned_comes_from_the_disk_and_is_recorded(project, objects, pins):
    change(project, "changed")
    write(project, {"pack/later.py": "VALUE = 'later'", "space/other.py": "VALUE = 'other'"})
    with fresh(project, objects, pins) as process:
        assert [process(name).VALUE for name in ("pack.later", "space.other", "top")] == ["later", "other", "old"]
        assert set(process.files) == {*FILES, "pack/later.py", "space/other.py"}


@pytest.mark.parametrize("damage", ["missing", "damaged"])
def test_a_lost_object_is_found_on_the_disk_if_it_is_still_there(project, objects, pins, damage):
    for path in list(objects.iterdir()):
        path.unlink() if damage == "missing" else path.write_text("x")
    with fresh(project, objects, pins) as process:
        assert [process(name).VALUE for name in NAMES] == ["old"] * 4
    assert {path.name for path in objects.iterdir()} == set(pins.values()), "it is kept again"
    for path in list(objects.iterdir()):
        path.unlink()
    change(project, "changed")
    with fresh(project, objects, pins) as process:
        with pytest.raises(ImportError, match=r"the code of this generation is lost: pack/__init__\.py"):
            process("pack")
        assert process.files == {}


def test_a_pinned_file_takes_no_name_that_means_another_one(tmp_path, objects):
    """`sub/time.py` was imported as `sub.time`; its folder is in the path too."""
    project = write(tmp_path / "project", {f"sub/{name}.py": "VALUE = 1" for name in ("time", "os", "colorsys")})
    with fresh(project, objects) as process:
        for name in ("time", "os", "colorsys"):
            process(f"sub.{name}")
        pins = process.files
    with fresh(project, objects, pins) as process:
        sys.path.append(str(project / "sub"))
        for name in ("time", "os", "colorsys"):
            if name == "colorsys":
                sys.modules.pop(name, None)
            assert not hasattr(process(name), "VALUE")
            found = importlib.util.find_spec(name)
            assert found is not None
            assert not str(found.origin).startswith(str(project))
            assert process(f"sub.{name}").VALUE == 1


def test_a_pinned_target_file_is_loaded_although_it_has_gone(project, objects, pins):
    change(project, "gone")
    with fresh(project, objects, pins) as process:
        path = str(project / "pack/inner.py")
        spec = process.imports.file_spec("inner", path, path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        assert module.VALUE == "old"
