"""The file for Docker Compose: golden files, and what Compose itself makes of it. `UPDATE_CASES=1` rewrites them."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from bentod.render.compose import Host, compose
from bentod.render.recipes import Unwritable
from bentod.spec.variables import Variable
from tests.support.deployments import FETCH, GPU, HOSTS, MADE, PLAIN, SPECS, of_example
from tests.support.manifests import compose_tree
from tests.support.yaml_tree import tree

CASES = Path(__file__).parents[1] / "cases" / "compose"
COMPOSE = shutil.which("docker-compose", path=Path(sys.executable).parent) or shutil.which("docker-compose")
needs_compose = pytest.mark.skipif(COMPOSE is None, reason="docker-compose is not installed")


def config(folder, text, environ=None, *words):
    """What Compose says of the file: exit code, output and errors."""
    (folder / "compose.yaml").write_text(text, encoding="utf-8")
    command = [COMPOSE, "-f", str(folder / "compose.yaml"), "config", *words]
    environ = {"PATH": os.environ["PATH"], "HOME": str(folder), **(environ or {})}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout, done.stderr


def understood(folder, text, environ=None):
    code, out, err = config(folder, text, environ, "--format", "json")
    assert (code, err) == (0, "")
    return json.loads(out)


@pytest.mark.parametrize("name", MADE)
def test_golden(name):
    text = compose(MADE[name], HOSTS.get(name, Host()))
    path = CASES / f"{name}.yaml"
    if os.environ.get("UPDATE_CASES"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", SPECS)
def test_every_example_is_the_intended_tree(name):
    made = of_example(name)
    assert tree(compose(made, Host())) == compose_tree(made, Host())


@needs_compose
@pytest.mark.parametrize("name", [*MADE, *SPECS])
def test_compose_takes_it(tmp_path, name):
    made, host = (MADE[name], HOSTS.get(name, Host())) if name in MADE else (of_example(name), Host())
    (tmp_path / "models").mkdir()
    values = {one.name: "a $b" for one in made.variables}
    code, out, err = config(tmp_path, compose(made, host), values, "-q")
    assert (code, out, err) == (0, "", "")


@needs_compose
def test_what_compose_understands(tmp_path):
    given = {"FILLED": "f$1", "TOKEN": ""}
    found = understood(tmp_path, compose(GPU, HOSTS["gpu-mounted"]), given)["services"]["3d-model"]
    # what `config` prints is a file again, so a dollar is written twice
    environ = {name: value and value.replace("$$", "$") for name, value in found["environment"].items()}
    assert environ == {**GPU.settings, "FILLED": "f$1", "TOKEN": "", "LEVEL": None}
    assert found["stop_grace_period"] == "3m5s"
    assert found["healthcheck"]["start_period"] == "11m1s"
    assert found["deploy"]["resources"]["limits"] == {"cpus": 2.5, "memory": str(3 * 1024**3)}
    [device] = found["deploy"]["resources"]["reservations"]["devices"]
    assert (device["driver"], device["count"], device["capabilities"]) == ("nvidia", 2, ["gpu"])
    [models] = found["volumes"]
    assert (models["target"], models["read_only"]) == ("/models", True)
    assert models["source"].replace("$$", "$") == str(tmp_path.parent / "my models/$x")


@needs_compose
@pytest.mark.parametrize(("given", "missing"), [({"TOKEN": "x"}, "FILLED"), ({"FILLED": "", "TOKEN": ""}, "FILLED")])
def test_compose_refuses_to_start_without_what_the_spec_needs(tmp_path, given, missing):
    code, _, err = config(tmp_path, compose(GPU, Host()), given, "-q")
    assert code != 0
    assert f"required variable {missing} is missing a value: the spec needs it" in err


@needs_compose
def test_a_variable_that_may_be_missing_is_as_in_the_shell(tmp_path):
    text = compose(replace(PLAIN, variables=(Variable("LEVEL", False),)), Host())
    seen = [understood(tmp_path, text, given)["services"]["app"]["environment"] for given in ({}, {"LEVEL": "a$b"})]
    assert seen == [{"LEVEL": None}, {"LEVEL": "a$$b"}]


@needs_compose
def test_a_volume_keeps_what_is_fetched(tmp_path):
    found = understood(tmp_path, compose(FETCH, Host()))
    [volume] = found["services"]["fetch"]["volumes"]
    assert (volume["type"], volume["source"], volume["target"]) == ("volume", "models", "/var/tmp")
    assert list(found["volumes"]) == ["models"]


@pytest.mark.parametrize("host", [Host(port=0), Host(port=65536), Host(models=""), Host(models="a\nb")])
def test_what_no_host_has_is_refused(host):
    with pytest.raises(Unwritable):
        compose(replace(PLAIN, models="mount"), host)
