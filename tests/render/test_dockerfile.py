"""Dockerfiles of every base: as they were reviewed, as linters like them, and as builders read them."""

import json
import os
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from dockerfile_parse import DockerfileParser

from bentod.plan.image import CondaPlan
from bentod.render.dockerfile import dockerfile, dockerignore
from bentod.render.recipes import Unwritable
from bentod.spec import bases
from tests.support.dockerfiles import read
from tests.support.images import DIGEST, EVERYTHING, LOCKED, PLAIN, WITH_PACKAGES, plans

ROOT = Path(__file__).parents[2]
CASES = ROOT / "tests" / "cases" / "dockerfile"
PLANS = plans()
every_plan = pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
needs_hadolint = pytest.mark.skipif(shutil.which("hadolint") is None, reason="hadolint is not installed")


def runs(text, stage):
    return [one for one in read(text).stages()[stage] if one.keyword == "RUN"]


def scripts(text, stage):
    return [" ".join(one.words) for one in runs(text, stage)]


def test_golden_files():
    """`UPDATE_CASES=1` rewrites them; review the difference."""
    texts = {f"{name}.dockerfile": dockerfile(plan) for name, plan in PLANS.items()}
    texts["debian-packages-uncached.dockerfile"] = dockerfile(WITH_PACKAGES, cache=False, syntax=True)
    texts["everything.dockerignore"] = dockerignore(EVERYTHING)
    if os.environ.get("UPDATE_CASES"):
        shutil.rmtree(CASES, ignore_errors=True)
        CASES.mkdir()
        for name, text in texts.items():
            (CASES / name).write_text(text, encoding="utf-8")
    assert {path.name: path.read_text("utf-8") for path in CASES.iterdir()} == texts


@needs_hadolint
def test_hadolint_finds_nothing():
    files = sorted(CASES.glob("*.dockerfile"))
    command = ["hadolint", "--config", ROOT / ".hadolint.yaml", "--no-color", *files]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.stdout + done.stderr, done.returncode) == ("", 0)
    assert len(files) > 30


@every_plan
def test_a_parser_of_others_reads_the_same(plan, tmp_path):
    text = dockerfile(plan)
    (tmp_path / "Dockerfile").write_text(text, encoding="utf-8")
    theirs = DockerfileParser(path=str(tmp_path))
    ours = read(text)
    found = [one["instruction"] for one in theirs.structure if one["instruction"] != "COMMENT"]
    assert found == [one.keyword for one in ours.instructions]
    assert theirs.labels == ours.assigned("LABEL", "final")


@every_plan
@pytest.mark.parametrize("cache", [True, False])
def test_every_image_is_started_in_the_same_way(plan, cache):
    text = dockerfile(plan, cache=cache)
    file = read(text)
    final = file.stages()["final"]
    assert file.directives == {}
    assert next(iter(file.stages())) in {"base", "python", "micromamba"}
    assert [one.words for one in final if one.keyword == "USER"] == [(plan.user,)]
    assert final[0].words[0] == "base"
    start, files = final[-1], [word for file in plan.specs for word in ("-f", f"/app/{file}")]
    assert (start.keyword, start.words) == ("ENTRYPOINT", ("bentod", "up", *files))
    assert final[-2].words == ("bentod", "health", *files)
    assert final[-2].keyword == "HEALTHCHECK"
    assert file.assigned("ENV", "final")["BENTOD_LISTEN"] == "0.0.0.0:${PORT:-3000}"
    assert ("--mount=type=cache" in text) == cache
    assert "ADD" not in [one.keyword for one in file.instructions]


@every_plan
def test_what_builds_stays_behind(plan):
    """The last stage runs nothing but what the spec says, and has nothing of the stage before but the packages."""
    final = read(dockerfile(plan)).stages()["final"]
    assert [one.words for one in final if one.keyword == "RUN"] == list(plan.run)
    assert [one.words for one in final if "--from=build" in one.flags] == [("/opt/venv", "/opt/venv")]
    shared = " ".join(scripts(dockerfile(plan), "base"))
    assert not re.search(r"\bpip\b|build-essential|build-base|\bgcc\b|-devel|\bgit\b", shared)


@every_plan
def test_secrets_are_mounted_where_something_is_installed_and_written_nowhere(plan):
    file = read(dockerfile(plan))
    used = [one for one in file.instructions if any("type=secret" in flag for flag in one.flags)]
    names = {re.search("id=([^,]+)", flag)[1] for one in used for flag in one.flags if "type=secret" in flag}
    assert names == set(plan.secrets)
    assert all(one.keyword == "RUN" for one in used)
    if plan.secrets:
        installs = [one for one in file.all("RUN") if "install" in one.words and "--python" in one.words]
        assert all(one in used for one in [*installs, *runs(dockerfile(plan), "final")])
        assert all(one.words[0] == "env" for one in installs)
        told = {"PIP_CONFIG_FILE=/run/secrets/pip.conf", "NETRC=/run/secrets/netrc", "PIP_CERT=/run/secrets/ca.pem"}
        assert all(told <= set(one.words) for one in installs)
    environ = file.assigned("ENV", "final")
    assert not [name for name in environ if "PIP" in name or "NETRC" in name]


