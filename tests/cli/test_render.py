"""`bentod render`: where it writes, what it refuses."""

import os
import pwd
import sys

import pytest

from bentod.cli.main import main
from tests.support.project import project


@pytest.fixture
def folder(tmp_path, monkeypatch):
    folder = project(
        tmp_path, "answers", services={"a": {"target": "answers.py"}}, apis={"same": {"service": "a", "method": "same"}}
    )
    for name in ("BENTOD_RUN", "BENTOD_STATE"):
        monkeypatch.delenv(name, raising=False)
    return folder


def rendered(folder, capsys, *words):
    assert main(["render", *words, "-f", str(folder / "bentofile.yaml")]) == 0
    told = capsys.readouterr()
    assert told.err == ""
    return told.out


def test_a_unit_starts_this_python_with_this_spec(folder, capsys):
    text = rendered(folder, capsys, "systemd")
    assert f'ExecStart=":{sys.executable}" "-P" "-m" "bentod" "up" "-f" "{folder}/bentofile.yaml"\n' in text
    assert f"WorkingDirectory={folder}\n" in text
    assert f"User={pwd.getpwuid(os.getuid()).pw_name}\n" in text
    assert text == rendered(folder, capsys, "systemd")


def test_the_folders_of_the_environment_are_the_unit_s(folder, capsys, monkeypatch):
    monkeypatch.setenv("BENTOD_RUN", "/run/own")
    monkeypatch.setenv("BENTOD_STATE", "/var/lib/own")
    text = rendered(folder, capsys, "systemd")
    assert 'Environment="BENTOD_RUN=/run/own"\nEnvironment="BENTOD_STATE=/var/lib/own"\n' in text
    assert "RuntimeDirectory" not in text
    assert "BENTOD_RUN" not in rendered(folder, capsys, "systemd", "--user").replace("BENTOD_RUN=/run/own", "")


def test_files_are_written_whole_and_again(folder, tmp_path, capsys):
    where = tmp_path / "out" / "deep"
    for _ in range(2):
        assert rendered(folder, capsys, "systemd", "--socket", "-o", str(where)) == ""
    assert sorted(path.suffix for path in where.iterdir()) == [".service", ".socket"]
    assert {path.stat().st_mode & 0o777 for path in where.iterdir()} == {0o644}
    both = rendered(folder, capsys, "systemd", "--socket")
    assert all(f"# {path.name}\n{path.read_text()}" in both for path in where.iterdir())


def test_a_reload_that_is_waited_for_needs_a_newer_systemd(folder, capsys):
    text = rendered(folder, capsys, "systemd", "--type", "notify-reload")
    assert "\nType=notify-reload\n" in text
    assert "\nExecReload" not in text


def test_a_spec_that_is_wrong_is_not_rendered(folder, capsys):
    (folder / "bentofile.yaml").write_text("bentod: 1\n")
    assert main(["render", "systemd", "-f", str(folder / "bentofile.yaml")]) == 2
    assert "the key `apis` is missing" in capsys.readouterr().err
