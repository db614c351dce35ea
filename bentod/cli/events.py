"""`bentod events`: what happened to the daemon and its processes, without what workers print and clients ask."""

from __future__ import annotations

import argparse
import sys

from bentod.cli.log_files import Event, Logs, add_options, clock, shown
from bentod.cli.options import add_files
from bentod.cli.project import located
from bentod.observe.events import EVENTS
from bentod.observe.log import text_line

_OTHERS = frozenset(("worker.output", "call.finished"))
_WIDTH = max(len(name) for name in EVENTS if name not in _OTHERS)
_EPILOG = (
    """They are read from the daemon's log files, so they survive it. `bentod logs` shows the workers' output, too."""
)


def configure(parser: argparse.ArgumentParser) -> None:
    """The verb's options."""
    add_files(parser, short=False)
    parser.epilog = _EPILOG
    parser.add_argument("service", metavar="SERVICE", nargs="?", help="only this service's events")
    add_options(parser)


def run(args: argparse.Namespace) -> int:
    """0: shown. 2: nothing is known of the service. Raises SpecError."""
    where = located(args)
    logs = Logs(where.logs, args.service, where.daemon_log.name, lambda event: event["event"] not in _OTHERS)
    return shown(args, where.logs, logs, _show)


def _show(event: Event) -> None:
    """Time, name, and what happened in words."""
    when = f"{clock(event)}  {event['event']:<{_WIDTH}}"
    text = text_line(event, colour=sys.stdout.isatty(), clock=when)
    print(text.decode().rstrip("\n"), flush=True)
