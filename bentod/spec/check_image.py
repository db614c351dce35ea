"""What of `build` cannot be built, whatever is said elsewhere: no such base image, no such name of a package."""

from __future__ import annotations

import re
from collections.abc import Iterator

from bentod.spec import bases
from bentod.spec.bases import Base
from bentod.spec.model_build import Build, Conda
from bentod.spec.node import Path
from bentod.spec.report import Fault

CHANNEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:+~-]*")
MATCH = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:/+*=<>!~,|^\[\]'\" -]*")
"""A package as conda writes it, such as `numpy>=2` or `conda-forge::numpy=2.1=py312*`."""


def chosen(build: Build) -> tuple[str, Base]:
    """The full version of CUDA, or "", and what the image is made from. Raises Fault."""
    if build.base_image:
        return "", bases.named(build.base_image)
    if build.conda:
        return "", bases.conda()
    cuda = bases.full_cuda(build.cuda) if build.cuda else ""
    return cuda, bases.base_of(build.distro, build.python, cuda)


def faults(build: Build) -> Iterator[tuple[Path, Fault]]:
    """Each fault, and the path from `build` of what is wrong."""
    try:
        chosen(build)
    except Fault as fault:
        yield ("cuda" if build.cuda and "Python" not in str(fault) else "python",), fault
    manager: bases.Manager = "found" if build.base_image else "apt" if build.conda else bases.MANAGERS[build.distro]
    for index, name in enumerate(build.system_packages):
        try:
            bases.check_package(manager, name)
        except Fault as fault:
            yield ("system_packages", index), fault
    if build.conda:
        yield from _conda(build.conda, build.distro)


def _conda(conda: Conda, distro: str) -> Iterator[tuple[Path, Fault]]:
    if distro != "debian":
        yield ("distro",), Fault("conflict", f"what conda installs does not run on `{distro}` here", "use `debian`")
    for key, pattern, texts in (("channels", CHANNEL, conda.channels), ("dependencies", MATCH, conda.dependencies)):
        for index, text in enumerate(texts):
            if not pattern.fullmatch(text):
                message = f"`{text}` is none of conda's {key}"
                yield ("conda", key, index), Fault("wrong-value", message, "such as `conda-forge`, or `numpy>=2`")
