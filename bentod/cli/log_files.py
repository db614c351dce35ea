"""The log files of a daemon as one, also of a daemon that has ended: what is there, then what is appended."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from watchfiles import watch

from bentod.observe.sink import KEPT

Event = dict[str, Any]

_SPECS = (".yaml", ".yml", ".toml")


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of a verb that shows events."""
    parser.add_argument("-f", "--follow", action="store_true", help="go on with what comes")
    parser.add_argument("-n", "--lines", type=int, default=200, help="how many of the last lines (default: 200)")
    parser.add_argument("--json", action="store_true", help="as JSON lines")


class Logs:
    """All log files of a daemon: its events, the workers' output, a detached gateway's requests.

    `pattern` says which files are read, `wanted` which of their events are given, if they are of `service`.
    """

    def __init__(
        self,
        folder: Path,
        service: str | None,
        pattern: str = "*.log",
        wanted: Callable[[Event], bool] = lambda _: True,
    ) -> None:
        self._folder = folder
        self._service = service
        self._pattern = pattern
        self._wanted = wanted
        self._tails: dict[Path, Tail] = {}
        self.services: set[str] = set()

    def earlier(self) -> list[Event]:
        """Everything up to now, in the order of time."""
        return self._collect(lambda tail: tail.earlier())

    def new(self) -> list[Event]:
        """What came since."""
        return self._collect(lambda tail: tail.new())

    def close(self) -> None:
        """Let the files go."""
        for tail in self._tails.values():
            tail.close()

    def _collect(self, read: Callable[[Tail], Iterable[Event]]) -> list[Event]:
        for path in self._folder.glob(self._pattern):
            self._tails.setdefault(path, Tail(path))
        events = [event for tail in self._tails.values() for event in read(tail) if self._wanted(event)]
        self.services.update(str(event["service"]) for event in events if "service" in event)
        wanted = [event for event in events if self._service is None or event.get("service") == self._service]
        return sorted(wanted, key=lambda event: str(event.get("time")))


class Tail:
    """Reads a rotated file of JSON lines: first all there is, then what is appended.

    The file is held open: so its number stays its own, and its rest can be read after it was turned over.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None

    def earlier(self) -> Iterator[Event]:
        """Everything up to now, oldest first."""
        yield from self._older(KEPT)
        yield from self.new()

    def new(self) -> Iterator[Event]:
        """What was appended since, with the rest of a file that was turned over, and those that came and went after."""
        if self._file is not None and _number(self._path) not in {0, os.fstat(self._file.fileno()).st_ino}:
            yield from self._rest(self._file)
            yield from self._older(self._turns(os.fstat(self._file.fileno()).st_ino) - 1)
            self.close()
        if self._file is None:
            with contextlib.suppress(OSError):
                self._file = self._path.open("rb")
        if self._file is not None:
            yield from self._rest(self._file)

    def close(self) -> None:
        """Let the file go."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _turns(self, number: int) -> int:
        """How often the file of this number was turned over; more often than there are files if it is gone."""
        return next((n for n in range(1, KEPT + 1) if _number(self._at(n)) == number), KEPT + 1)

    def _older(self, turns: int) -> Iterator[Event]:
        """Files that were turned over so often or less."""
        for number in range(turns, 0, -1):
            with contextlib.suppress(FileNotFoundError):
                yield from _events(self._at(number).read_bytes())

    def _at(self, turns: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{turns}")

    def _rest(self, file: BinaryIO) -> Iterator[Event]:
        """The whole lines from here on."""
        begin = file.tell()
        data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        file.seek(begin + len(whole))
        yield from _events(whole)


def _number(path: Path) -> int:
    """The inode's number; 0 if nothing is there."""
    try:
        return path.stat().st_ino
    except OSError:
        return 0


def _events(data: bytes) -> Iterator[Event]:
    for line in data.splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            continue  # the end of a line that a killed daemon could not finish
        if isinstance(event, dict) and "event" in event:
            yield event


def shown(args: argparse.Namespace, folder: Path, logs: Logs, show: Callable[[Event], None]) -> int:
    """Show what the options of a verb ask for. 0: shown. 2: nothing is known of the service."""
    show = _show_json if args.json else show
    with contextlib.closing(logs):
        earlier = logs.earlier()
        if args.service is not None and args.service not in logs.services and not _may_come(args):
            return _unknown_service(logs, args.verb, args.service)
        if not earlier and not args.follow and args.service is None:
            print("nothing was logged yet: no daemon has run this spec from here; `bentod up` does", file=sys.stderr)
        for event in earlier[-args.lines :] if args.lines > 0 else []:
            show(event)
        if args.follow:
            _follow(folder, logs, show)
    return 0


def _follow(folder: Path, logs: Logs, show: Callable[[Event], None]) -> None:
    """Show what comes, for ever: a daemon that ends may be followed by another."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    # what came between the first reading and the first look of the watch is found at the first time-out
    for _ in watch(folder, debounce=50, step=20, recursive=False, rust_timeout=1000, yield_on_timeout=True):
        for event in logs.new():
            show(event)


def _may_come(args: argparse.Namespace) -> bool:
    """Whether a service of which nothing is known may still say something; `-f bentofile.yaml` is meant as a spec."""
    return args.follow and not args.service.endswith(_SPECS)


def _unknown_service(logs: Logs, verb: str, service: str) -> int:
    """Say that there is nothing of a service. Returns the exit code."""
    known = ", ".join(sorted(logs.services)) or "none"
    print(f"nothing was logged of a service {service!r}; there is something of: {known}", file=sys.stderr)
    print(f"(here `-f` follows; the spec is named by `--file FILE`, or by `bentod -f FILE {verb}`)", file=sys.stderr)
    return 2


def clock(event: Event) -> str:
    """When an event was, for a person."""
    return str(event.get("time", ""))[:19].replace("T", " ")


def _show_json(event: Event) -> None:
    """An event as a line of JSON."""
    print(json.dumps(event, ensure_ascii=False), flush=True)
