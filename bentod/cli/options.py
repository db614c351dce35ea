"""Options that several verbs share."""

from __future__ import annotations

import argparse
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
