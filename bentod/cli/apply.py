"""`bentod apply`: make the running daemon do what the spec says."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from bentod.cli.change import CANNOT, REFUSED, outcome, waited
from bentod.cli.client import Client
from bentod.cli.options import add_colour, add_files, coloured
from bentod.cli.plan import told
from bentod.cli.problems import show
from bentod.cli.project import located
from bentod.errors import BentodError, PlanError, ProblemsError

_EPILOG = """What is new is started beside what runs, answers its examples, and then takes over; if any of that fails,
everything stays as it was. Exit codes: 0 it is so, or was so already; 2 the spec is wrong, callers would be broken, or
the saved plan is out of date; 3 no daemon runs, or it does not fit on this host; 4 what is new cannot serve; 130
interrupted: the change goes on."""


class NoPlan(BentodError):
    """A file is no saved plan."""


def configure(parser: argparse.ArgumentParser) -> None:
    """The verb's options."""
    add_files(parser)
    parser.epilog = _EPILOG
    parser.add_argument(
        "saved",
        metavar="FILE",
        nargs="?",
        type=Path,
        help="a plan that `bentod plan -o FILE` saved: just that, or nothing",
    )
    parser.add_argument(
        "--allow-breaking", action="store_true", help="even if callers that are right today would not be"
    )
    parser.add_argument("--plan", action="store_true", help="only show what would be done")
    parser.add_argument("--json", action="store_true", help="what became of it as JSON; nothing else is shown")
    add_colour(parser)


def run(args: argparse.Namespace) -> int:
    """0: applied. 2: refused. 3: it does not fit. 4: failed. Raises SpecError, NotRunning, NoPlan, …"""
    saved = None if args.saved is None else _read(args.saved)
    client = Client(located(args).control)
    try:
        return asyncio.run(_apply(client, args, saved))
    except ProblemsError as error:
        if not args.json:
            raise
        print(show(error.problems, "json"))
        return CANNOT if isinstance(error, PlanError) else REFUSED


async def _apply(client: Client, args: argparse.Namespace, saved: dict[str, Any] | None) -> int:
    now = await client.plan(args.files)
    if saved is not None and saved["state"] != now["state"]:
        return _outdated(args, saved, now)
    if args.plan:
        print(json.dumps(now, indent=2, ensure_ascii=False) if args.json else told(now, "", coloured(args)))
        return 0
    if not args.json and not now["empty"]:
        print(told(now, "", coloured(args)), flush=True)
    state = None if saved is None else str(saved["state"])
    answer = await waited(client.apply(args.files, allow_breaking=args.allow_breaking, state=state))
    done = answer.get("plan") or now
    if not args.json and done["state"] != now["state"] and answer["outcome"] in {"applied", "failed"}:
        print(told(done, "what differs has changed meanwhile:", coloured(args)))
    return outcome(answer, as_json=args.json)


def _outdated(args: argparse.Namespace, saved: dict[str, Any], now: dict[str, Any]) -> int:
    """A saved plan is not what would be done. Returns the exit code."""
    why = outdated(saved, now)
    if args.json:
        refused = {"outcome": "refused", "generation": now["base"], "seconds": 0.0, "error": why}
        print(json.dumps({**refused, "traceback": "", "problems": [], "plan": now}, indent=2, ensure_ascii=False))
        return REFUSED
    print(f"refused: {args.saved} is out of date: {why}", file=sys.stderr)
    print(told(now, "what would be done by now:", coloured(args)))
    return REFUSED


def outdated(saved: dict[str, Any], now: dict[str, Any]) -> str:
    """In which way two plans were made from different things."""
    if saved["base"] != now["base"]:
        return f"it was made when generation {saved['base']} ran, and generation {now['base']} runs now"
    return (
        f"generation {now['base']} still runs, but the files no longer say what they said, or other files are meant "
        f"(state {str(saved['state'])[:12]} then, {str(now['state'])[:12]} now)"
    )


def _read(file: Path) -> dict[str, Any]:
    """Raises NoPlan."""
    try:
        found = json.loads(file.read_bytes())
    except OSError as error:
        raise NoPlan(f"the plan {file} cannot be read: {error.strerror}") from None
    except ValueError:
        found = {}
    from bentod.plan.document import proposal

    try:
        proposal(found)
    except ValueError:
        hint = "; a spec is named by `-f`" if file.suffix in {".yaml", ".yml", ".toml"} else ""
        raise NoPlan(f"{file} is no plan that `bentod plan -o` saved{hint}") from None
    return dict(found)
