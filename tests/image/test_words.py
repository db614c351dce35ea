"""What is said to engines: names of images, secrets, command lines, and what of it is refused before."""

import shlex

import pytest

from bentod.errors import Problem
from bentod.image import commands, references, secrets
from bentod.image.child import shown
from bentod.image.context import Context
from bentod.image.dockerfile import images, unknown
from bentod.image.order import FOLDER, NoEngine, Order
from bentod.image.secrets import Secret, Veil, parsed


def order(**given):
    return Order(**{"context": Context(()), "dockerfile": "FROM scratch\n", "tags": ("app:1",), **given})


@pytest.mark.parametrize(
    "name",
    [
        "app",
        "app:1.0",
        "team/app:v_1",
        "localhost:5000/a/b:x",
        "reg.example.com/a-b__c.d:latest",
        "[::1]:5000/app:1",
        "A.io/b",
    ],
)
def test_names_of_images(name):
    assert references.why_not(name) == ""


@pytest.mark.parametrize(
    "name",
    [
        "",
        "App",
        "a b",
        "-t",
        "app:",
        "app:-x",
        "app:" + "x" * 129,
        "app:1\nRUN x",
        "app@sha256:" + "0" * 64,
        "a//b",
        "a/",
        "/a",
        "a..b",
        "a_-b",
        "ä",
        "app:ü",
        "$(id)",
        "a" * 300,
        "a:b:c",
        "--push",
        "a\0",
    ],
)
def test_what_is_no_name_of_an_image(name):
    problems = references.problems([name])
    assert [problem.code for problem in problems] == ["bad-tag"]
    assert problems[0].message.isprintable()


def test_names_are_split_where_the_tag_begins():
    assert references.split("localhost:5000/app") == ("localhost:5000/app", "latest")
    assert references.full("localhost:5000/app:1") == "localhost:5000/app:1"
    assert references.full("app") == "app:latest"


@pytest.mark.parametrize(
    ("version", "tag"), [("1.0.0", "1.0.0"), ("1.0+cpu", "1.0-cpu"), ("ä", ""), (".x", ""), ("1 2", ""), ("", "")]
)
def test_versions_as_tags(version, tag):
    assert references.tag_of(version) == tag


def test_build_arguments():
    assert references.arguments(["A=1=2", "B=", "C"], {"C": "3"}) == {"A": "1=2", "B": "", "C": "3"}
    for wrong in ("=1", "A B=1", "--x=1", "A=1\n2", "MISSING"):
        assert isinstance(references.arguments([wrong], {}), Problem)


@pytest.mark.parametrize("one", ["linux", "linux/amd64,x", "--x/y", "linux/amd64\n", "LINUX/amd64", "a/b/c/d"])
def test_what_is_no_platform(one):
    assert [problem.code for problem in references.platform_problems([one])] == ["bad-platform"]
    assert references.platform_problems(["linux/amd64", "linux/arm/v7"]) == []


def test_secrets_are_files_or_variables(tmp_path):
    file = tmp_path / "f"
    assert parsed(f"id=pip,src={file}") == Secret("pip", file)
    assert parsed(f"id=pip,type=file,source={file}") == Secret("pip", file)
    assert parsed("id=TOKEN") == Secret("TOKEN", None, "TOKEN")
    assert parsed("id=pip,env=TOKEN").argument == "id=pip,env=TOKEN"


@pytest.mark.parametrize(
    "text", ["", "pip", "id=", "id=a b", "id=x,src=", "id=x,src=a,env=b", "id=x,what=y", "id=x,env=A-B", "id=x,id=y"]
)
def test_what_is_no_secret_is_told_without_what_might_be_one(text):
    problem = parsed(text + ("" if "," in text else ",token=hunter22"))
    assert problem.code == "bad-secret"
    assert "hunter22" not in problem.message


def test_secrets_are_those_that_the_spec_names_and_have_values(tmp_path):
    large = tmp_path / "large"
    large.write_bytes(bytes(600 * 1024))
    given = (Secret("a", None, "A"), Secret("b", tmp_path / "no"), Secret("big", large), Secret("c", None, "C"))
    found = [problem.message for problem in secrets.problems(given, ("a", "b", "big", "d"), {"C": "1"})]
    assert len(found) == 5
    for word in (
        "needs the secret `d`",
        "uses the secret `c`",
        "variable A is not set",
        "there is no file",
        "larger than 500 KiB",
    ):
        assert any(word in message for message in found), word
    assert secrets.problems((Secret("c", None, "C"),), ("c",), {"C": ""}) == []


