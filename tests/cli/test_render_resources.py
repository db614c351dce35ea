"""`bentod render` of a spec whose workers need CPUs, memory and GPUs: how large its container is."""

import json

import pytest
import yaml

from bentod.cli.main import main
from tests.support.project import project

API = {"same": {"service": "a", "method": "same"}}


@pytest.fixture
def rendered(tmp_path, capsys):
    """Renders a spec with these keys of its service; the exit code, what was written and what was said."""

    def render(form, *words, **service):
        folder = project(tmp_path, "answers", services={"a": {"target": "answers.py", **service}}, apis=API)
        code = main(["render", form, "-f", str(folder / "bentofile.yaml"), *words])
        told = capsys.readouterr()
        return code, told.out, told.err

    return render


@pytest.fixture
def host(tmp_path):
    """The file of a host with two GPUs of 80 GiB, four CPUs and 64 GiB."""
    devices = [{"uuid": f"GPU-{number}", "name": "NVIDIA A100", "memory": "80GiB"} for number in range(2)]
    path = tmp_path / "host.json"
    path.write_text(json.dumps({"cpus": 4, "memory": "64GiB", "devices": devices}))
    return str(path)


def limits(text):
    """What Compose, or Kubernetes, is told."""
    for one in yaml.safe_load_all(text):
        if "services" in one:
            return one["services"]["e2e"]["deploy"]["resources"]
        if one["kind"] == "Deployment":
            return one["spec"]["template"]["spec"]["containers"][0]["resources"]
    return None


def test_a_container_has_what_all_workers_need(rendered):
    resources = {"cpus": 1.5, "memory": "2GiB", "gpus": 0.5}
    code, text, _ = rendered("compose", workers=3, resources=resources)
    found = limits(text)
    assert code == 0
    assert found["limits"] == {"cpus": "5.5", "memory": f"{(6 * 1024 + 256) * 1024**2}b"}
    assert found["reservations"]["devices"][0]["count"] == 2
    _, text, _ = rendered("kubernetes", workers=3, resources=resources)
    assert limits(text) == {
        "requests": {"cpu": "4500m", "memory": "6400Mi"},
        "limits": {"memory": "6400Mi", "nvidia.com/gpu": "2"},
    }


@pytest.mark.parametrize("form", ["compose", "kubernetes"])
def test_how_many_gpus_an_auto_has_must_be_said(rendered, host, form):
    code, text, said = rendered(form, workers="auto", resources={"gpus": 1})
    assert (code, text) == (3, "")
    assert "`--gpus N`" in said
    assert "`--inventory FILE`" in said
    for words, count in ((("--gpus", "3"), 3), (("--inventory", host), 2)):
        code, text, _ = rendered(form, *words, workers="auto", resources={"gpus": 1})
        assert code == 0
        assert str(count) in str(limits(text))


def test_a_host_that_is_too_small_is_a_problem_of_the_spec_s_place(rendered, host):
    code, text, said = rendered("compose", "--inventory", host, workers=5, resources={"gpus": 0.5})
    assert (code, text) == (3, "")
    assert "services.a.resources.gpus" in said
    assert "short by" in said


def test_a_host_s_file_that_is_wrong_is_told(rendered, tmp_path):
    (tmp_path / "wrong.json").write_text('{"cpus": "many"}')
    for name in ("wrong.json", "missing.json"):
        code, _, said = rendered("compose", "--inventory", str(tmp_path / name), resources={"gpus": 1})
        assert code == 2
        assert name in said


def test_what_no_host_is_asked_for_needs_none(rendered, host):
    assert rendered("compose", "--inventory", host) == rendered("compose")


def test_fewer_gpus_than_are_needed_are_refused(rendered):
    code, _, said = rendered("compose", "--gpus", "1", workers=2, resources={"gpus": 1})
    assert code == 3
    assert "the workers need 2 GPUs at the least" in said
