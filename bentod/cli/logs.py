"""`bentod logs`: what the daemon said and what the workers printed, also of a daemon that has ended."""

from __future__ import annotations

import argparse
import sys

from bentod.cli.log_files import Event, Logs, add_options, clock, shown
from bentod.cli.options import add_files
from bentod.cli.project import located
from bentod.observe.log import text_line


def configure(parser: argparse.ArgumentParser) -> None:
    """The verb's options."""
    add_files(parser, short=False)
    parser.add_argument("service", metavar="SERVICE", nargs="?", help="only this service's workers")
    add_options(parser)


def run(args: argparse.Namespace) -> int:
    """0: shown. 2: nothing is known of the service. Raises SpecError."""
    folder = located(args).logs
    return shown(args, folder, Logs(folder, args.service), _show)


def _show(event: Event) -> None:
    text = text_line(event, colour=sys.stdout.isatty(), clock=clock(event))
    print(text.decode().rstrip("\n"), flush=True)
