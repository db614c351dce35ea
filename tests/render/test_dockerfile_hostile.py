"""No value of a plan, and none of a spec, changes what a Dockerfile says besides that value."""

import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from bentod.errors import SpecError
from bentod.plan.image import CondaPlan
from bentod.plan.image_build import ImageFacts, image_plan
from bentod.render.dockerfile import dockerfile, dockerignore
from bentod.render.recipes import Unwritable
from bentod.spec.model import Spec
from tests.support.dockerfiles import read
from tests.support.images import EVERYTHING, PLAIN

NASTY = [
    *"\"'\\%$`{}[]#&*!|>@:;,?=~ \t-.0<é\ufeff🍱\u200b\u202e", "\n", "\r", "\0", "\x85", "\u2028", "\ud800",
    "$HOME", "${PATH}", "${x:-y}", "<<EOF", "\nRUN id", "\\\n", "--mount=type=bind", "-o", "/../", "# syntax=a/b:1\n",
    "# escape=`\n", "AS base", "base", "build", "\"]\nRUN [\"id", "'\n", "a", "b1", "x=y",
]  # fmt: skip
BYTES = st.binary(max_size=14)
"""Three texts; one drawn value is several times as fast as three lists."""


def texts(data):
    """Each byte is a piece; 0 ends a text."""
    found = ["".join(NASTY[byte % len(NASTY)] for byte in part) for part in data.split(b"\0", 2)]
    return [*found, "", ""][:3]


BASES = [
    {"distro": "debian"}, {"distro": "alpine"}, {"distro": "ubi"}, {"distro": "amazonlinux"}, {"cuda": "12.8.1"},
    {"distro": "ubi", "cuda": "13.0.2"}, {"conda": CondaPlan(dependencies=("numpy",))},
    {"conda": CondaPlan(environment="environment.yml")}, {"base_image": "python:3.12-slim", "python": ""},
]  # fmt: skip
FULL = replace(EVERYTHING, base_digest="", secrets=("netrc",), env={"GREETING": "a", "A": "b"})
CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def shape(file):
    """The file without the words that come from a spec: what no value may change. Labels are counted elsewhere."""
    return [(one.keyword, one.flags) for one in file.instructions if one.keyword != "LABEL"]


SHAPES = {(index, cache): shape(read(dockerfile(replace(FULL, **said), cache=cache)))
          for index, said in enumerate(BASES) for cache in (True, False)}  # fmt: skip


@settings(max_examples=6000)
@given(BYTES, st.integers(0, len(BASES) * 2 - 1))
def test_values_mean_themselves(data, number):
    """Where any text may stand, it comes back as it was, or is refused because of a control character."""
    one, two, three = texts(data)
    index, cache = divmod(number, 2)
    run = ((f"p{one}", two, three), ("nltk", one))
    plan = replace(FULL, **BASES[index], run=run, specs=(f"a{two}", f"{three}.yaml"))
    plan = replace(plan, env={"GREETING": one, "A": two}, labels={"a.b": two, "c": three, "d": one})
    if CONTROLS.search(one + two + three):
        with pytest.raises(Unwritable):
            dockerfile(plan, cache=bool(cache))
        return
    file = read(dockerfile(plan, cache=bool(cache)))
    assert not file.directives
    final = file.stages()["final"]
    assert [words.words for words in final if words.keyword == "RUN"] == list(run)
    environ, labels = file.assigned("ENV", "final"), file.assigned("LABEL", "final")
    assert labels == dict(plan.labels)
    assert {name: environ[name] for name in plan.env} == dict(plan.env)
    assert final[-1].words == ("bentod", "up", "-f", f"/app/a{two}", "-f", f"/app/{three}.yaml")
    assert shape(file) == SHAPES[index, bool(cache)]


PLACES = {
    "base_image": lambda text: {"base_image": text},
    "base_digest": lambda text: {"base_digest": text},
    "wheel": lambda text: {"wheel": text},
    "user": lambda text: {"user": text},
    "index_url": lambda text: {"index_url": text},
    "extra_index_urls": lambda text: {"extra_index_urls": (text,)},
    "system_packages": lambda text: {"system_packages": (text,)},
    "models": lambda text: {"models": (text,)},
    "secrets": lambda text: {"secrets": (text,)},
    "conda.channels": lambda text: {"conda": CondaPlan(channels=(text,), dependencies=("a",))},
    "conda.dependencies": lambda text: {"conda": CondaPlan(dependencies=(text,))},
    "env name": lambda text: {"env": {text: "x"}},
    "label name": lambda text: {"labels": {text: "x"}},
    "python": lambda text: {"python": text},
    "cuda": lambda text: {"cuda": text},
    "requirements": lambda text: {"requirements": (text,)},
}


