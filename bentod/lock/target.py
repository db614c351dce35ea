"""Where locked packages are installed: Linux with one version of CPython. What a marker says of that."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache

from packaging.markers import InvalidMarker, Marker, UndefinedComparison, UndefinedEnvironmentName
from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion

PYTHONS = ("3.11", "3.12", "3.13", "3.14")
_MACHINES = ("x86_64", "aarch64")
_PATCHES = (0, 40)
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
_UNKNOWN = re.compile(r"\bplatform_(release|version)\b")
"""What the kernel of some host will be."""
_OF_LOCKS = re.compile(r"\b(extra|extras|dependency_groups)\b")


def environments(python: str) -> Iterator[Mapping[str, str]]:
    """The environments that an image with this `python`, such as `3.12`, may turn out to have."""
    for machine in _MACHINES:
        for patch in _PATCHES:
            yield {
                "implementation_name": "cpython",
                "implementation_version": f"{python}.{patch}",
                "os_name": "posix",
                "platform_machine": machine,
                "platform_python_implementation": "CPython",
                "platform_release": "",
                "platform_system": "Linux",
                "platform_version": "",
                "python_full_version": f"{python}.{patch}",
                "python_version": python,
                "sys_platform": "linux",
                "extra": "",
            }


@lru_cache(maxsize=4096)
def _marker(text: str) -> Marker:
    return Marker(text)


def holds(marker: str, environment: Mapping[str, str]) -> bool:
    """Whether the marker holds there; so it is taken if nobody can know."""
    if not marker or _UNKNOWN.search(_QUOTED.sub("", marker)):
        return True
    try:
        return bool(_marker(marker).evaluate(dict(environment)))
    except (UndefinedComparison, UndefinedEnvironmentName, InvalidVersion):
        return True


def anywhere(marker: str) -> bool:
    """Whether the marker may hold on Linux at all."""
    return any(holds(marker, one) for python in PYTHONS for one in environments(python))


def valid(marker: str) -> bool:
    """Whether it is a marker that pip knows how to judge: not one about extras and groups."""
    try:
        _marker(marker)
    except (InvalidMarker, RecursionError):
        return False
    return not _OF_LOCKS.search(_QUOTED.sub("", marker))


def allows(requires_python: str, python: str) -> bool:
    """Whether any patch version of `python` is among those that are required."""
    versions = SpecifierSet(requires_python)
    return any(versions.contains(f"{python}.{patch}") for patch in range(_PATCHES[-1] + 1))
