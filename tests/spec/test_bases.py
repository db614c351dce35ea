"""Which images there are to begin with, and what their packages are called."""

import re

import pytest

from bentod.spec import bases
from bentod.spec.report import Fault

PYTHONS = ("3.11", "3.12", "3.13", "3.14")
DOCS = "docs/images.md"


@pytest.mark.parametrize(
    ("distro", "python", "cuda", "image", "interpreter"),
    [
        ("debian", "3.11", "", "python:3.11-slim-bookworm", "python3"),
        ("debian", "3.14", "", "python:3.14-slim-bookworm", "python3"),
        ("debian", "3.13", "12.9.1", "nvidia/cuda:12.9.1-cudnn-runtime-ubuntu24.04", "python3"),
        ("alpine", "3.13", "", "python:3.13-alpine3.22", "python3"),
        ("ubi", "3.11", "", "registry.access.redhat.com/ubi9/ubi-minimal:9.8", "python3.11"),
        ("ubi", "3.14", "13.0.2", "nvidia/cuda:13.0.2-cudnn-runtime-ubi9", "python3.14"),
        ("amazonlinux", "3.13", "", "amazonlinux:2023", "python3.13"),
    ],
)
def test_the_base_of_a_distribution(distro, python, cuda, image, interpreter):
    found = bases.base_of(distro, python, cuda)
    assert (found.image, found.python) == (image, interpreter)


@pytest.mark.parametrize(
    ("distro", "python", "cuda", "said"),
    [("alpine", "3.12", "12.8.1", "NVIDIA"), ("amazonlinux", "3.12", "12.8.1", "NVIDIA"), ("ubi", "3.13", "", "UBI 9")],
)
def test_what_does_not_exist_is_said(distro, python, cuda, said):
    with pytest.raises(Fault, match=said) as caught:
        bases.base_of(distro, python, cuda)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("short", "full"),
    [
        ("12", "12.9.1"),
        ("12.8", "12.8.1"),
        ("12.8.0", "12.8.0"),
        ("13", "13.3.1"),
        ("13.0", "13.0.2"),
        *((one, one) for one in bases.CUDA),
    ],
)
def test_short_versions_of_cuda_are_the_newest_that_begin_so(short, full):
    assert bases.full_cuda(short) == full


@pytest.mark.parametrize("short", ["", "1", "11", "11.8", "12.7", "12.80", "12.8.10", "12.8.1.0", "14", "x", "012"])
def test_other_versions_of_cuda_are_refused_with_those_that_exist(short):
    with pytest.raises(Fault) as caught:
        bases.full_cuda(short)
    assert "12.8.1" in caught.value.hint


@pytest.mark.parametrize(
    ("manager", "names"),
    [
        ("apt", ["libgomp1", "g++", "libstdc++6", "libssl3:arm64", "libgomp1=12.2.0-14", "xz=1:2.0~rc1+b1-1"]),
        ("apk", ["libgomp", "g++", "py3-numpy=1.2-r0", "libgomp~14", "libgomp=~14", "build-deps"]),
        ("dnf", ["libgomp", "gcc-c++", "libgomp-11.5.0-5.el9.x86_64", "python3.12"]),
        ("microdnf", ["libgomp"]),
        ("found", ["libgomp1=12", "libgomp~14", "gcc-c++"]),
    ],
)
def test_names_of_packages(manager, names):
    for name in names:
        bases.check_package(manager, name)


@pytest.mark.parametrize("manager", ["apt", "apk", "dnf", "microdnf", "found"])
@pytest.mark.parametrize(
    "name",
    [
        "",
        "-y",
        "--force",
        "a b",
        "a;b",
        "$(id)",
        "a\n",
        "a\0",
        "./a",
        "/a",
        "@a",
        "!a",
        "*",
        "a*",
        "a|b",
        "é",
        "a'",
        "`a`",
    ],
)
def test_what_is_no_name_of_a_package(manager, name):
    with pytest.raises(Fault):
        bases.check_package(manager, name)


@pytest.mark.parametrize("name", ["bash-", "Bash", "a_b", "a=", "a=-1", "a/stable"])
def test_what_apt_would_take_for_something_else(name):
    with pytest.raises(Fault):
        bases.check_package("apt", name)


def test_the_table_in_the_docs_is_the_one_in_the_code(request):
    text = (request.config.rootpath / DOCS).read_text("utf-8")
    for python in PYTHONS:
        for distro in ("debian", "alpine", "ubi", "amazonlinux"):
            if (distro, python) != ("ubi", "3.13"):
                image = bases.base_of(distro, python).image.replace(python, "X.Y")
                assert f"`{image}`" in text
    assert set(re.findall(r"`(1[0-9]\.[0-9]+\.[0-9]+)`", text)) >= set(bases.CUDA)
    assert f"`{bases.MICROMAMBA}`" in text