@settings(max_examples=3000)
@given(BYTES, st.integers(0, len(PLACES) * 4 * 8 - 1))
def test_what_is_named_is_a_name_or_refused(data, number):
    """Where only names may stand, the file has the shape that it has with a harmless one."""
    text, (rest, number) = texts(data)[0], divmod(number, 8)
    before, place = ("", "a", "a1.", "https://a/")[rest % 4], sorted(PLACES)[rest // 4]
    said = {**(BASES[number] if place not in {"base_image", "conda.channels", "conda.dependencies"} else {})}
    plan = replace(PLAIN, **{**said, **PLACES[place](before + text)})
    try:
        written = dockerfile(plan)
        ignored = dockerignore(plan).splitlines()
    except Unwritable:
        return
    file = read(written)
    assert not file.directives
    flags = {flag for one in file.instructions for flag in one.flags}
    known = r"--(from=(base|build|python|micromamba)|mount=type=(cache,target=/[a-z/.]+(,sharing=locked)?"
    known += r"|secret,id=[A-Za-z0-9_.-]+,required=true)|interval=10s|timeout=6s|start-period=60s|retries=3)"
    assert not [flag for flag in flags if not re.fullmatch(known, flag)]
    assert [one.keyword for one in file.all("FROM")] == ["FROM"] * len(file.stages())
    assert list(file.stages())[-3:] == ["base", "build", "final"]
    assert [one.words for one in file.stages()["final"] if one.keyword == "USER"] == [(plan.user,)]
    assert not [
        one for one in file.all("RUN") if one.words[0] not in RUNNABLE and not one.words[0].startswith("python")
    ]
    assert all(re.fullmatch(r"\*|#.*|![A-Za-z0-9./_+-]+", line) and "/../" not in f"{line[1:]}/" for line in ignored)


RUNNABLE = {"/bin/sh", "env", "ldconfig", "micromamba", "/opt/pip/bin/pip", "/opt/venv/bin/python"}


@settings(max_examples=1500)
@given(BYTES, st.integers(0, 15))
def test_a_spec_says_no_more_than_it_says(data, number):
    """The same from the spec on: what its reader lets pass is written, or refused as a whole."""
    one, two, three = texts(data) if number < 4 else (CONTROLS.sub("", text) for text in texts(data))
    build = {
        "distro": ("debian", "alpine", "ubi", "amazonlinux")[number % 4],
        "python": "3.12",
        "env": {"A": one, "B": two},
        "labels": {"a.b": three},
        "run": [["python", one, two], [f"x{three}", ""]],
        "system_packages": [two] if number & 12 == 4 else [],
        "secrets": [three] if number == 1 else [],
    }
    said = {
        "bentod": 1,
        "name": "app",
        "version": f"1{one}",
        "description": two,
        "labels": {f"l{three}": one, "plain": two},
        "apis": {"a": {"target": "x:y"}},
        "build": build,
    }
    try:
        spec = Spec.model_validate({**said, "services": {"s": {"target": "x"}}, "apis": {"a": {"service": "s"}}})
        text = dockerfile(image_plan(spec, ImageFacts("0.1.0", specs=(f"{one}.yaml",))))
    except (ValidationError, SpecError, Unwritable):
        return
    file = read(text)
    labels = file.assigned("LABEL", "final")
    assert labels["org.opencontainers.image.version"] == f"1{one}"
    assert labels["plain"] == two
    assert labels[f"l{three}"] == one
    assert labels["a.b"] == three
    assert labels.get("org.opencontainers.image.description", "") == " ".join(two.split())
    assert [one.words for one in file.stages()["final"] if one.keyword == "RUN"] == [
        ("python", one, two),
        (f"x{three}", ""),
    ]
    assert file.instructions[-1].words == ("bentod", "up", "-f", f"/app/{one}.yaml")
