"""`bentod build-image`: what it checks, what it builds from, what it leaves behind."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import bentod
from bentod.cli.main import main
from tests.support.buildkit import line, printed, traced, vertex
from tests.support.daemon import eventually
from tests.support.docker_api import IMAGE, docker_api
from tests.support.hub import Hub
from tests.support.project import project

ROOT = Path(bentod.__file__).parents[1]
SPECS = sorted(path for path in (ROOT / "specs").glob("*/bentofile.*"))
STEP = "sha256:" + "a" * 64
BUILT = line(id="moby.image.id", aux={"ID": IMAGE})
WHEEL = f"bentod/bentod-{bentod.__version__}-py3-none-any.whl"


def spec(folder, *targets, **more):
    services = {"a": {"target": "answers.py"}}
    return project(
        folder, "answers", *targets, services=services, apis={"same": {"service": "a", "method": "same"}}, **more
    )


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for name in ("DOCKER_HOST", "BENTOD_MODELS", "BENTOD_BAKED_MODELS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    return tmp_path / "project"


def run(folder, *words):
    return main(["build-image", "-f", str(folder / "bentofile.yaml"), *words])


def contents(folder):
    """All files of a context, as text where they are."""
    found = {}
    for path in folder.rglob("*"):
        if path.is_file():
            found[str(path.relative_to(folder))] = path.read_bytes()
    return found


def git(folder, *words):
    setting = ["-c", "user.name=t", "-c", "user.email=t@t", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *setting, *words], cwd=folder, check=True, capture_output=True)


# ── the context ──


def test_a_context_holds_what_it_says_and_nothing_else(folder, tmp_path, capsys):
    spec(folder, files={"data/x.csv": "1"})
    assert run(folder, "--output", str(tmp_path / "out")) == 0
    found = contents(tmp_path / "out")
    own = {"src/answers.py", "src/bentofile.yaml", "src/data/x.csv"}
    assert set(found) == {"Dockerfile", ".dockerignore", ".bentod-context", "requirements.txt", WHEEL, *own}
    assert found["Dockerfile"].startswith(b"# Written by")
    assert "wrote the build context into" in capsys.readouterr().out


def test_the_files_of_secrets_are_no_part_of_the_project(folder, tmp_path, monkeypatch, capsys):
    """Also where git does not say which files belong to it, or somebody added them by mistake."""
    spec(folder, build={"secrets": ["a", "b"]}, files={"token": "hunter2hunter2", "keys/b": "hunter3hunter3"})
    (tmp_path / "link").symlink_to(folder)
    given = ["--secret", "id=a,src=token", "--secret", f"id=b,src={tmp_path}/link/keys/b"]
    monkeypatch.chdir(folder)
    for tracked in (False, True):
        assert run(folder, *given, "--output", str(tmp_path / "out")) == 0
        assert not {"src/token", "src/keys/b"} & set(contents(tmp_path / "out"))
        if not tracked:
            git(folder, "init")
            git(folder, "add", ".")
    assert "`keys/b`, `token`: not in the image, since secrets are read from there" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("source", "said"), [(".", "the project itself"), ("..", "the project itself"), ("data", "`data/.env`")]
)
def test_a_model_takes_no_secrets_into_an_image(folder, capsys, source, said):
    """Its folder is baked whole."""
    more = {"models": {"m": {"source": source}}, "env_files": ["data/.env"]}
    spec(folder, files={"data/.env": "TOKEN=hunter2hunter2\n", "data/w.bin": "1"}, **more)
    assert run(folder, "--check") == 2
    told = capsys.readouterr().err
    assert f"models.m: a model is baked with all that its folder holds, and that is also {said}" in told


def test_the_same_project_gives_the_same_context_elsewhere(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("bentod.image.wheel.pack", bentod_wheel)
    spec(folder)
    other = spec(tmp_path / "other")
    os.utime(other / "answers.py", (1, 1))
    for one, out in ((folder, "a"), (other, "b")):
        assert run(one, "--output", str(tmp_path / out)) == 0
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def bentod_wheel():
    from bentod.image.wheel import Wheel

    return Wheel(WHEEL.rpartition("/")[2], b"wheel")


def test_git_says_what_belongs_to_the_project(folder, tmp_path, capsys):
    spec(folder, files={".gitignore": "*.log\n", "x.log": "1", "tracked.txt": "1", "new.txt": "1"})
    git(folder, "init", "-q")
    git(folder, "add", "tracked.txt", ".gitignore", "bentofile.yaml")
    git(folder, "commit", "-qm", "first")
    assert run(folder, "--output", str(tmp_path / "out")) == 0
    found = contents(tmp_path / "out")
    assert {name for name in found if name.startswith("src/")} == {
        "src/.gitignore",
        "src/answers.py",
        "src/bentofile.yaml",
        "src/tracked.txt",
    }
    told = capsys.readouterr().err
    assert "`answers.py` would be left out, but the spec needs it" in told
    assert "`new.txt`: not in the image, since git does not track it" in told
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=folder, capture_output=True, text=True).stdout.strip()
    assert f"org.opencontainers.image.revision={commit}-dirty".encode() in found["Dockerfile"]


def test_a_repository_that_git_refuses_is_not_taken_for_none(folder, capsys):
    spec(folder)
    (folder / ".git").write_text("gitdir: /nowhere\n")
    assert run(folder, "--check") == 3
    assert "git" in capsys.readouterr().err


def test_files_of_variables_stay_behind_and_the_image_says_which_it_needs(folder, tmp_path, capsys):
    spec(folder, files={".env": "API_KEY=hunter22\nOTHER=x\n"}, env_files=[".env"], env={"K": "${API_KEY}"})
    assert run(folder, "--output", str(tmp_path / "out")) == 0
    found = contents(tmp_path / "out")
    assert found["src/.env"] == b"# Left out of the image, since it may hold secrets. Variables: API_KEY, OTHER.\n"
    told = capsys.readouterr()
    assert "API_KEY, OTHER" in told.err
    assert "hunter22" not in told.out + told.err
    assert not [name for name, data in found.items() if b"hunter22" in data]


def test_a_spec_with_a_model_bakes_it_as_its_own_folder(folder, tmp_path):
    spec(folder, files={"weights/a.bin": "1", "weights/deep/b.bin": "22"}, models={"net": {"source": "weights"}})
    assert run(folder, "--output", str(tmp_path / "out")) == 0
    found = contents(tmp_path / "out")
    assert found["models/net/deep/b.bin"] == b"22"
    assert not [name for name in found if name.startswith("src/weights")]
    said = json.loads(found["models/baked.json"])["net"]
    assert said["path"] == "net"
    assert said["digest"].startswith("sha256:")
    assert b'COPY ["models/net/", "/models/net/"]' in found["Dockerfile"]


def test_a_model_that_is_one_file_and_one_that_is_mounted(folder, tmp_path):
    spec(folder, files={"net.onnx": "1"}, models={"net": {"source": "net.onnx"}})
    assert run(folder, "--output", str(tmp_path / "out")) == 0
    found = contents(tmp_path / "out")
    assert found["models/net/net.onnx"] == b"1"
    assert json.loads(found["models/baked.json"])["net"]["path"] == "net/net.onnx"
    spec(folder, files={"net.onnx": "1"}, models={"net": {"source": "net.onnx"}}, build={"models": "mount"})
    assert run(folder, "--output", str(tmp_path / "out")) == 0
    assert not [name for name in contents(tmp_path / "out") if name.startswith("models/")]


def test_models_of_a_hub_are_fetched_once_and_only_what_was_asked_for_is_baked(folder, tmp_path, monkeypatch, capsys):
    with Hub() as hub:
        commit = hub.add("org/net", {"config.json": b"{}", "net.bin": b"12345", "README.md": b"#"})
        for name, value in {
            "BENTOD_MODELS": tmp_path / "m",
            "HF_HOME": tmp_path / "hf",
            "HF_ENDPOINT": hub.url,
        }.items():
            monkeypatch.setenv(name, str(value))
        source = {"source": "hf://org/net", "revision": commit}
        for include in ([], ["*.json", "*.bin"]):
            spec(folder, models={"net": {**source, "include": include}})
            assert run(folder, "--output", str(tmp_path / "out")) == 0
        found = contents(tmp_path / "out")
        assert {name: found[name] for name in found if name.startswith("models/net/")} == {
            "models/net/config.json": b"{}",
            "models/net/net.bin": b"12345",
        }
        assert json.loads(found["models/baked.json"])["net"]["commit"] == commit
        asked = len(hub.asked())
        assert run(folder, "--output", str(tmp_path / "again")) == 0
        assert len(hub.asked()) == asked
        del found[".bentod-context"]
        again = contents(tmp_path / "again")
        assert {name: data for name, data in found.items() if name != WHEEL}.items() <= again.items()


def test_a_model_that_its_hub_does_not_have_ends_the_build_with_its_name(folder, tmp_path, monkeypatch, capsys):
    with Hub() as hub:
        for name, value in {
            "BENTOD_MODELS": tmp_path / "m",
            "HF_HOME": tmp_path / "hf",
            "HF_ENDPOINT": hub.url,
        }.items():
            monkeypatch.setenv(name, str(value))
        spec(folder, models={"net": {"source": "hf://org/none", "revision": "a" * 40}})
        assert run(folder, "--output", str(tmp_path / "out")) == 3
    told = capsys.readouterr().err
    assert "net" in told
    assert "org/none" in told
    assert not (tmp_path / "out").exists()


# ── checks ──


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.parent.name)
def test_every_example_can_be_checked_where_nothing_of_it_is_installed(path, capsys, monkeypatch):
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere")
    before = set(sys.modules)
    assert main(["build-image", "-f", str(path), "--check"]) == 0
    assert f"{path}: nothing is wrong with " in capsys.readouterr().out
    assert not {
        name for name in set(sys.modules) - before if name.partition(".")[0] in {"docker", "requests", "sklearn"}
    }


def test_all_that_is_wrong_is_told_at_once_with_its_place(folder, capsys):
    build = {"include": ["*.py", "nothing/*.csv"], "requirements": "req.txt", "packages": ["x"], "secrets": ["token"]}
    spec(folder, files={"req.txt": "--pre\n"}, build=build, models={"net": {"source": "gone"}}, version="ä")
    (folder / "out.py").symlink_to("/etc/passwd")
    assert run(folder, "--check", "-t", "Bad:tag", "--platform", "x", "--build-arg", "=", "--secret", "what") == 2
    told = capsys.readouterr().err
    for text in ("`Bad:tag`", "`x` is no platform", "--build-arg", "is no secret", "`nothing/*.csv` means no file"):
        assert text in told, text
    for text in ("`out.py` leads out of the project", "models.net: the model cannot be baked", "--pre"):
        assert text in told, text
    place = [line for line in told.splitlines() if "build.include[1]" in line]
    assert place[0].startswith(f"{folder}/bentofile.yaml:1:")


def test_a_version_that_is_no_tag_needs_a_name(folder, capsys):
    spec(folder, version="ä 1")
    assert run(folder, "--check") == 2
    assert "cannot be an image's tag" in capsys.readouterr().err
    assert run(folder, "--check", "-t", "app") == 0
    assert "nothing is wrong with app:latest" in capsys.readouterr().out


def test_a_lock_file_that_says_otherwise_is_told(folder, capsys):
    spec(folder)
    (folder / "bentofile.lock").write_text('version = 1\n[apis]\ndigest = "sha256:' + "0" * 64 + '"\n')
    assert run(folder, "--check") == 2
    assert "bentofile.lock" in capsys.readouterr().err


def test_a_spec_outside_of_the_project_and_variables_outside_are_refused(folder, tmp_path, capsys):
    spec(folder)
    (tmp_path / "more.yaml").write_text("version: 2.0.0\nenv_files: [out.env]\n")
    (tmp_path / "out.env").write_text("A=1\n")
    assert run(folder, "-f", str(tmp_path / "more.yaml"), "--check") == 2
    told = capsys.readouterr().err
    assert "more.yaml lies outside the project" in told
    assert "out.env` lies outside the project" in told


@pytest.mark.parametrize("words", [["--check", "--push"], ["--output", "x", "--push"]])
def test_options_that_cannot_be_together(folder, words, capsys):
    spec(folder)
    assert run(folder, *words) == 2
    assert "nothing for `--push` to push" in capsys.readouterr().err


def test_a_folder_that_is_not_ours_is_not_written_to(folder, capsys):
    spec(folder)
    before = contents(folder)
    assert run(folder, "--output", str(folder)) == 3
    assert "not an older build context" in capsys.readouterr().err
    assert contents(folder) == before


# ── dry runs ──


@pytest.mark.parametrize("backend", ["docker", "buildx", "podman", "buildah", "buildctl"])
def test_a_dry_run_says_what_would_be_done_and_starts_nothing(folder, backend, capsys, monkeypatch):
    spec(folder, version="1.2+cpu", build={"image": "reg.example.com/team/app", "secrets": ["token"]})
    monkeypatch.setenv("TOKEN", "ghp_0123456789")
    monkeypatch.setenv("PATH", "")
    given = ["--secret", "id=token,env=TOKEN", "--platform", "linux/arm64", "--build-arg", "A=1", "--push"]
    assert run(folder, "--dry-run", "--backend", backend, *given) == 0
    told = capsys.readouterr()
    assert "reg.example.com/team/app:1.2-cpu" in told.out
    assert "id=token,env=TOKEN" in told.out
    assert "from the Dockerfile sha256:" in told.out
    assert "ghp_0123456789" not in told.out + told.err


def test_a_dry_run_names_models_that_would_be_fetched(folder, capsys):
    spec(folder, models={"net": {"source": "hf://org/net", "revision": "a" * 40}})
    assert run(folder, "--dry-run", "--backend", "podman") == 0
    assert "model    net: hf://org/net would be fetched" in capsys.readouterr().out


# ── builds ──


def test_an_image_is_built_told_and_reported(folder, tmp_path, monkeypatch, capsys):
    spec(folder, build={"packages": ["numpy>=2"]})
    said = traced(vertex(STEP, "[1/1] RUN x", started=1), printed(STEP, b"hello\n"))
    with docker_api(lambda handler: handler.stream(said, BUILT)) as api:
        monkeypatch.setenv("DOCKER_HOST", api.environ["DOCKER_HOST"])
        api.images.add(base(folder, tmp_path))
        assert run(folder, "-t", "app:1", "-t", "app:2", "--report", str(tmp_path / "report.json")) == 0
        assert api.queries[0]["t"] == ["app:1", "app:2"]
        assert api.context()["src/answers.py"] == (folder / "answers.py").read_bytes()
        assert api.context()["requirements.txt"] == b"numpy>=2\n"
    told = capsys.readouterr()
    assert "#1 [1/1] RUN x\n#1 hello\n" in told.err
    assert "built app:1, app:2 with docker in" in told.out
    assert f"image    {IMAGE}, 3.0 MB" in told.out
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["tags"] == ["app:1", "app:2"]
    assert report["image"]["layers"][-1] == {"made_by": "COPY src/ /app/", "size": 7}
    assert report["sources"]["packages"] == ["numpy>=2"]
    assert report["sources"]["project_files"] == 2


def base(folder, tmp_path):
    """The image that the Dockerfile starts from, so that none is pulled."""
    run(folder, "--output", str(tmp_path / "base"))
    text = (tmp_path / "base/Dockerfile").read_text()
    return next(line.split()[1] for line in text.splitlines() if line.startswith("FROM "))


def test_an_engine_that_is_not_there_is_told_before_anything_is_fetched(folder, monkeypatch, capsys):
    spec(folder, models={"net": {"source": "hf://org/net", "revision": "a" * 40, "endpoint": "http://127.0.0.1:9"}})
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    monkeypatch.setenv("PATH", "")
    assert run(folder) == 3
    told = capsys.readouterr().err
    assert "docker at unix:///nowhere/docker.sock: No such file or directory" in told
    assert "there is no program `podman` on PATH" in told


def test_a_build_that_fails_is_told_in_words(folder, monkeypatch, capsys):
    spec(folder)
    with docker_api(lambda handler: handler.stream(line(error="RUN: exit code 7"))) as api:
        monkeypatch.setenv("DOCKER_HOST", api.environ["DOCKER_HOST"])
        assert run(folder) == 3
    assert "bentod: the image cannot be built: RUN: exit code 7" in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_build_at_the_engine_and_leaves_nothing(folder, tmp_path, number):
    spec(folder)

    def endless(handler):
        handler.stream(traced(vertex(STEP, "RUN sleep", started=1)), ended=False)
        handler.until_cut_off()

    temporary = tmp_path / "tmp"
    temporary.mkdir()
    with docker_api(endless) as api:
        environ = {**os.environ, **api.environ, "TMPDIR": str(temporary), "PYTHONPATH": str(ROOT)}
        argv = [sys.executable, "-m", "bentod", "build-image", "-f", str(folder / "bentofile.yaml")]
        with subprocess.Popen(argv, env=environ, stderr=subprocess.PIPE, stdout=subprocess.PIPE) as child:
            assert api.asked.wait(60)
            assert any(b"RUN sleep" in line for line in iter(child.stderr.readline, b""))
            child.send_signal(number)
            _, error = child.communicate(timeout=30)
        assert child.returncode == 130
        assert b"Traceback" not in error
        eventually(api.cut_off.is_set, what="the engine is told")
    assert list(temporary.iterdir()) == []
