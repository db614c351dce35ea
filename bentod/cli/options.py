"""Options that several verbs share."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path


def add_files(parser: argparse.ArgumentParser, *, short: bool = True, dest: str = "files") -> None:
    """The `-f` option; `short=False` leaves only `--file`, for a verb in which `-f` means something else."""
    parser.add_argument(
        *(["-f"] if short else []),
        "--file",
        dest=dest,
        metavar="FILE",
        type=Path,
        action="append",
        default=[],
        help="the spec; several are merged from left to right (default: bentofile.yaml or .toml in this folder)",
    )


def add_colour(parser: argparse.ArgumentParser) -> None:
    """The `--colour` option."""
    choices = ("auto", "always", "never")
    parser.add_argument("--colour", "--color", choices=choices, default="auto", help="colours (auto: in a terminal)")


def coloured(args: argparse.Namespace) -> bool:
    """Whether stdout gets colours."""
    if args.colour != "auto":
        return bool(args.colour == "always")
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
