"""The grammar of images' names, and of platforms and build arguments: what engines take, said before they are asked."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from bentod.errors import Problem

_DOMAIN = (
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*|\[[0-9a-fA-F:]+\])"
)
_NAME = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"(?:{_DOMAIN}(?::[0-9]{{1,5}})?/)?{_NAME}(?:/{_NAME})*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_PLATFORM = re.compile(r"[a-z0-9]+/[a-z0-9_]+(/v?[a-z0-9]+)?")
_ARGUMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LONGEST = 255


def why_not(reference: str) -> str:
    """Why this is no name for an image; "" if it is one."""
    if "@" in reference:
        return "a digest cannot be chosen, only a name and a tag"
    repository, tag = split(reference)
    if len(repository) > _LONGEST:
        return f"it is longer than {_LONGEST} characters"
    if not _REPOSITORY.fullmatch(repository):
        lower = repository.lower() != repository and _REPOSITORY.fullmatch(repository.lower())
        return "a repository has lower-case letters only" if lower else "its repository is none"
    if not _TAG.fullmatch(tag):
        return "its tag has other characters than letters, digits, `_`, `.` and `-`, or is longer than 128"
    return ""


def split(reference: str) -> tuple[str, str]:
    """Repository and tag; the tag is `latest` unless given. A colon before a slash is that of a port."""
    repository, colon, tag = reference.rpartition(":")
    if not colon or "/" in tag:
        return reference, "latest"
    return repository, tag


def full(reference: str) -> str:
    """With its tag."""
    return ":".join(split(reference))


def tag_of(version: str) -> str:
    """A version as a tag, where that loses nothing but the `+` before what was built; "" if it cannot be one."""
    tag = version.replace("+", "-")
    return tag if _TAG.fullmatch(tag) else ""


def problems(references: Iterable[str]) -> list[Problem]:
    """What is wrong with names that were given."""
    hint = "such as `name`, `name:1.0` or `registry.example.com/team/name:1.0`"
    return [
        Problem("bad-tag", f"`{_shown(reference)}` is no name for an image: {why}", hint=hint)
        for reference in references
        if (why := why_not(reference))
    ]


def platform_problems(platforms: Iterable[str]) -> list[Problem]:
    """What is wrong with platforms that were given."""
    hint = "such as `linux/amd64` or `linux/arm64`"
    return [
        Problem("bad-platform", f"`{_shown(one)}` is no platform", hint=hint)
        for one in platforms
        if not _PLATFORM.fullmatch(one)
    ]


def arguments(given: Iterable[str], environ: Mapping[str, str]) -> dict[str, str] | Problem:
    """`K=V` as a map; a bare `K` has the value of the environment's variable."""
    found: dict[str, str] = {}
    for text in given:
        name, sign, value = text.partition("=")
        if not _ARGUMENT.fullmatch(name) or any(char in value for char in "\n\r\0"):
            return Problem(
                "bad-build-arg", f"`--build-arg {_shown(name)}` is none", hint="as in `--build-arg NAME=VALUE`"
            )
        if not sign and name not in environ:
            return Problem("bad-build-arg", f"`--build-arg {name}` has no value", hint=f"add one, or set {name}")
        found[name] = value if sign else environ[name]
    return found


def _shown(text: str) -> str:
    return "".join(char if char.isprintable() else "\N{MIDDLE DOT}" for char in text[:100])