def test_values_of_secrets_are_taken_out_of_what_is_told(tmp_path):
    conf = tmp_path / "pip.conf"
    conf.write_text("[global]\nindex-url = https://me:s3cretpass@pypi.example.com/simple\npassword: hunter2hunter2\n")
    veil = Veil(
        (Secret("conf", conf), Secret("t", None, "TOKEN"), Secret("s", None, "SHORT")),
        {"TOKEN": "ghp_abcdef", "SHORT": "a"},
    )
    said = veil.over(
        "Looking in https://me:s3cretpass@pypi.example.com/simple with ghp_abcdef and hunter2hunter2 [global] a"
    )
    for value in ("s3cretpass", "ghp_abcdef", "hunter2"):
        assert value not in said
    assert "[global] a" in said
    assert Veil((), {}).over("x") == "x"


FULL = {
    "tags": ("app:1", "reg.io/app:2"),
    "secrets": (Secret("pip", None, "TOKEN"),),
    "build_args": {"A": "x y", "B": "$(id)"},
    "no_cache": True,
    "network": "host",
    "push": True,
}


def test_every_command_line_says_all_that_was_asked():
    for make in (commands.docker, commands.buildx, commands.podman, commands.buildah, commands.buildctl):
        argv = [word for command in make(order(**FULL, platforms=("linux/arm64",))) for word in command.argv]
        for word in ("linux/arm64", "app:1", "reg.io/app:2", "id=pip,env=TOKEN", "A=x y", "B=$(id)", "--no-cache"):
            assert any(word in part for part in argv), (make, word)
        assert any("push" in part for part in argv)
        assert "host" in " ".join(argv)


def test_words_stay_words_when_a_command_line_is_shown():
    command = commands.podman(order(build_args={"A": "'; rm -rf /"}))[0]
    assert shlex.split(shown(command)) == [word.replace(FOLDER, "CONTEXT") for word in command.argv]


def test_podman_s_images_have_a_health_check():
    argv = commands.podman(order())[0].argv
    assert argv[argv.index("--format") + 1] == "docker"


def test_several_platforms_are_one_manifest_or_refused():
    both = order(platforms=("linux/amd64", "linux/arm64"), tags=("a:1", "b:1"))
    with pytest.raises(NoEngine, match="--push"):
        commands.buildx(both)
    with pytest.raises(NoEngine, match="one platform"):
        commands.docker(both)
    lines = [shown(command) for command in commands.podman(order(platforms=both.platforms, tags=both.tags, push=True))]
    assert "--manifest a:1 --platform linux/amd64,linux/arm64" in lines[0]
    assert lines[1:] == [
        "podman tag a:1 b:1",
        "podman manifest push --all a:1 docker://a:1",
        "podman manifest push --all a:1 docker://b:1",
    ]


def test_the_images_that_a_dockerfile_needs():
    lines = [
        "# syntax=docker/dockerfile:1.2",
        "ARG PY=3.11",
        "FROM --platform=linux/amd64 python:${PY}-slim AS base",
        "FROM base AS build",
        "RUN --mount=type=bind,from=reg/x:1,target=/x \\",
        "  --mount=type=cache,target=/c true",
        "FROM scratch",
        "COPY --from=build /a /a",
        "COPY --from=ghcr.io/uv:1 /uv /uv",
        "COPY --from=0 /b /b",
    ]
    expected = ("docker/dockerfile:1.2", "python:3.12-slim", "reg/x:1", "ghcr.io/uv:1")
    assert images("\n".join(lines), {"PY": "3.12"}) == expected


def test_lines_that_are_no_instruction_are_found():
    assert unknown('FROM x\n\n# y\nRUN ["a", \\\n  "b"]\nENV A=1\n') == []
    assert unknown("FROM x\nRUM y\nfoo\n") == ["RUM y", "foo"]
