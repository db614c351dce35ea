"""`bentod test [API…]`: whether the APIs answer their examples as these say."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from bentod.cli import examples_report, junit
from bentod.cli.call_answer import UnusableOutput, check
from bentod.cli.client import Client, NotRunning, UnknownApi
from bentod.cli.examples import ERROR, OK, Results, Tried, results
from bentod.cli.options import add_files
from bentod.cli.project import chosen, loaded, located
from bentod.cli.scratch import scratch

_FINE, _FAILED = 0, 2
_EPILOG = """Where no daemon runs, one is started for this, on a free port and with folders of its own, and stopped at
the end. Exit codes: 0 all are answered as they say; 2 some are not, or there is no such API; 3 the daemon cannot be
reached; 4 the scratch daemon does not start; 130 interrupted."""


def configure(parser: argparse.ArgumentParser) -> None:
    """The verb's options."""
    add_files(parser)
    parser.epilog = _EPILOG
    parser.add_argument("words", metavar="API", nargs="*", help="only the examples of these APIs")
    parser.add_argument("--junit", metavar="FILE", default="", help="write JUnit XML, for continuous integration")
    parser.add_argument("--json", action="store_true", help="as JSON, at the end")
    parser.add_argument("--scratch", action="store_true", help="start a daemon for this, even if one runs")
    parser.add_argument("-v", "--verbose", action="store_true", help="also show what was answered")


def run(args: argparse.Namespace) -> int:
    """The exit codes are in the epilog. Raises SpecError, StartError, NotRunning."""
    started = datetime.now(UTC)
    try:
        check(args.junit)
        with _daemon(args) as (client, is_scratch):
            found = asyncio.run(results(client, args.words, lambda one: _tell(one, args)))
    except (UnknownApi, UnusableOutput) as error:
        print(error, file=sys.stderr)
        return _FAILED
    if args.json:
        print(json.dumps(examples_report.document(found, scratch=is_scratch), indent=2, ensure_ascii=False))
    else:
        print("\n".join(examples_report.summary(found)))
    if args.junit:
        Path(args.junit).write_bytes(junit.document(found, started))
    return _code(found)


def _code(found: Results) -> int:
    """Raises NotRunning if nothing was answered at all."""
    if found.tried and found.count(ERROR) == len(found.tried):
        raise NotRunning(f"{found.url}: {found.tried[0].text}")
    return _FINE if found.count(OK) == len(found.tried) else _FAILED


def _tell(tried: Tried, args: argparse.Namespace) -> None:
    if not args.json:
        print("\n".join(examples_report.lines(tried, verbose=args.verbose)), flush=True)


@contextmanager
def _daemon(args: argparse.Namespace) -> Iterator[tuple[Client, bool]]:
    """A client of the daemon that runs, or of one that is started for this."""
    if not args.scratch:
        client = Client(located(args).control)
        try:
            asyncio.run(client.get("/settled"))
        except NotRunning:
            print("no daemon runs this spec: one is started for the test", file=sys.stderr)
        else:
            yield client, False
            return
    loaded(args)  # says in the usual way what is wrong with the spec
    with scratch(chosen(args)) as client:
        yield client, True
