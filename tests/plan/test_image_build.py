"""What a spec's `build` becomes, with all that it leaves open decided."""

import sys

import pytest

from bentod.errors import SpecError
from bentod.plan.image import USER, CondaPlan
from bentod.plan.image_build import ImageFacts, base_image, image_plan
from bentod.spec.model import Spec

FACTS = ImageFacts("0.1.0")
HF = {"bert": {"source": "hf://google/bert"}, "own": {"source": "/m"}}


def spec_of(build=None, **said):
    services = {"s": {"target": "x", "start_timeout": "90s"}}
    return Spec.model_validate(
        {
            "bentod": 1,
            "name": "app",
            "apis": {"a": {"service": "s"}},
            "services": services,
            "build": build or {},
            **said,
        }
    )


def plan(build=None, facts=FACTS, **said):
    return image_plan(spec_of(build, **said), facts)


def problems(build, **said):
    with pytest.raises(SpecError) as caught:
        plan(build, **said)
    return {problem.path: problem.message for problem in caught.value.problems}


def test_a_spec_that_says_nothing_has_an_image():
    made = plan()
    assert (made.name, made.version, made.image) == ("app", "0.0.0", "app")
    assert made.python == f"3.{sys.version_info.minor}"
    assert (made.distro, made.cuda, made.conda, made.base_image) == ("debian", "", None, "")
    assert (made.wheel, made.user) == ("bentod-0.1.0-py3-none-any.whl", USER)
    assert (made.start_s, made.stop_s) == (150.0, 60.0)
    assert made.specs == ("bentofile.yaml",)


def test_what_is_said_is_taken():
    facts = ImageFacts("1.2", ("numpy",), locked=True, specs=("a.yaml", "b.yaml"))
    build = {
        "image": "registry.example.com/app",
        "python": "3.12",
        "distro": "ubi",
        "cuda": "12",
        "index_url": "https://pypi.example.com",
        "extra_index_urls": ["https://more.example.com"],
        "system_packages": ["libgomp"],
        "run": [["a", "b"]],
        "env": {"A": "1"},
        "secrets": ["netrc"],
        "user": "1000",
        "platforms": ["linux/arm64"],
    }
    made = plan(build, facts)
    assert (made.image, made.python, made.distro, made.cuda) == ("registry.example.com/app", "3.12", "ubi", "12.9.1")
    assert (made.index_url, made.extra_index_urls) == ("https://pypi.example.com", ("https://more.example.com",))
    assert (made.system_packages, made.run, made.env) == (("libgomp",), (("a", "b"),), {"A": "1"})
    assert (made.secrets, made.user, made.platforms) == (("netrc",), "1000", ("linux/arm64",))
    assert (made.requirements, made.locked, made.specs) == (("numpy",), True, ("a.yaml", "b.yaml"))


@pytest.mark.parametrize(("mode", "models"), [("bake", ("bert", "own")), ("mount", ()), ("fetch", ())])
def test_models_are_in_the_image_only_if_they_are_baked(mode, models):
    made = plan({"models": mode}, models=HF)
    assert (made.models_mode, made.models) == (mode, models)


def test_labels_are_ocis_and_the_specs_who_wins():
    facts = ImageFacts("1", commit="abc", spec_digest="sha256:1")
    said = {"version": "2", "description": "Says\nhello.\n", "labels": {"team": "a", "other": "b"}}
    made = plan({"labels": {"team": "c", "org.opencontainers.image.title": "d"}, "python": "3.12"}, facts, **said)
    assert made.labels == {
        "org.opencontainers.image.title": "d",
        "org.opencontainers.image.version": "2",
        "org.opencontainers.image.description": "Says hello.",
        "org.opencontainers.image.revision": "abc",
        "org.opencontainers.image.base.name": "python:3.12-slim-bookworm",
        "dev.bentod.spec": "sha256:1",
        "team": "c",
        "other": "b",
    }
    assert "org.opencontainers.image.created" not in made.labels


def test_a_locked_digest_counts_for_the_base_that_it_was_locked_for():
    facts = ImageFacts("1", locked_base="python:3.12-slim-bookworm", base_digest="sha256:1")
    made = plan({"python": "3.12"}, facts)
    assert made.base_digest == made.labels["org.opencontainers.image.base.digest"] == "sha256:1"
    assert plan({"python": "3.11"}, facts).base_digest == ""


def test_an_image_that_is_named_has_its_own_python():
    assert plan({"base_image": "x:1"}).python == ""
    assert plan({"base_image": "x:1", "python": "3.12"}).python == "3.12"
    assert base_image(spec_of({"base_image": "x:1"})) == "x:1"
    assert base_image(spec_of({"conda": {"dependencies": ["numpy"]}})) == "debian:bookworm-slim"


def test_what_conda_installs():
    assert plan({"conda": {"environment": "/p/env.yaml"}}).conda == CondaPlan("environment.yml")
    made = plan({"conda": {"channels": ["bioconda"], "dependencies": ["samtools>=1"]}})
    assert made.conda == CondaPlan("", ("bioconda",), ("samtools>=1",))


def test_all_that_cannot_be_built_is_said_at_once():
    found = problems({"distro": "alpine", "cuda": "12", "system_packages": ["libgomp", "bash-"]})
    assert "NVIDIA" in found["build.cuda"]
    assert set(problems({"cuda": "11", "system_packages": ["bash-"]})) == {"build.cuda", "build.system_packages[0]"}
    assert "UBI 9" in problems({"distro": "ubi", "python": "3.13"})["build.python"]
    assert set(problems({"system_packages": ["libgomp1", "bash-"]})) == {"build.system_packages[1]"}
    conda = {"channels": ["-c"], "dependencies": ["numpy", "--file=x"]}
    paths = {"build.conda.channels[0]", "build.conda.dependencies[1]", "build.distro"}
    assert set(problems({"conda": conda, "distro": "alpine"})) == paths


@pytest.mark.parametrize("name", ["", "a=b"])
def test_labels_that_no_image_has(name):
    assert "label" in next(iter(problems({}, labels={name: "x"}).values()))
