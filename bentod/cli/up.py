"""`bentod up`: run the spec in the foreground, or detached with `-d`."""

from __future__ import annotations

import argparse
import signal
import sys
from typing import NoReturn

from bentod.cli import first
from bentod.cli.options import add_files
from bentod.daemon.prelaunch import spawn_gateway


def configure(parser: argparse.ArgumentParser) -> None:
    """The verb's options."""
    add_files(parser)
    parser.add_argument("-d", "--detach", action="store_true", help="leave the daemon running in the background")
    parser.add_argument("--wait", action="store_true", help="detach, and return once every service is ready")
    parser.add_argument(
        "--strict", action="store_true", help="after a crash, too, start what the spec says or nothing at all"
    )
    parser.add_argument("--locked", action="store_true", help="serve only what the lock file says")
    parser.add_argument("--ungated", action="store_true", help=argparse.SUPPRESS)  # for `bentod test`
    parser.add_argument("--detached", action="store_true", help=argparse.SUPPRESS)  # what -d starts
    parser.add_argument("--takeover", type=int, help=argparse.SUPPRESS)  # what `bentod upgrade` starts


def run(args: argparse.Namespace) -> int:
    """0: stopped as told, or (detached) running. Raises what `detach` and `serve` raise."""
    if args.detach or args.wait:
        from bentod.cli.detach import detach

        return detach(args)
    first.begin()
    signal.signal(signal.SIGTERM, _end)  # until the daemon minds it
    gateway = spawn_gateway()
    try:
        from bentod.cli.foreground import serve  # while this is imported the gateway imports its own part

        return serve(args, gateway)
    finally:
        gateway.abandon()


def _end(*_: object) -> NoReturn:
    """Stop as told: there is nothing to drain yet."""
    sys.exit(0)
