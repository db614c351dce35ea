"""`bentod rollback`: an earlier generation runs again, with its spec and its code."""

from __future__ import annotations

import argparse
import asyncio

from bentod.cli.change import outcome, waited
from bentod.cli.client import Client
from bentod.cli.options import add_files
from bentod.cli.project import located
from bentod.daemon.history import History
from bentod.errors import SpecError, Unknown

_EPILOG = """The files on disk stay as they are: the next edit of one of them, or `bentod apply`, brings what they say.
Exit codes: see `bentod apply --help`."""
_MOST = 8


class NothingBefore(Unknown):
    """There is no generation to go back to."""


def configure(parser: argparse.ArgumentParser) -> None:
    """The verb's options."""
    add_files(parser)
    parser.epilog = _EPILOG
    parser.add_argument(
        "number",
        metavar="N",
        nargs="?",
        type=int,
        help="a generation of `bentod history` (default: the last that was live before the running one)",
    )
    parser.add_argument(
        "--allow-breaking", action="store_true", help="even if callers that are right today would not be"
    )
    parser.add_argument("--json", action="store_true", help="what became of it as JSON; nothing else is shown")


def run(args: argparse.Namespace) -> int:
    """0: it runs. 2: refused. 3: it does not fit. 4: failed. Raises NotRunning, UnknownGeneration, NothingBefore."""
    where = located(args)
    return asyncio.run(_roll_back(Client(where.control), args, History(where.history)))


async def _roll_back(client: Client, args: argparse.Namespace, history: History) -> int:
    number = args.number
    if number is None:
        number = before(history, (await client.get("/status"))["generation"])
    answer = await waited(client.apply((), allow_breaking=args.allow_breaking, generation=number))
    live = f"generation {{}} is live, and is what generation {number} was"
    code = outcome(answer, as_json=args.json, live=live, same=f"generation {{}} is what generation {number} was")
    if not args.json and answer["outcome"] == "applied":
        print(await _on_disk(client))
    return code


def before(history: History, running: int) -> int:
    """The last generation that was live before the one that runs. Raises NothingBefore."""
    for record in history.records():
        if record.outcome == "live" and record.number < running:
            return record.number
    raise NothingBefore(f"no generation was live before {running}; see `bentod history`")


async def _on_disk(client: Client) -> str:
    """What the files say, now that something else runs."""
    from bentod.daemon.order import reason
    from bentod.plan.document import proposal

    then = "the next edit, or `bentod apply`, brings what they say"
    try:
        found = proposal(await client.plan(()))
    except SpecError as error:
        return f"the files on disk cannot be used: {error.problems[0].message}; {then}, once that is mended"
    if found.difference.empty:
        return "the files on disk say the same"
    return f"the files on disk say something else ({reason(found, _MOST)}): {then}"
