"""`bentod history`: the generations that ran, and the attempts that failed, also of a daemon that has ended."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from bentod.cli.client import Client, NotRunning
from bentod.cli.options import add_files
from bentod.cli.project import located
from bentod.cli.when import ago, local
from bentod.daemon.folders import Folders
from bentod.daemon.git import Git
from bentod.daemon.history import History, Record

_HEAD = ("number", "when", "", "outcome", "seconds", "commit", "reason")


def configure(parser: argparse.ArgumentParser) -> None:
    """The verb's options."""
    add_files(parser)
    parser.add_argument("-n", "--lines", type=int, default=20, help="how many of the newest (default: 20; 0: all)")
    parser.add_argument("--json", action="store_true", help="as JSON")


def run(args: argparse.Namespace) -> int:
    """0: shown. Raises SpecError if no spec is there."""
    where = located(args)
    history = History(where.history)
    records = history.records()
    records = records[: args.lines] if args.lines > 0 else records
    running = serving(where)
    if args.json:
        print(json.dumps([summary(record, running) for record in records], indent=2, ensure_ascii=False))
    elif records:
        print(table([row(record, running) for record in records]))
    else:
        print("no generation has been recorded", file=sys.stderr)
    for path in history.damaged:
        print(f"{path} is no record, or a damaged one", file=sys.stderr)
    return 0


def serving(where: Folders) -> int:
    """The number of the generation that runs; 0 if no daemon does."""
    try:
        return int(asyncio.run(Client(where.control).get("/status"))["generation"])
    except NotRunning:
        return 0


def summary(record: Record, running: int) -> dict[str, Any]:
    """What the table says of a record, as plain data."""
    return {
        "number": record.number,
        "time": record.time,
        "reason": record.reason,
        "outcome": record.outcome,
        "running": word(record, running) == "running",
        "seconds": record.seconds,
        "git": None if record.git is None else asdict(record.git),
        "error": record.error,
    }


def row(record: Record, running: int) -> tuple[str, ...]:
    """A record's line."""
    seconds = "" if record.seconds is None else f"{record.seconds:.2f}"
    words = " ".join(record.reason.split())
    error = f": {record.error.splitlines()[0]}" if record.error else ""
    when = (local(record.time), ago(record.time))
    return (str(record.number), *when, word(record, running), seconds, commit(record.git), words + error)


def word(record: Record, running: int) -> str:
    """How an attempt ended. One that has not, though a later generation or no daemon runs, was cut off."""
    if record.number == running and record.outcome == "live":
        return "running"
    if record.outcome == "starting" and not 0 < running <= record.number:
        return "cut off"
    return record.outcome


def commit(git: Git | None) -> str:
    """The commit in short; `*` if the folder held something else besides, `?` if that is not known."""
    if git is None:
        return "-"
    mark = {True: "*", False: "", None: "?"}[git.dirty]
    return (git.commit[:9] or "(none)") + mark


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows below a head, in columns."""
    lines = [_HEAD, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_HEAD))]
    right = {0, 2, 4}
    shown = [
        [
            cell.rjust(width) if at in right else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        for line in lines
    ]
    return "\n".join("  ".join(cells).rstrip() for cells in shown)
