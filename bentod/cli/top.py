"""`bentod top`: what the processes of the running daemon use, live in a terminal."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable

from bentod.cli import top_table
from bentod.cli.client import Client, Document, NotRunning, Unanswered
from bentod.cli.options import add_files
from bentod.cli.project import located
from bentod.cli.top_rates import rated
from bentod.cli.top_screen import Screen, cut, size
from bentod.spec.quantities import seconds

_LEAST_S, _MOST_S = 0.2, 3600.0
_ANSWER_S = 5.0
_UNCUT = 1 << 30
_EPILOG = """CPU: 100 % is one CPU; GPU: 100 % is one GPU. A worker is its process with those that it has started. `q`
or Ctrl-C ends it. Without a terminal it shows one frame, as with --once. Exit codes: 0 shown; 3 no daemon runs, or with
--json: it has ended; 130 interrupted."""


def configure(parser: argparse.ArgumentParser) -> None:
    """The verb's options."""
    add_files(parser)
    parser.epilog = _EPILOG
    text = "how long each frame is measured (default: 1s)"
    parser.add_argument("--interval", metavar="TIME", type=_interval, default=1.0, help=text)
    parser.add_argument("--once", action="store_true", help="one frame, then end")
    parser.add_argument("--json", action="store_true", help="a JSON document a line (schemas/status.schema.json)")


def run(args: argparse.Namespace) -> int:
    """0: shown. Raises SpecError, NotRunning, Unanswered."""
    client = Client(located(args).control)
    if args.json:
        asyncio.run(_documents(client, args.interval, once=args.once))
    elif args.once or not _live():
        asyncio.run(_frame(client, args.interval))
    elif told := asyncio.run(_Top(client, args.interval).run()):
        signal.signal(told, signal.SIG_DFL)  # the terminal is as it was, now end as told
        os.kill(os.getpid(), told)
    return 0


def _interval(text: str) -> float:
    found = seconds(text)
    if found is None or not _LEAST_S <= found <= _MOST_S:
        raise argparse.ArgumentTypeError(f"{text!r} is no duration from 200ms to 1h, such as 500ms or 2s")
    return found


def _live() -> bool:
    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


def _now() -> str:
    return time.strftime("%H:%M:%S")


async def _asked(client: Client) -> Document:
    """Raises NotRunning, Unanswered."""
    try:
        async with asyncio.timeout(_ANSWER_S):
            return await client.get("/status")
    except TimeoutError:
        raise Unanswered(f"the daemon has not answered within {_ANSWER_S:g} s") from None


async def _documents(client: Client, interval_s: float, *, once: bool) -> None:
    """Print a document for each interval, for ever. Raises NotRunning, Unanswered."""
    before = await _asked(client)
    while True:
        await asyncio.sleep(interval_s)
        try:
            after = await _asked(client)
        except NotRunning:
            raise NotRunning(f"the daemon (pid {before['daemon']['pid']}) has ended") from None
        print(json.dumps(rated(before, after), ensure_ascii=False), flush=True)
        if once:
            return
        before = after


async def _frame(client: Client, interval_s: float) -> None:
    """Print one frame. Raises NotRunning, Unanswered."""
    before = await _asked(client)
    await asyncio.sleep(interval_s)
    status = rated(before, await _asked(client))
    columns = size(sys.stdout)[0] if sys.stdout.isatty() else _UNCUT
    print("\n".join(cut(line, columns) for line in top_table.lines(status, _now())), flush=True)


class _Top:
    """The verb in a terminal."""

    def __init__(self, client: Client, interval_s: float) -> None:
        self._client = client
        self._interval_s = interval_s
        self._screen = Screen()
        self._status: Document = {}
        self._notice = self._trouble = ""
        self._at = ""
        self._ended = asyncio.Event()
        self._told: signal.Signals | None = None

    async def run(self) -> signal.Signals | None:
        """Until it is told to end. Returns the signal that told it so, if one did. Raises NotRunning, Unanswered if
        there is nothing to begin with."""
        first = await _asked(self._client)
        self._show(first, first)
        loop = asyncio.get_running_loop()
        actions: dict[signal.Signals, Callable[[], None]] = {
            signal.SIGWINCH: self._paint,
            signal.SIGTSTP: self._pause,
            signal.SIGTERM: lambda: self._end(signal.SIGTERM),
            signal.SIGHUP: lambda: self._end(signal.SIGHUP),
        }
        for number, action in actions.items():
            loop.add_signal_handler(number, action)
        self._screen.enter()
        if sys.stdin.isatty():
            loop.add_reader(sys.stdin.fileno(), self._key)
        try:
            await self._until_ended(first)
        finally:
            self._screen.leave()
        return self._told

    async def _until_ended(self, first: Document) -> None:
        watching = asyncio.create_task(self._watch(first))
        ended = asyncio.create_task(self._ended.wait())
        try:
            await asyncio.wait({watching, ended}, return_when=asyncio.FIRST_COMPLETED)
            if watching.done():
                watching.result()
        finally:
            for task in (watching, ended):
                task.cancel()
            await asyncio.gather(watching, ended, return_exceptions=True)

    async def _watch(self, before: Document) -> None:
        """Ask and show, again and again; if nobody answers, wait for one who does."""
        while True:
            self._paint()
            await asyncio.sleep(self._interval_s)
            try:
                after = await _asked(self._client)
            except NotRunning:
                self._fail(f"the daemon (pid {before['daemon']['pid']}) has ended; waiting for another one")
            except Unanswered as error:
                self._fail(str(error))
            else:
                self._show(before, after)
                before = after

    def _show(self, before: Document, after: Document) -> None:
        self._status, self._at, self._trouble = rated(before, after), _now(), ""
        if found := changed(before, after):
            self._notice = f"{found}, at {self._at}"

    def _fail(self, trouble: str) -> None:
        self._trouble = f"{trouble} (below: as it was at {self._at})"

    def _paint(self) -> None:
        notices = [one for one in (self._trouble, self._notice) if one]
        with contextlib.suppress(BlockingIOError):
            self._screen.paint(top_table.lines(self._status, _now(), notices))

    def _pause(self) -> None:
        """Ctrl-Z: give the terminal back until we go on."""
        self._screen.leave()
        os.kill(os.getpid(), signal.SIGSTOP)
        self._screen.enter()
        self._paint()

    def _key(self) -> None:
        pressed = os.read(sys.stdin.fileno(), 64)
        if not pressed or b"q" in pressed.lower():
            self._ended.set()

    def _end(self, number: signal.Signals) -> None:
        self._told = number
        self._ended.set()


def changed(before: Document, after: Document) -> str:
    """What is another one than before, if something is."""
    old, new = before["daemon"]["pid"], after["daemon"]["pid"]
    was, now = before["generation"], after["generation"]
    if old != new:
        return f"another daemon: pid {new} after {old}, generation {now}"
    return f"generation {now} after {was}" if was != now else ""
