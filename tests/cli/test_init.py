"""`bentod init`: what it writes works at once, and what is there stays."""

import argparse
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from bentod.cli import init
from tests.support.daemon import running

ROOT = Path(__file__).parents[2]
WRITTEN = {"bentofile.yaml", "model.py", "test_model.py", ".gitignore"}


def run(*words):
    parser = argparse.ArgumentParser()
    init.configure(parser)
    return init.run(parser.parse_args([str(word) for word in words]))


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_writes_into_a_new_folder_and_says_what_comes_next(tmp_path, capsys):
    folder = tmp_path / "deep" / "my app"
    assert run(folder) == 0
    assert set(files(folder)) == WRITTEN
    out = capsys.readouterr().out.splitlines()
    assert out[-2] == f"  cd '{folder}' && bentod up"
    assert out[-1].startswith("  curl http://127.0.0.1:3000/predict ")


def test_this_folder_is_the_default(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run() == 0
    assert set(files(tmp_path)) == WRITTEN
    assert "  bentod up" in capsys.readouterr().out.splitlines()


def test_the_first_line_names_the_schema(tmp_path):
    run(tmp_path)
    first = (tmp_path / "bentofile.yaml").read_text().splitlines()[0]
    assert first == "# yaml-language-server: $schema=https://bentod.dev/schemas/bentofile.schema.json"
    assert ".bentod/" in (tmp_path / ".gitignore").read_text().splitlines()


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("app", "app"),
        ("My App_2", "my-app-2"),
        ("Übung", "ubung"),
        ("-dash-", "dash"),
        ("007", "007"),
        ("no", "no"),
        ("1e3", "1e3"),
        ("2024-01-01", "2024-01-01"),
        ("x" * 100, "x" * 63),
        ("x" * 62 + "-y", "x" * 62),
    ],
)
def test_the_name_is_the_folders_as_a_dns_label(tmp_path, folder, name):
    assert run(tmp_path / folder) == 0
    assert yaml.safe_load((tmp_path / folder / "bentofile.yaml").read_text())["name"] == name


def test_a_name_can_be_given(tmp_path):
    assert run(tmp_path, "--name", "speech-2") == 0
    assert yaml.safe_load((tmp_path / "bentofile.yaml").read_text())["name"] == "speech-2"


@pytest.mark.parametrize("name", ["", "Über uns", "a_b", "-a", "a-", "x" * 64, "a\nservices: {}", "日本"])
def test_a_name_that_is_no_dns_label_is_refused(tmp_path, capsys, name):
    assert run(tmp_path, f"--name={name}") == 2
    assert files(tmp_path) == {}
    assert "DNS label" in capsys.readouterr().err


def test_a_refused_name_comes_with_one_that_works(tmp_path, capsys):
    run(tmp_path, "--name", "My_App")
    assert "'my-app'" in capsys.readouterr().err


def test_a_folder_without_a_usable_name_needs_one(tmp_path, capsys):
    assert run(tmp_path / "日本") == 2
    assert "--name" in capsys.readouterr().err
    assert run(tmp_path / "日本", "--name", "japan") == 0


def test_nothing_is_overwritten_and_every_clash_is_named(tmp_path, capsys):
    (tmp_path / "bentofile.yaml").write_text("mine")
    (tmp_path / "test_model.py").mkdir()
    (tmp_path / "model.py").symlink_to("nowhere")
    before = set(tmp_path.iterdir())
    assert run(tmp_path) == 2
    assert set(tmp_path.iterdir()) == before
    err = capsys.readouterr().err
    assert [line.strip() for line in err.splitlines()[1:]] == ["bentofile.yaml", "model.py", "test_model.py"]


@pytest.mark.parametrize("other", ["bentofile.yml", "bentofile.toml"])
def test_a_second_spec_beside_the_first_is_refused(tmp_path, capsys, other):
    (tmp_path / other).write_text("mine")
    assert run(tmp_path) == 2
    assert other in capsys.readouterr().err
    assert list(files(tmp_path)) == [other]


@pytest.mark.parametrize(("text", "told"), [("dist/\n", True), ("dist/\n/.bentod\n", False)])
def test_a_gitignore_stays_as_it_is(tmp_path, capsys, text, told):
    (tmp_path / ".gitignore").write_text(text)
    assert run(tmp_path) == 0
    assert (tmp_path / ".gitignore").read_text() == text
    assert ("left as it is" in capsys.readouterr().out) is told


def test_a_file_instead_of_a_folder_is_refused(tmp_path, capsys):
    (tmp_path / "taken").write_text("mine")
    assert run(tmp_path / "taken") == 2
    assert "taken is no folder" in capsys.readouterr().err
    assert run(tmp_path / "taken" / "below", "--name", "x") == 2


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_refused(tmp_path, capsys):
    tmp_path.chmod(0o500)
    assert run(tmp_path / "new") == 2
    assert "Permission denied" in capsys.readouterr().err


def test_what_is_written_passes_its_own_tests_and_the_formatter(tmp_path):
    folder = tmp_path / "fresh"
    run(folder)
    pytest_here = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        str(folder),
        str(folder),
    ]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    tested = subprocess.run(pytest_here, cwd=folder, env=environment, capture_output=True, text=True)
    assert tested.returncode == 0, tested.stdout + tested.stderr
    assert "5 passed" in tested.stdout
    for tool in (["format", "--check"], ["check"]):
        ruff = subprocess.run(
            [sys.executable, "-m", "ruff", *tool, "--isolated", str(folder)], capture_output=True, text=True
        )
        assert ruff.returncode == 0, ruff.stdout + ruff.stderr


@pytest.mark.e2e
def test_what_is_written_can_be_served(tmp_path):
    run(tmp_path, "--name", "fresh")
    with running(tmp_path) as app:
        status, _, body = app.post("/predict", {"text": "What a great day!"})
        assert (status, body) == (200, {"label": "positive", "score": 1})
        assert app.status()["name"] == "fresh"
