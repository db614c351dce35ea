"""`bentod validate`: is the spec right? Everything that is wrong with it, at once."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from bentod.cli.elsewhere import add_inventory, room_of
from bentod.cli.options import add_files
from bentod.cli.problems import FORMATS, show
from bentod.errors import PlanError, Problem, SpecError
from bentod.spec.load import Loaded, find, load

OK, WRONG, LACKING = 0, 2, 3


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of the verb."""
    add_files(parser)
    parser.add_argument("--no-import", action="store_true", help="do not import the targets in throw-away processes")
    parser.add_argument("--locked", action="store_true", help="say what differs from the lock file, too")
    parser.add_argument("--import-timeout", type=float, default=60.0, metavar="SECONDS", help="limit per target (60)")
    add_inventory(parser)
    parser.add_argument("--format", choices=FORMATS, default="text", help="how problems are shown (text)")


def run(args: argparse.Namespace) -> int:
    """Print the problems, or that there are none."""
    files: list[Path] = args.files
    problems: list[Problem] = []
    loaded: Loaded | None = None
    try:
        files = files or [find(Path())]
        loaded = load(files, os.environ)
    except SpecError as error:
        problems += error.problems
    lacking = _lacking(args, loaded, problems)
    if loaded is not None and args.locked:
        from bentod.daemon.drifted import drifted  # only this option needs it

        problems += drifted(loaded, os.environ)
    if loaded is not None and not args.no_import:
        # Nothing else of the daemon is needed to judge a file.
        from bentod.daemon.inspect import inspect_targets

        problems += inspect_targets(loaded, args.import_timeout, loaded.environ(os.environ))
    if loaded is not None and not problems and not lacking and args.format == "text":
        print(_summary(files, loaded))
    elif text := show([*problems, *lacking], args.format, colour=_colours()):
        print(text)
    return WRONG if problems else LACKING if lacking else OK


def _lacking(args: argparse.Namespace, loaded: Loaded | None, problems: list[Problem]) -> list[Problem]:
    """What the host of `--inventory` lacks. What is wrong with its file is added to `problems`."""
    try:
        room = room_of(args)
    except SpecError as error:
        problems += error.problems
        return []
    if loaded is None or room is None:
        return []
    from bentod.daemon.room import placed

    try:
        placed(loaded, room)
    except PlanError as error:
        return list(error.problems)
    return []


def _summary(files: list[Path], loaded: Loaded) -> str:
    services, apis = len(loaded.spec.services), len(loaded.spec.apis)
    names = " + ".join(str(file) for file in files)
    verb = "is" if len(files) == 1 else "are"
    return f"{names} {verb} valid: {services} service{'s' * (services != 1)}, {apis} api{'s' * (apis != 1)}"


def _colours() -> bool:
    return sys.stdout.isatty() and "NO_COLOR" not in os.environ
