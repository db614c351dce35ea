"""`bentod plan`: what differs between the spec and what runs, and what applying it would do."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

from bentod.cli.client import Client, NotRunning
from bentod.cli.elsewhere import add_inventory, room_of
from bentod.cli.options import add_colour, add_files, coloured
from bentod.cli.problems import show
from bentod.cli.project import chosen, located
from bentod.errors import BentodError, PlanError, ProblemsError

FINE, DIFFERENT, CANNOT = 0, 2, 3

_EPILOG = """Without a daemon the spec is compared with the last generation that was live. GENERATION is a number; REF
is anything that git knows as a commit (write git:REF for a name that is a number). With REF, the code of a service is
what its target imports, going by the sources. --inventory asks no daemon, either. Exit codes: 0 fine; 2 the spec is
wrong, or, with --exit-code, something differs; 3 the host cannot run it, or there is nothing to compare with."""


class NotSaved(BentodError):
    """A plan cannot be saved."""


def configure(parser: argparse.ArgumentParser) -> None:
    """The verb's options."""
    add_files(parser)
    parser.epilog = _EPILOG
    parser.add_argument(
        "--against", metavar="GENERATION|REF", help="compare with a recorded generation or a git revision"
    )
    parser.add_argument("-o", "--output", metavar="FILE", type=Path, help="save it for `bentod apply FILE`")
    parser.add_argument("--exit-code", action="store_true", help="end with code 2 if something differs")
    parser.add_argument("--json", action="store_true", help="as JSON (schemas/plan.schema.json)")
    add_inventory(parser)
    add_colour(parser)


def run(args: argparse.Namespace) -> int:
    """0: told. 2: something differs, and --exit-code asks for that. Raises SpecError, PlanError, NotRunning, …"""
    for option, value in (("--against", args.against), ("--inventory", args.inventory)):
        if args.output is not None and value is not None:
            print(f"bentod: only a plan against what runs can be applied: leave out {option}, or -o", file=sys.stderr)
            return DIFFERENT
    try:
        document, words = _made(args)
    except ProblemsError as error:
        if not args.json:
            raise
        print(show(error.problems, "json"))
        return CANNOT if isinstance(error, PlanError) else DIFFERENT
    if args.output is not None:
        save(document, args.output)
    print(json.dumps(document, indent=2, ensure_ascii=False) if args.json else told(document, words, coloured(args)))
    return DIFFERENT if args.exit_code and not document["empty"] else FINE


def told(document: dict[str, Any], words: str, colour: bool) -> str:
    """A plan for a person; `words` say what it is compared with."""
    from bentod.plan.document import text

    return "\n".join([*([f"{words}\n"] if words else []), text(document, colour).rstrip("\n")])


def save(document: dict[str, Any], file: Path) -> None:
    """Keep a plan for `apply`; what it says of a spec is for nobody else. Raises NotSaved."""
    from bentod.whole import write_whole

    try:
        write_whole(file.absolute(), json.dumps(document, indent=2, ensure_ascii=False).encode() + b"\n")
    except OSError as error:
        raise NotSaved(f"the plan cannot be saved to {file}: {error.strerror}") from None


def _made(args: argparse.Namespace) -> tuple[dict[str, Any], str]:
    """The plan, and what it is compared with if that is not what runs."""
    generation = _generation(args.against)
    if args.against is not None and generation is None:
        return _with_commit(args)
    if args.inventory is not None:
        return _with_record(args, generation)
    try:
        words = f"compared with generation {generation}" if generation else ""
        return asyncio.run(Client(located(args).control).plan(args.files, generation)), words
    except NotRunning:
        if args.output is not None:
            raise
    return _with_record(args, generation)


def _generation(against: str | None) -> int | None:
    """The number that is named, if it is one."""
    return int(against) if against is not None and re.fullmatch(r"[0-9]{1,9}", against) else None


def _with_commit(args: argparse.Namespace) -> tuple[dict[str, Any], str]:
    from bentod.cli import offline
    from bentod.daemon.desired import read
    from bentod.plan.document import document

    environ = dict(os.environ)
    desired = read(chosen(args), environ)
    ref = args.against.removeprefix("git:")
    commit = offline.resolved(ref, desired.loaded.directory, environ)
    name = ref if commit.startswith(ref) else f"{ref} ({commit[:12]})"
    return document(offline.against_commit(desired, commit, environ, room_of(args))), f"compared with {name}"


def _with_record(args: argparse.Namespace, generation: int | None) -> tuple[dict[str, Any], str]:
    """Raises NotRunning if no such generation was recorded."""
    from bentod.cli import offline
    from bentod.daemon.desired import read
    from bentod.daemon.history import History
    from bentod.plan.document import document

    environ = dict(os.environ)
    desired = read(chosen(args), environ)
    where = located(args)
    history = History(where.history)
    if generation is None:
        record = history.last_live()
    else:
        record = history.get(generation)
        if record is None:
            raise NotRunning(f"there is no record of a generation {generation}; see `bentod history`")
    room = room_of(args)
    runs = "" if room is not None else "no daemon runs; "
    if record is None:
        words = "nothing was live yet" if room is not None else "no daemon runs, and none has"
        return document(offline.against_nothing(desired, environ, room)), f"{words}: everything is new"
    last = "" if generation else ", the last that was live"
    found = offline.against_record(desired, record, environ, where.objects, room)
    return document(found), f"{runs}compared with generation {record.number}{last}"
