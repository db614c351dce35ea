"""`bentod show N`: all that is recorded of one generation."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from bentod.cli.history import commit, serving, word
from bentod.cli.options import add_colour, add_files, coloured
from bentod.cli.project import located
from bentod.cli.when import ago, local
from bentod.daemon.history import History, Record
from bentod.errors import Unknown

_DIGITS = 12


class NoRecord(Unknown):
    """There is no record of a generation."""


def configure(parser: argparse.ArgumentParser) -> None:
    """The verb's options."""
    add_files(parser)
    parser.add_argument("number", metavar="N", type=int, help="a generation of `bentod history`")
    parser.add_argument(
        "--spec", action="store_true", help="only the spec: as it was written, or as several files merge"
    )
    parser.add_argument("--json", action="store_true", help="the record as JSON")
    add_colour(parser)


def run(args: argparse.Namespace) -> int:
    """0: shown. Raises SpecError if no spec is there, NoRecord."""
    where = located(args)
    record = History(where.history).get(args.number)
    if record is None:
        raise NoRecord(f"there is no record of a generation {args.number}; see `bentod history`")
    if args.spec:
        print(spec(record), end="")
    elif args.json:
        print(json.dumps(asdict(record), indent=2, ensure_ascii=False))
    else:
        print("\n".join(_lines(record, word(record, serving(where)), colour=coloured(args))))
    return 0


def spec(record: Record) -> str:
    """The spec's text: the one file's, or what several say together, as YAML."""
    if len(record.files) == 1:
        [text] = record.files.values()
        return text if text.endswith("\n") else text + "\n"
    return yaml.safe_dump(dict(record.spec), sort_keys=False, allow_unicode=True, width=100)


def _lines(record: Record, outcome: str, *, colour: bool) -> Iterator[str]:
    took = "" if record.seconds is None else f"  after {record.seconds:.2f} s"
    yield f"generation {record.number}  {outcome}{took}"
    yield f"  {local(record.time)}, {ago(record.time)}, by bentod {record.bentod}"
    yield f"  {record.reason}"
    if record.git is not None:
        branch = f" on {record.git.branch}" if record.git.branch else ""
        dirty = ", with changes that were not committed" if record.git.dirty else ""
        yield f"  git {commit(record.git).rstrip('*')}{branch}{dirty}"
    if record.error:
        yield from ("", "error", *(f"  {line}" for line in record.error.splitlines()))
    if record.difference:
        yield from ("", "what differed", *_difference(dict(record.difference), colour=colour))
    for name, service in record.services.items():
        yield f"\nservice {name}  {service.digest[:_DIGITS]}"
        yield from (f"  {digest[:_DIGITS]}  {file}" for file, digest in sorted(service.files.items()))
    for name, model in record.models.items():
        pin = model.declared.commit or model.declared.version
        yield f"\nmodel {name}  {model.digest}"
        yield f"  {_near(model.declared.source) if model.declared.kind == 'path' else model.declared.uri}"
        yield from (f"  {what} {pin}" for what in ("commit" if model.declared.commit else "version",) if pin)
    yield f"\nspec  {', '.join(_near(file) for file in record.files)}"
    yield from (f"  {line}" for line in spec(record).splitlines())


def _difference(document: dict[str, Any], *, colour: bool) -> Iterator[str]:
    """What was known as the plan. One that another version wrote may be unreadable by now."""
    from bentod.plan.document import text

    try:
        yield from (f"  {line}" for line in text(document, colour).splitlines())
    except (LookupError, TypeError, ValueError):
        yield "  (written by another version: see --json)"


def _near(file: str) -> str:
    """A path from here, where that is shorter."""
    relative = os.path.relpath(file, Path.cwd())
    return file if relative.startswith("..") else relative
