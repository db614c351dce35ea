"""The running bentod as a wheel: complete, the same for the same files, and fit for pip."""

import base64
import csv
import hashlib
import io
import shutil
import subprocess
import sys
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

import bentod
from bentod.image import wheel
from bentod.image.wheel import Unpackable, pack

ROOT = Path(bentod.__file__).parents[1]
INFO = f"bentod-{bentod.__version__}.dist-info"


def copied(folder):
    """A checkout of its own: nobody edits it meanwhile."""
    for name in ("bentod", "schemas", "specs", "recipes", "constraints"):
        junk = shutil.ignore_patterns("__pycache__", ".bentod")
        shutil.copytree(ROOT / name, folder / name, ignore=junk, copy_function=shutil.copyfile)
    shutil.copyfile(ROOT / "pyproject.toml", folder / "pyproject.toml")
    return folder


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    return copied(tmp_path_factory.mktemp("checkout"))


@pytest.fixture(scope="module")
def packed(checkout):
    return pack(checkout / "bentod")


@pytest.fixture(scope="module")
def installed(packed, tmp_path_factory):
    """A virtual environment that has the wheel, and nothing else."""
    folder = tmp_path_factory.mktemp("wheel")
    file = folder / packed.name
    file.write_bytes(packed.data)
    venv.create(folder / "venv")
    python = folder / "venv/bin/python"
    pip = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        python,
        "--disable-pip-version-check",
        "install",
        "-q",
        "--no-index",
    ]
    subprocess.run([*pip, "--no-deps", file], check=True, capture_output=True)
    return python


def names(packed):
    return zipfile.ZipFile(io.BytesIO(packed.data)).namelist()


def test_it_holds_what_a_built_wheel_holds(packed):
    found = names(packed)
    assert len(found) == len(set(found))
    for name in (
        "bentod/cli/main.py",
        "bentod/_data/schemas/bentofile.schema.json",
        "bentod/_data/recipes/init/model.py.j2",
    ):
        assert name in found
    assert "bentod/_data/specs/hello/bentofile.yaml" in found
    assert "bentod/_data/constraints/bentod.txt" in found
    assert not [name for name in found if "__pycache__" in name or "/.bentod" in name or name.endswith(".pyc")]


def test_what_comes_beside_the_package_is_what_the_project_s_own_build_takes():
    taken = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"][
        "force-include"
    ]
    assert {f"bentod/_data/{name}" for name in wheel.DATA} == set(taken.values())


def test_every_file_is_in_the_record_with_its_digest(packed):
    archive = zipfile.ZipFile(io.BytesIO(packed.data))
    rows = list(csv.reader(archive.read(f"{INFO}/RECORD").decode().splitlines()))
    assert [row[0] for row in rows] == archive.namelist()
    for name, digest, size in rows[:-1]:
        data = archive.read(name)
        expected = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        assert (digest, size) == (f"sha256={expected}", str(len(data)))
    assert rows[-1] == [f"{INFO}/RECORD", "", ""]


def test_the_same_files_give_the_same_bytes_wherever_and_whenever(packed, checkout, tmp_path):
    copy = shutil.copytree(checkout, tmp_path / "elsewhere")
    (copy / "bentod/__pycache__").mkdir()
    (copy / "bentod/__pycache__/x.cpython-311.pyc").write_bytes(b"x")
    (copy / "bentod/cli/main.py.swp").write_bytes(b"x")
    (copy / "specs/hello/.bentod").mkdir()
    (copy / "specs/hello/.bentod/x.log").write_bytes(b"x")
    assert pack(copy / "bentod") == packed


def test_the_running_bentod_is_what_is_packed():
    made = pack()
    assert made.name == f"bentod-{bentod.__version__}-py3-none-any.whl"
    assert zipfile.ZipFile(io.BytesIO(made.data)).testzip() is None


def test_it_is_installed_by_pip_and_packs_itself_to_the_same_bytes(installed, packed):
    """In an environment with nothing but bentod."""
    code = (
        "import sys; from bentod.image.wheel import pack; from bentod.shipped import shipped\n"
        "assert shipped('schemas/bentofile.schema.json').is_file()\n"
        "made = pack(); print(made.name, file=sys.stderr); sys.stdout.buffer.write(made.data)"
    )
    done = subprocess.run([installed, "-I", "-c", code], capture_output=True, check=True)
    assert done.stderr.decode().strip() == packed.name
    assert done.stdout == packed.data
    assert (installed.parent / "bentod").is_file()


def test_it_says_what_it_needs(packed):
    text = zipfile.ZipFile(io.BytesIO(packed.data)).read(f"{INFO}/METADATA").decode()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert [line[15:] for line in text.splitlines() if line.startswith("Requires-Dist: ")] == sorted(
        project["dependencies"]
    )
    assert f"Requires-Python: {project['requires-python']}\n" in text


def test_a_package_of_which_nothing_is_known_cannot_be_packed(tmp_path):
    shutil.copytree(ROOT / "bentod", tmp_path / "bentod")
    with pytest.raises(Unpackable, match="nothing says what the package"):
        pack(tmp_path / "bentod")
    with pytest.raises(Unpackable):
        pack(tmp_path / "nothing")
