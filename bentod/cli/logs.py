"""`bentod logs`: what the daemon said and what the workers printed, also of a daemon that has ended."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from watchfiles import watch

from bentod.cli.options import add_files
from bentod.cli.project import located
from bentod.observe.log import text_line
from bentod.observe.sink import KEPT


def configure(parser: argparse.ArgumentParser) -> None:
    """The verb's options."""
    add_files(parser, short=False)
    parser.add_argument("service", metavar="SERVICE", nargs="?", help="only this service's workers")
    parser.add_argument("-f", "--follow", action="store_true", help="go on with what comes")
    parser.add_argument("-n", "--lines", type=int, default=200, help="how many of the last lines (default: 200)")
    parser.add_argument("--json", action="store_true", help="as JSON lines")


def run(args: argparse.Namespace) -> int:
    """0: shown. Raises SpecError."""
    folders = located(args)

    def show(events: Iterable[dict[str, Any]]) -> None:
        for event in events:
            _show(event, as_json=args.json)

    logs = Logs(folders.logs, args.service)
    earlier = logs.earlier()
    if args.service is not None and args.service not in logs.services and not args.follow:
        known = ", ".join(sorted(logs.services)) or "none"
        print(f"nothing was logged of a service {args.service!r}; there is something of: {known}", file=sys.stderr)
        print("(here `-f` follows; the spec is named by `--file FILE`, or by `bentod -f FILE logs`)", file=sys.stderr)
        return 2
    show(earlier[-args.lines :] if args.lines > 0 else [])
    if args.follow:
        folders.logs.mkdir(parents=True, exist_ok=True)
        for _ in watch(folders.logs, debounce=50, step=20, recursive=False):
            show(logs.new())
    return 0


class Logs:
    """All log files of a daemon as one: the daemon's events, the workers' output, a detached gateway's requests."""

    def __init__(self, folder: Path, service: str | None) -> None:
        self._folder = folder
        self._service = service
        self._tails: dict[Path, Tail] = {}
        self.services: set[str] = set()

    def earlier(self) -> list[dict[str, Any]]:
        """Everything up to now, in the order of time."""
        return self._collect(lambda tail: tail.earlier())

    def new(self) -> list[dict[str, Any]]:
        """What came since."""
        return self._collect(lambda tail: tail.new())

    def _collect(self, read: Callable[[Tail], Iterable[dict[str, Any]]]) -> list[dict[str, Any]]:
        for path in self._folder.glob("*.log"):
            self._tails.setdefault(path, Tail(path))
        events = [event for tail in self._tails.values() for event in read(tail)]
        self.services.update(str(event["service"]) for event in events if "service" in event)
        wanted = [event for event in events if self._service is None or event.get("service") == self._service]
        return sorted(wanted, key=lambda event: str(event.get("time")))


class Tail:
    """Reads a rotated file of JSON lines: first all there is, then what is appended."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._inode = 0
        self._offset = 0

    def earlier(self) -> Iterator[dict[str, Any]]:
        """Everything up to now, oldest first."""
        for number in range(KEPT, 0, -1):
            older = self._path.with_name(f"{self._path.name}.{number}")
            if older.exists():
                yield from _events(older.read_bytes())
        yield from self.new()

    def new(self) -> Iterator[dict[str, Any]]:
        """What was appended since, the rest of a file that was turned over included."""
        try:
            inode = self._path.stat().st_ino
        except FileNotFoundError:
            return
        if self._inode not in {0, inode}:
            yield from self._rest(self._path.with_name(f"{self._path.name}.1"))
            self._offset = 0
        self._inode = inode
        yield from self._rest(self._path)

    def _rest(self, path: Path) -> Iterator[dict[str, Any]]:
        try:
            with path.open("rb") as file:
                file.seek(self._offset)
                data = file.read()
        except FileNotFoundError:
            return
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        yield from _events(whole)


def _events(data: bytes) -> Iterator[dict[str, Any]]:
    for line in data.splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            continue  # the end of a line that a killed daemon could not finish
        if isinstance(event, dict) and "event" in event:
            yield event


def _show(event: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(event, ensure_ascii=False), flush=True)
    else:
        clock = str(event.get("time", ""))[:19].replace("T", " ")
        text = text_line(event, colour=sys.stdout.isatty(), clock=clock)
        print(text.decode().rstrip("\n"), flush=True)