def test_the_same_plan_gives_the_same_bytes_whatever_the_order_of_maps():
    turned = replace(
        EVERYTHING,
        env=dict(reversed(EVERYTHING.env.items())),
        labels=dict(reversed(EVERYTHING.labels.items())),
        secrets=EVERYTHING.secrets[::-1],
    )
    code = "from tests.support.images import EVERYTHING; from bentod.render.dockerfile import dockerfile; "
    command = ["python3", "-c", f"{code}print(dockerfile(EVERYTHING), end='')"]
    environ = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONIOENCODING": "utf-8", "TZ": "Asia/Tokyo"}
    other = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, encoding="utf-8").stdout
    assert dockerfile(turned) == dockerfile(EVERYTHING) == other


def test_the_frontend_is_named_only_if_asked_for_and_then_first():
    assert read(dockerfile(PLAIN, syntax=True)).directives == {"syntax": "docker/dockerfile:1.2"}
    assert dockerfile(PLAIN, syntax=True) == "# syntax=docker/dockerfile:1.2\n" + dockerfile(PLAIN)


def test_what_the_spec_says_of_the_environment_wins():
    environ = read(dockerfile(EVERYTHING)).assigned("ENV", "final")
    assert environ["LANG"] == "de_DE.UTF-8"
    assert environ["GREETING"] == EVERYTHING.env["GREETING"]
    assert [line for line in dockerfile(EVERYTHING).splitlines() if line.startswith("ENV LANG=")] == [
        "ENV LANG=de_DE.UTF-8"
    ]


@pytest.mark.parametrize(
    ("lines", "tools"),
    [
        ((), ()),
        (("# numpy", "", "--hash=x"), ()),
        (("numpy",), ("build-essential",)),
        (("x @ https://e.org/x-1-py3-none-any.whl",), ()),
        (("x @ https://e.org/x-1-py3-none-any.whl#sha256=1",), ()),
        (("x @ https://e.org/x-1.tar.gz",), ("build-essential",)),
        (("x @ git+https://e.org/x@1",), ("build-essential", "git")),
        (("git+ssh://e.org/x",), ("build-essential", "git")),
        (("digit+x",), ("build-essential",)),
    ],
)
def test_compilers_and_git_are_there_if_a_requirement_may_need_them(lines, tools):
    words = [one.words for one in runs(dockerfile(replace(PLAIN, requirements=lines)), "build")]
    assert words[0][4:] == tools if tools else "apt-get" not in str(words)


@pytest.mark.parametrize("line", ["hg+https://e.org/x", "x @ svn+https://e.org/x", "x @ bzr+lp:x"])
def test_other_ways_to_get_sources_are_refused(line):
    with pytest.raises(Unwritable, match="git"):
        dockerfile(replace(PLAIN, requirements=(line,)))


def test_a_lock_is_all_there_is():
    one, two = scripts(dockerfile(LOCKED), "build")[-2:]
    assert "--no-deps --require-hashes --requirement /build/requirements.txt" in one
    assert two.endswith(f"--no-deps /build/{LOCKED.wheel}")


def test_a_base_is_pinned_by_its_digest():
    assert f"FROM python:3.12-slim-bookworm@{DIGEST} AS base" in dockerfile(replace(PLAIN, base_digest=DIGEST))
    named = replace(PLAIN, base_image=f"x@{DIGEST}", base_digest="sha256:" + "0" * 64)
    assert f"FROM x@{DIGEST} AS base" in dockerfile(named)


@pytest.mark.parametrize("stage", ["base", "build", "final", "python"])
def test_an_image_is_never_taken_for_a_stage(stage):
    assert dockerfile(replace(PLAIN, base_image=stage)).count(f"FROM {stage} AS base") == 1


def test_models_are_layers_of_their_own_before_the_code():
    copies = [one.words for one in read(dockerfile(EVERYTHING)).stages()["final"] if one.keyword == "COPY"]
    assert copies[1:] == [
        ("models/bert/", "/models/bert/"),
        ("models/tokenizer/", "/models/tokenizer/"),
        ("models/baked.json", "/models/baked.json"),
        ("src/", "/app/"),
    ]


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("bake", {}),
        ("mount", {"BENTOD_MODELS": "/models", "HF_HOME": "/models/huggingface"}),
        ("fetch", {"BENTOD_MODELS": "/tmp/bentod-models", "HF_HOME": "/tmp/huggingface"}),
    ],
)
def test_an_image_says_where_models_are(mode, expected):
    environ = read(dockerfile(replace(PLAIN, models_mode=mode))).assigned("ENV", "final")
    assert {name: value for name, value in environ.items() if "MODELS" in name or "HF" in name} == expected


