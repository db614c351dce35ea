"""The options of `bentod build-image`, and what they say once they are checked."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bentod.cli.image_plan import placed
from bentod.cli.options import add_files
from bentod.errors import Problem, SpecError
from bentod.image import references, secrets
from bentod.image.order import BACKENDS
from bentod.image.secrets import Secret
from bentod.spec.load import Loaded


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for, with what the spec says where nothing was."""

    tags: tuple[str, ...]
    platforms: tuple[str, ...]
    secrets: tuple[Secret, ...]
    build_args: Mapping[str, str]


def add(parser: argparse.ArgumentParser) -> None:
    """Add all of them."""
    add_files(parser)
    parser.add_argument(
        "-t", "--tag", metavar="TAG", action="append", default=[], help="the image's name (default: IMAGE:VERSION)"
    )
    parser.add_argument(
        "--backend", choices=("auto", *BACKENDS), default="auto", help="what builds (auto: docker, podman or buildah)"
    )
    parser.add_argument("--platform", metavar="OS/ARCH", action="append", default=[], help="such as linux/arm64")
    parser.add_argument("--push", action="store_true", help="push the image to the registry in its name")
    parser.add_argument(
        "--secret",
        metavar="id=NAME,…",
        action="append",
        default=[],
        help="a build secret: …,src=FILE or …,env=VARIABLE",
    )
    parser.add_argument(
        "--build-arg", metavar="K=V", action="append", default=[], help="a value of the engine's own ARGs"
    )
    parser.add_argument(
        "--network", choices=("default", "host", "none"), default="default", help="of the build's steps"
    )
    parser.add_argument("--no-cache", action="store_true", help="build every step anew")
    parser.add_argument(
        "--syntax", action="store_true", help="name the frontend in the Dockerfile's first line; the engine pulls it"
    )
    parser.add_argument("--report", metavar="FILE", type=Path, help="write the build report as JSON into this file")
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument("--output", metavar="DIR", type=Path, help="write the build context here; build nothing")
    instead.add_argument("--dry-run", action="store_true", help="say what would be done; start nothing")
    instead.add_argument("--check", action="store_true", help="check all that needs no engine; build nothing")


def checked(args: argparse.Namespace, loaded: Loaded, environ: Mapping[str, str]) -> tuple[Options, list[Problem]]:
    """The options, and what is wrong with them. `--output` and `--check` need no secrets."""
    problems: list[Problem] = []
    tags = tuple(map(references.full, args.tag)) if args.tag else _default_tags(loaded, problems)
    problems += references.problems(args.tag)
    named = tuple(one for text in args.platform for one in text.split(","))
    problems += references.platform_problems(named)
    arguments = references.arguments(args.build_arg, environ)
    parsed = [secrets.parsed(text) for text in args.secret]
    given = tuple(one for one in parsed if isinstance(one, Secret))
    problems += [one for one in (*parsed, arguments) if isinstance(one, Problem)]
    if not (args.check or args.output) or given:
        needed = secrets.problems(given, loaded.spec.build.secrets, environ)
        problems += [placed(one, loaded) for one in needed]
    options = Options(
        tuple(dict.fromkeys(tags)),
        tuple(dict.fromkeys(named)) or loaded.spec.build.platforms,
        given,
        {} if isinstance(arguments, Problem) else arguments,
    )
    return options, problems


def refuse(args: argparse.Namespace) -> None:
    """Raises SpecError for options that cannot be given together."""
    if args.push and (args.output or args.check):
        other = "--output" if args.output else "--check"
        raise SpecError([Problem("conflict", f"`{other}` builds nothing, so there is nothing for `--push` to push")])


def _default_tags(loaded: Loaded, problems: list[Problem]) -> tuple[str, ...]:
    spec = loaded.spec
    tag = references.tag_of(spec.version)
    if not tag:
        message = f"the version `{spec.version}` cannot be an image's tag"
        hint = "a tag has letters, digits, `_`, `.` and `-`; name one with `--tag`"
        problems.append(placed(Problem("bad-tag", message, path="version", hint=hint), loaded))
    return (f"{spec.build.image or spec.name}:{tag or 'latest'}",)
