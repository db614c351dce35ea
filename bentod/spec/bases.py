"""What an image is made from: the base for each distribution, Python and CUDA. docs/images.md names the sources."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Literal

from bentod.spec.report import Fault

Manager = Literal["apt", "apk", "dnf", "microdnf", "found"]
"""What installs packages of the distribution. `found`: the first of the others that the image has."""

CUDA = (
    "12.6.2", "12.6.3", "12.8.0", "12.8.1", "12.9.0", "12.9.1", "13.0.0", "13.0.1", "13.0.2",
    "13.1.1", "13.2.0", "13.2.1", "13.3.0", "13.3.1",
)  # fmt: skip
"""Versions of CUDA, oldest first."""

MICROMAMBA = "mambaorg/micromamba:2.5.0-debian12-slim"

_ALPINE = "3.22"
_UBI = "registry.access.redhat.com/ubi9/ubi-minimal:9.8"
_UBI_PYTHONS = ("3.11", "3.12", "3.14")
_AMAZON = "amazonlinux:2023"
_DEBIAN = "debian:bookworm-slim"
_UBUNTU_FOR_PYTHON = (
    "ca-certificates",
    "libbz2-1.0",
    "libexpat1",
    "libffi8",
    "liblzma5",
    "libncursesw6",
    "libreadline8t64",
    "libsqlite3-0",
    "libssl3t64",
    "libuuid1",
    "netbase",
    "tzdata",
    "zlib1g",
)
"""What the Python of `python:X.Y-slim` is linked with, as Ubuntu 24.04 calls it."""

_NAMES: dict[Manager, tuple[re.Pattern[str], str]] = {
    "apt": (
        re.compile(r"[a-z0-9][a-z0-9+.-]*[a-z0-9+.](:[a-z0-9]+)?(=[A-Za-z0-9][A-Za-z0-9.+:~-]*)?"),
        "`libgomp1=12`",
    ),
    "apk": (re.compile(r"[A-Za-z0-9][A-Za-z0-9+._-]*(=?[=~][A-Za-z0-9][A-Za-z0-9._-]*)?"), "`libgomp~14`"),
    "dnf": (re.compile(r"[A-Za-z0-9][A-Za-z0-9+._:~-]*"), "`libgomp-11.5.0`"),
}
_NAMES["microdnf"] = _NAMES["dnf"]
_NAMES["found"] = (re.compile("|".join(pattern.pattern for pattern, _ in _NAMES.values())), "`libgomp1`")

MANAGERS: dict[str, Manager] = {"debian": "apt", "alpine": "apk", "ubi": "microdnf", "amazonlinux": "dnf"}
"""What installs packages, for each distribution. With CUDA, `ubi` has dnf; names are the same."""


@dataclass(frozen=True, slots=True)
class Base:
    """An image to begin with. `python`: the interpreter's name there, once `packages` are installed. `compilers` and
    `git` are packages that only the building of packages needs. Two images may give files: `python_image` has Python in
    /usr/local, `micromamba_image` has micromamba."""

    image: str
    manager: Manager
    python: str = "python3"
    packages: tuple[str, ...] = ()
    compilers: tuple[str, ...] = ()
    git: str = "git"
    python_image: str = ""
    micromamba_image: str = ""


def base_of(distro: str, python: str, cuda: str = "") -> Base:
    """The base for this distribution, Python and full version of CUDA. Raises Fault if there is none."""
    if distro == "debian":
        return _debian(python, cuda)
    if cuda and distro != "ubi":
        raise Fault("wrong-value", f"NVIDIA has no image of CUDA for `{distro}`", "`debian` and `ubi` have one")
    if distro == "alpine":
        image = f"python:{python}-alpine{_ALPINE}"
        return Base(image, "apk", compilers=("build-base", "linux-headers"))
    if distro == "ubi" and python not in _UBI_PYTHONS:
        raise Fault("wrong-value", f"UBI 9 has no Python {python}", f"one of {', '.join(_UBI_PYTHONS)}")
    if distro == "ubi":
        return _of_rpms(f"nvidia/cuda:{cuda}-cudnn-runtime-ubi9" if cuda else _UBI, python, bool(cuda))
    return _of_rpms(_AMAZON, python, with_dnf=True)


def named(image: str) -> Base:
    """The base that a user named: it has Python, a shell, and whatever else is needed."""
    return Base(image, "found")


def conda() -> Base:
    """The base for what conda installs: conda brings Python and all its libraries."""
    made = Base(_DEBIAN, "apt", "/opt/venv/bin/python", ("ca-certificates",), ("build-essential",))
    return replace(made, micromamba_image=MICROMAMBA)


def full_cuda(text: str) -> str:
    """The newest version of CUDA that begins with `text`. Raises Fault."""
    if found := [version for version in CUDA if f"{version}.".startswith(f"{text}.")]:
        return found[-1]
    raise Fault("wrong-value", f"there is no image of CUDA {text}", f"one of {', '.join(CUDA)}")


def check_package(manager: Manager, name: str) -> None:
    """Raise Fault if `name` is not how a package of this distribution, perhaps with a version, is written."""
    pattern, example = _NAMES[manager]
    if not pattern.fullmatch(name):
        raise Fault("wrong-value", f"`{name}` names no package of this distribution", f"such as {example}")


def _debian(python: str, cuda: str) -> Base:
    image = f"python:{python}-slim-bookworm"
    if not cuda:
        return Base(image, "apt", compilers=("build-essential",))
    ubuntu = f"nvidia/cuda:{cuda}-cudnn-runtime-ubuntu24.04"
    return Base(ubuntu, "apt", "python3", _UBUNTU_FOR_PYTHON, ("build-essential",), python_image=image)


def _of_rpms(image: str, python: str, with_dnf: bool) -> Base:
    name = f"python{python}"
    compilers = ("gcc", "gcc-c++", "make", f"{name}-devel")
    return Base(image, "dnf" if with_dnf else "microdnf", name, (name,), compilers, "git-core")
