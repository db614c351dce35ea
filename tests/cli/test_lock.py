"""`bentod lock`, and `--locked` of the verbs that refuse to go on when something differs."""

import json
import shutil
import sys
import tomllib
from argparse import Namespace

import pytest

from bentod.cli.main import main
from bentod.cli.starting import starting
from bentod.lock.file import read
from bentod.lock.resolve import Resolver, Unresolvable
from bentod.models import digest
from tests.support.hub import Hub
from tests.support.locks import index_answers, pylock
from tests.support.specs import MODULE

OWN = {"hello.py": MODULE, "weights/a.txt": "some weights\n"}
SPEC = {
    "bentod": 1,
    "name": "app",
    "services": {"s": {"target": "hello"}},
    "apis": {"greet": {"service": "s", "input": {"type": "string"}}},
}
FILES = {"config.json": b"{}", "model.safetensors": b"w" * 1000}


@pytest.fixture
def project(tmp_path, monkeypatch):
    for name in ("HF_TOKEN", "HF_ENDPOINT", "HF_HUB_OFFLINE", "BENTOD_BAKED_MODELS", "DOCKER_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("BENTOD_MODELS", str(tmp_path / "models"))
    folder = tmp_path / "project"
    for name, text in OWN.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    monkeypatch.chdir(folder)
    return folder


def spec(project, **keys):
    (project / "bentofile.yaml").write_text(json.dumps({**SPEC, **keys}))


def run(capsys, *words):
    code = main(words)
    out, err = capsys.readouterr()
    return code, out + err


def test_what_the_spec_leaves_open_is_written_down(project, capsys):
    spec(project, models={"w": {"source": "weights"}})
    code, text = run(capsys, "lock")
    assert code == 0
    assert "models.w.source: nothing → weights" in text
    lock = tomllib.loads((project / "bentofile.lock").read_text())
    assert lock["models"]["w"] == {"source": "weights", "digest": lock["models"]["w"]["digest"], "size": 13}
    assert set(lock) == {"version", "apis", "models"}
    assert str(project) not in (project / "bentofile.lock").read_text()
    assert oct((project / "bentofile.lock").stat().st_mode & 0o777) == "0o644"


def test_the_same_again_changes_nothing(project, capsys):
    spec(project, models={"w": {"source": "weights"}})
    run(capsys, "lock")
    before = (project / "bentofile.lock").read_bytes()
    assert run(capsys, "lock") == (0, "bentofile.lock is unchanged\n")
    assert run(capsys, "lock", "--upgrade")[0] == 0
    assert (project / "bentofile.lock").read_bytes() == before
    assert run(capsys, "lock", "--check") == (0, "bentofile.lock says what the spec says\n")
    assert run(capsys, "validate", "--locked")[0] == 0


@pytest.mark.parametrize(
    "words",
    [("lock", "--check"), ("validate", "--locked", "--no-import"), ("up", "--locked"), ("up", "-d", "--locked")],
)
def test_drift_is_refused_with_the_line_that_drifted(project, capsys, words):
    spec(project, models={"w": {"source": "weights"}})
    run(capsys, "lock")
    (project / "weights/a.txt").write_text("other weights\n")
    spec(project, models={"w": {"source": "weights"}}, apis={"greet": {"service": "s", "input": {"type": "null"}}})
    code, text = run(capsys, *words)
    assert code == 2
    assert "apis.schemas.greet" in text
    locked = read(project / "bentofile.lock")
    assert f"bentofile.lock:{locked.lines['models.w.digest']}:" in text
    assert f"bentofile.lock:{locked.lines['apis.schemas.greet']}:" in text
    assert "2 problems" in text
    assert not (project / ".bentod").exists()


@pytest.mark.parametrize("words", [("lock", "--check"), ("validate", "--locked"), ("up", "--locked")])
def test_no_lock_is_refused(project, capsys, words):
    spec(project)
    code, text = run(capsys, *words)
    assert code == 2
    assert "no lock file bentofile.lock" in text
    assert "`bentod lock` makes it" in text


@pytest.mark.parametrize("words", [("lock", "--check"), ("validate", "--locked"), ("up", "--locked")])
def test_a_corrupt_lock_is_refused_with_its_line(project, capsys, words):
    spec(project)
    (project / "bentofile.lock").write_text("version = 1\nnonsense = true\n")
    code, text = run(capsys, *words)
    assert code == 2
    assert "bentofile.lock:2:" in text


def test_a_corrupt_lock_is_made_anew_only_if_it_is_ours(project, capsys):
    spec(project)
    run(capsys, "lock")
    good = (project / "bentofile.lock").read_text()
    (project / "bentofile.lock").write_text(good[:-30])
    assert run(capsys, "lock")[0] == 0
    assert (project / "bentofile.lock").read_text() == good
    (project / "bentofile.yaml").rename(project / "uv.yaml")
    (project / "uv.lock").write_text('version = 1\n\n[[package]]\nname = "x"\n')
    code, text = run(capsys, "lock", "-f", "uv.yaml")
    assert code == 2
    assert "unknown key" in text
    assert (project / "uv.lock").read_text().startswith("version = 1\n\n[[package]]")


def test_a_place_that_cannot_be_written(project, capsys, monkeypatch):
    spec(project)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("bentod.cli.lock_files.write_whole", full)
    code, text = run(capsys, "lock")
    assert code == 3
    assert "No space left on device" in text
    assert not (project / "bentofile.lock").exists()


def test_a_model_that_is_not_here(project, capsys):
    spec(project, models={"w": {"source": "store://nobody"}})
    code, text = run(capsys, "lock")
    assert code == 3
    assert "the model w (store://nobody) is not here" in text


@pytest.fixture
def hub(monkeypatch):
    with Hub() as hub:
        hub.first = hub.add("org/model", FILES)
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        yield hub


def test_a_revision_is_pinned_to_its_commit_until_it_is_upgraded(project, capsys, hub):
    spec(project, models={"m": {"source": "hf://org/model", "include": ["*.json"]}})
    assert run(capsys, "lock", "--offline")[0] == 3
    code, text = run(capsys, "lock")
    assert code == 0
    assert "note: the digest of the model m is left out" in text
    found = read(project / "bentofile.lock").models["m"]
    assert (found.commit, found.revision, found.size) == (hub.first, "main", 2)
    second = hub.add("org/model", {**FILES, "config.json": b"[1]"})
    asked = len(hub.requests)
    run(capsys, "lock")
    assert read(project / "bentofile.lock").models["m"] == found
    assert run(capsys, "validate", "--locked", "--no-import")[0] == 0
    assert len(hub.requests) == asked
    assert f"models.m.commit: {hub.first} → {second}" in run(capsys, "lock", "--upgrade")[1]
    spec(project, models={"m": {"source": "hf://org/model", "revision": "other", "include": ["*.json"]}})
    code, text = run(capsys, "validate", "--locked", "--no-import")
    assert code == 2
    assert "models.m.revision" in text


def test_a_hub_that_sends_something_else_for_the_same_commit_is_refused_until_that_is_locked(project, capsys, hub):
    spec(project, models={"m": {"source": "hf://org/model"}})
    assert [run(capsys, *words)[0] for words in (["lock"], ["models", "pull"], ["lock"])] == [0, 0, 0]
    for folder in ("hf", "models"):
        shutil.rmtree(project.parent / folder)
    hub.repositories["org/model"].commits[hub.first] = {**FILES, "config.json": b"[666]"}
    for _ in range(2):
        code, text = run(capsys, "models", "pull")
        assert code == 3
        assert "is locked" in text
    assert "models.m.digest" in run(capsys, "validate", "--locked", "--no-import")[1]
    assert [run(capsys, *words)[0] for words in (["lock", "--upgrade"], ["models", "pull"], ["lock"])] == [0, 0, 0]
    assert run(capsys, "validate", "--locked", "--no-import")[0] == 0


def test_files_of_a_path_that_are_not_there_are_drift(project, capsys):
    spec(project, models={"w": {"source": "weights"}})
    run(capsys, "lock")
    shutil.rmtree(project / "weights")
    code, text = run(capsys, "validate", "--locked", "--no-import")
    assert code == 2
    assert "models.w.digest: the files of the model `w` are locked, and cannot be read here" in text


def test_a_start_reads_the_files_of_a_model_once(project, monkeypatch):
    spec(project, models={"w": {"source": "weights"}})
    main(["lock"])
    read = []
    real = digest.hashed
    monkeypatch.setattr(digest, "hashed", lambda files, **more: real(read.append(1) or files, **more))
    assert starting(Namespace(files=[], strict=False, locked=True)).desired.weights.located["w"].size == 13
    assert len(read) == 1


def test_a_hub_that_does_not_know_the_model(project, capsys, hub):
    spec(project, models={"m": {"source": "hf://org/nothing"}})
    code, text = run(capsys, "lock")
    assert code == 3
    assert "hf://org/nothing" in text
    assert not (project / "bentofile.lock").exists()


def test_the_base_image_is_locked_if_its_digest_is_known(project, capsys):
    digest = "sha256:" + "0" * 64
    spec(project, build={"base_image": f"python:3.12-slim@{digest}"})
    run(capsys, "lock")
    assert read(project / "bentofile.lock").image.digest == digest
    spec(project, build={"base_image": f"python:3.12-slim@{digest.replace('0', '1')}"})
    assert "image.digest" in run(capsys, "lock", "--check")[1]
    spec(project, build={"python": "3.12"})
    code, text = run(capsys, "lock")
    assert code == 0
    assert "note: the digest of python:3.12-slim" in text
    assert read(project / "bentofile.lock").image is None


@pytest.fixture
def resolver(monkeypatch, tmp_path):
    """What `uv` is to answer; it may fail."""
    answer = tmp_path / "answer"
    script = tmp_path / "uv"
    script.write_text(
        f"#!{sys.executable}\nimport shutil, sys\nif not __import__('os').path.exists({str(answer)!r}):\n"
        f"    sys.exit('no solution found')\nshutil.copy({str(answer)!r}, 'pylock.toml')\n"
    )
    script.chmod(0o755)
    monkeypatch.setattr("bentod.cli.lock_python.find", lambda *_: Resolver((str(script),), "uv"))
    monkeypatch.setattr("bentod.cli.lock_python.own_ranges", tuple)
    return answer


def test_packages_are_resolved_once_and_again_when_others_are_asked_for(project, capsys, resolver):
    spec(project, build={"packages": ["six"]})
    code, text = run(capsys, "lock")
    assert code == 3
    assert "no solution found" in text
    assert sorted(path.name for path in project.iterdir()) == ["bentofile.yaml", "hello.py", "weights"]
    resolver.write_text(pylock({"name": "six", "version": "1.0"}))
    assert run(capsys, "lock")[0] == 0
    assert run(capsys, "validate", "--locked")[0] == 0
    resolver.unlink()
    assert run(capsys, "lock")[1].endswith("\nbentofile.lock is unchanged\n")  # nobody was asked
    spec(project, build={"packages": ["six>=2"]})
    assert "python.requirements" in run(capsys, "validate", "--locked")[1]
    assert run(capsys, "lock", "--no-python")[1].endswith("\nbentofile.lock is unchanged\n")
    assert run(capsys, "lock", "--offline")[0] == 2
    resolver.write_text(pylock({"name": "six", "version": "2.0"}))
    assert "six 1.0 → 2.0" in run(capsys, "lock")[1]
    (project / "pylock.toml").write_text("\n" + (project / "pylock.toml").read_text())
    assert "python.digest" in run(capsys, "validate", "--locked")[1]
    (project / "pylock.toml").unlink()
    assert "`pylock.toml` is gone" in run(capsys, "validate", "--locked")[1]
    spec(project)
    assert "`build` asks for none" in run(capsys, "validate", "--locked")[1]
    run(capsys, "lock")
    (project / "nothing.txt").write_text("# nothing but Python\n")
    spec(project, build={"requirements": "nothing.txt"})
    run(capsys, "lock")
    assert run(capsys, "validate", "--locked")[0] == 0
    spec(project, build={"packages": ["six"]})
    assert "none are locked" in run(capsys, "validate", "--locked")[1]


def test_an_answer_that_does_not_match_is_refused(project, capsys, resolver):
    resolver.write_text(pylock({"name": "six", "version": "1.0"}))
    spec(project, build={"packages": ["six>=2"]})
    code, text = run(capsys, "lock")
    assert code == 2
    assert "`six>=2` is asked for, and locked is 1.0" in text
    assert not (project / "bentofile.lock").exists()
    assert not (project / "pylock.toml").exists()


def test_a_lock_that_somebody_else_made_is_not_overwritten(project, capsys, resolver):
    (project / "pylock.toml").write_text(pylock({"name": "six", "version": "1.0"}))
    spec(project, build={"packages": ["six"]})
    code, text = run(capsys, "lock")
    assert code == 2
    assert "bentod did not make it" in text
    spec(project, build={"packages": ["six"], "lock": "pylock.toml"})
    assert run(capsys, "lock")[0] == 0
    assert read(project / "bentofile.lock").python.lock == "pylock.toml"
    spec(project, build={"packages": ["six>=2"], "lock": "pylock.toml"})
    assert run(capsys, "lock")[0] == 2


def test_each_spec_of_a_folder_has_its_own_lock(project, capsys, resolver):
    resolver.write_text(pylock({"name": "six", "version": "1.0"}))
    spec(project, build={"packages": ["six"]})
    shutil.copy(project / "bentofile.yaml", project / "other.v2.yaml")
    assert run(capsys, "lock", "-f", "other.v2.yaml")[0] == 0
    assert read(project / "other.v2.lock").python.lock == "pylock.other-v2.toml"


def test_without_a_resolver_the_lock_says_what_to_install(project, capsys, monkeypatch):
    def nobody(*_):
        raise Unresolvable("nothing here can resolve packages: install uv")

    monkeypatch.setattr("bentod.cli.lock_python.find", nobody)
    spec(project, build={"packages": ["six"]})
    code, text = run(capsys, "lock")
    assert code == 3
    assert "install uv" in text


@pytest.mark.skipif(not index_answers(), reason="no uv, or no package index that it reaches")
def test_the_real_uv_locks_what_is_asked_for_together_with_what_bentod_needs(project, capsys):
    (project / "limits.txt").write_text("iniconfig<2.1\n")
    (project / "requirements.txt").write_text("-c limits.txt\niniconfig>=1\nbentod\n")
    spec(project, build={"requirements": "requirements.txt", "python": "3.12"})
    code, text = run(capsys, "lock")
    assert code == 0, text
    made = tomllib.loads((project / "pylock.toml").read_text())
    versions = {package["name"]: package["version"] for package in made["packages"]}
    assert versions["iniconfig"] == "2.0.0"
    assert {"aiohttp", "pydantic", "yarl"} <= versions.keys()
    assert "bentod" not in versions
    assert run(capsys, "validate", "--locked", "--no-import")[0] == 0
    before = (project / "pylock.toml").read_bytes()
    (project / "bentofile.lock").unlink()
    assert run(capsys, "lock")[0] == 0
    assert (project / "pylock.toml").read_bytes() == before