@pytest.mark.parametrize(
    "said",
    [
        {"distro": "alpine", "cuda": "12.8.1"},
        {"distro": "amazonlinux", "cuda": "12.8.1"},
        {"distro": "ubi", "python": "3.13"},
        {"base_image": "a b"},
        {"base_image": "a\nRUN x"},
        {"base_image": "--platform=x"},
        {"base_image": "$x"},
        {"base_digest": "sha256:1"},
        {"wheel": "x y.whl"},
        {"wheel": "../x.whl"},
        {"wheel": "*.whl"},
        {"models": ("..",)},
        {"models": ("a/b",)},
        {"models": ("-x",)},
        {"models": ("a b",)},
        {"user": "root"},
        {"index_url": "https://user:secret@e.org/simple"},
        {"index_url": "file:///etc"},
        {"index_url": "https://e.org/ --pre"},
        {"extra_index_urls": ("--pre",)},
        {"system_packages": ("--allow-unauthenticated",)},
        {"system_packages": ("a b",)},
        {"system_packages": ("a;id",)},
        {"system_packages": ("$(id)",)},
        {"system_packages": ("bash-",)},
        {"system_packages": ("./x.deb",)},
        {"system_packages": ("",)},
        {"system_packages": ("a\nb",)},
        {"distro": "alpine", "system_packages": ("@x",)},
        {"distro": "alpine", "system_packages": ("!bash",)},
        {"distro": "ubi", "system_packages": ("@development",)},
        {"distro": "amazonlinux", "system_packages": ("*",)},
        {"base_image": "x", "system_packages": ("-x",)},
        {"run": ((),)},
        {"run": (("",),)},
        {"run": (("a\0",),)},
        {"secrets": ("a,required=false",)},
        {"env": {"A B": "x"}},
        {"labels": {"": "x"}},
        {"specs": ("a\nb.yaml",)},
        {"conda": CondaPlan(dependencies=("--file=/etc/passwd",))},
        {"conda": CondaPlan(dependencies=("a\nb",))},
        {"conda": CondaPlan(channels=("-c",), dependencies=("a",))},
    ],
    ids=str,
)
def test_what_no_dockerfile_should_say_is_refused(said):
    with pytest.raises(Unwritable) as caught:
        dockerfile(replace(PLAIN, **said))
    assert "secret" not in str(caught.value).replace("build.secrets", "").replace("of a secret", "")


@pytest.mark.parametrize("wheel", ["../x", "a b", "x\n*", "!x", "*"])
def test_a_dockerignore_names_plain_paths(wheel):
    with pytest.raises(Unwritable):
        dockerignore(replace(PLAIN, wheel=wheel))


@every_plan
def test_a_dockerignore_keeps_what_is_copied_and_nothing_else(plan):
    rules = [line for line in dockerignore(plan).splitlines() if not line.startswith("#")]
    assert rules[0] == "*"
    kept = [rule.removeprefix("!") for rule in rules[1:]]
    file = read(dockerfile(plan))
    copied = [word for one in file.all("COPY") if not one.flags for word in one.words[:-1]]
    assert all(any(f"{word}/".startswith(f"{keep}/") for keep in kept) for word in copied)
    assert all(any(f"{word}/".startswith(f"{keep}/") for word in copied) for keep in kept)


def test_scripts_of_shells_are_constants():
    """What comes from a spec is an argument of a script, never a part of it."""
    marked = replace(EVERYTHING, base_digest="", system_packages=("marked1",), run=(("marked2",),))
    for said in ({}, {"distro": "alpine"}, {"distro": "ubi"}, {"distro": "amazonlinux"}, {"base_image": "marked3"}):
        text = dockerfile(replace(marked, **said))
        shells = [one.words for one in read(text).all("RUN") if one.words[:2] == ("/bin/sh", "-ec")]
        assert shells
        assert not [words for words in shells if "marked" in words[2]]
        assert any("marked1" in words[4:] for words in shells)


def test_every_version_of_python_and_cuda_has_a_base():
    for python in ("3.11", "3.12", "3.13", "3.14"):
        for distro in ("debian", "alpine", "amazonlinux"):
            assert "FROM" in dockerfile(replace(PLAIN, python=python, distro=distro))
        for cuda in bases.CUDA:
            text = dockerfile(replace(PLAIN, python=python, cuda=cuda))
            assert f"FROM nvidia/cuda:{cuda}-cudnn-runtime-ubuntu24.04 AS base" in text
            assert f"FROM python:{python}-slim-bookworm AS python" in text


def test_json_of_commands_is_json_of_other_languages_too():
    """No NaN, no single quotes, no lone halves of characters."""
    for line in dockerfile(EVERYTHING).splitlines():
        if line.startswith(("RUN", "COPY", "ENTRYPOINT")):
            assert json.loads(line[line.index("[") :])
