"""Options that several verbs share."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_files(parser: argparse.ArgumentParser) -> None:
    """The `-f` option."""
    parser.add_argument(
        "-f",
        "--file",
        dest="files",
        metavar="FILE",
        type=Path,
        action="append",
        default=[],
        help="the spec; several are merged from left to right (default: bentofile.yaml or .toml in this folder)",
    )
