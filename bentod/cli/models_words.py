"""What the actions of `bentod models` share: where the models are, how they are written, how far the reading is."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from bentod.cli.progress import Rate, bar
from bentod.errors import Unknown
from bentod.models.home import Home, default_home
from bentod.models.progress import Progress

if TYPE_CHECKING:  # both take a while to load, and to pull needs them only once its process has begun
    from bentod.models.records import Record
    from bentod.models.store import Store

HUB = "hf://"
_SHOWN = 12
_EVERY_S = 0.1


class Wrong(Unknown):
    """A word of the command line means nothing."""


def home() -> Home:
    """Where the models of this host are."""
    return default_home(os.environ)


def store() -> Store:
    """The store of this host."""
    from bentod.models.store import Store

    return Store(home().store)


def hub_tag(record: Record) -> str:
    """A fetch, as it can be named."""
    return f"{HUB}{record.source}@{record.commit[:_SHOWN]}"


def means(word: str, record: Record) -> bool:
    """Whether `hf://ORG/NAME`, or with `@` and the beginning of a commit, is this fetch."""
    source, _, commit = word.removeprefix(HUB).partition("@")
    return source == record.source and record.commit.startswith(commit)


def files(count: int) -> str:
    """A number of files, for people."""
    return f"{count} file{'s' * (count != 1)}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]], right: frozenset[int] = frozenset()) -> str:
    """Rows below a head, in columns; those of `right` end at the same place."""
    lines = [head, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join(
        "  ".join(
            cell.rjust(widths[at]) if at in right else cell.ljust(widths[at]) for at, cell in enumerate(line)
        ).rstrip()
        for line in lines
    )


@contextmanager
def counting(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Takes the bytes that were read, from any thread, and draws a bar of them if this is a terminal."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    lock, rate, done, drawn_s = threading.Lock(), Rate(time.monotonic), 0, 0.0

    def count(size: int) -> None:
        nonlocal done, drawn_s
        with lock:
            done += size
            now = time.monotonic()
            if now - drawn_s >= _EVERY_S:
                drawn_s = now
                told = bar(Progress(what, done, total, state="fetching"), rate.at(done))
                print(f"\r\x1b[2K{told}", end="", file=sys.stderr, flush=True)

    try:
        yield count
    finally:
        print("\r\x1b[2K", end="", file=sys.stderr, flush=True)
