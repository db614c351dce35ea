"""What is wanted: as the files are, or as they were when it was recorded."""

from __future__ import annotations

import os
import shutil

import pytest

from bentod.daemon.desired import contents, read, recorded
from bentod.daemon.history import Record, ServiceRecord
from bentod.errors import SpecError
from tests.support.sources import Project


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path, {"WORD": "secret"}, labels={"a": "${WORD}"})


@pytest.fixture
def objects(project):
    """A store that holds the project's code."""
    folder = project.folders.objects
    folder.mkdir(parents=True)
    for name, content in project.imports().items():
        shutil.copyfile(project.folder / name, folder / content)
    return folder


def record(desired, **services):
    return Record(1, "", "", "", files=desired.texts, spec=desired.loaded.as_written, services=services)


def test_the_texts_are_those_that_were_read(project):
    found = project.read()
    assert found.texts == {str(project.path): project.path.read_text()}
    assert found.plan.labels == {"a": "secret"}
    assert "secret" not in str(found.texts) + str(found.loaded.as_written)


def test_what_was_recorded_is_read_as_it_was_with_the_environment_of_today(project, objects):
    then, then_imported = project.read(), project.imports()
    old = record(then, one=ServiceRecord("d", then_imported))
    project.spec(version="2")
    project.write("one.py", "def other(): ...\n")
    found = recorded(old, {"WORD": "other"}, objects)
    assert found.plan.version == then.plan.version
    assert found.plan.labels == {"a": "other"}
    assert found.pins == {"one": then_imported}
    assert found.texts == then.texts
    project.path.unlink()
    assert recorded(old, project.environ, objects).plan == then.plan


def test_what_a_spec_holds_is_read_as_it_is_and_what_is_none_is_left_out(project, monkeypatch):
    folder = project.folder
    (folder / "a.yaml").write_bytes(b"a: 1\r\n\xff")
    (folder / "large.yaml").write_bytes(b"x" * (4 * 1024 * 1024 + 1))
    os.mkfifo(folder / "pipe.yaml")
    files = [folder / name for name in ("a.yaml", "large.yaml", "pipe.yaml", "none.yaml", "")]
    assert contents(files) == {files[0]: b"a: 1\r\n\xff"}


def test_several_files_are_merged_in_their_order(project, objects):
    over = project.folder / "over.yaml"
    over.write_text("version: '3'\n")
    then = read([project.path, over], project.environ)
    over.unlink()
    assert (
        recorded(record(then, one=ServiceRecord("d", project.imports())), project.environ, objects).plan.version == "3"
    )


def test_what_cannot_be_read_is_a_problem_with_its_place(project, objects):
    with pytest.raises(SpecError, match="problem"):
        recorded(record(project.read()), {}, objects)
    with pytest.raises(SpecError):
        read([project.folder / "none.yaml"], {})
    project.path.write_bytes(b"name: \xff")
    with pytest.raises(SpecError):
        project.read()
