"""`bentod upgrade`: replace the running daemon by the bentod that is installed now."""

from __future__ import annotations

import argparse
import asyncio

from bentod.cli.change import FINE, outcome, waited
from bentod.cli.client import Client
from bentod.cli.options import add_files
from bentod.cli.project import located

_EPILOG = """The new daemon starts its own gateways and workers beside those that serve, and takes over once they are
ready; the old one answers the calls that it has. If the new one cannot serve, everything stays as it was. Exit codes:
0 replaced; 2 the spec is wrong, or another upgrade is under way; 3 no daemon runs; 4 the new daemon cannot serve."""


def configure(parser: argparse.ArgumentParser) -> None:
    """The verb's options."""
    add_files(parser)
    parser.epilog = _EPILOG
    parser.add_argument("--json", action="store_true", help="what became of it as JSON; nothing else is shown")


def run(args: argparse.Namespace) -> int:
    """0: replaced. 2: refused. 4: failed. Raises SpecError, NotRunning."""
    answer = asyncio.run(waited(Client(located(args).control).post("/upgrade")))
    if args.json or answer["outcome"] != "applied":
        return outcome(answer, as_json=args.json)
    print(f"{_called(answer['new'])} took over from {_called(answer['old'])}")
    return FINE


def _called(daemon: dict[str, object]) -> str:
    return f"bentod {daemon['version']} (pid {daemon['pid']})"
