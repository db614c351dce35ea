"""What ran when: a record of each attempt at a generation, in files that survive whatever ends the daemon."""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import orjson
from pydantic import TypeAdapter, ValidationError

from bentod.daemon.git import Git
from bentod.errors import BentodError
from bentod.plan.models import ModelPlan
from bentod.supervise.processes import stat as process
from bentod.whole import create_whole, write_whole

_FILE = re.compile(r"([1-9][0-9]{0,8})\.json")
_MOST = 256 * 1024 * 1024
_TEMPORARY = re.compile(r"\..*\.tmp")

Outcome = Literal["starting", "live", "failed", "refused"]


class HistoryFailed(BentodError):
    """A record cannot be written or read: the disk is full, say, or the folder is not ours."""


@dataclass(frozen=True, slots=True)
class ServiceRecord:
    """What one service was made from: the project's files that its workers imported, by their SHA-256. `digest` stands
    for these and its settings."""

    digest: str
    files: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ModelRecord:
    """A model as it was declared, pinned to what it was, and the digest of its files."""

    declared: ModelPlan
    digest: str


@dataclass(frozen=True, slots=True)
class Record:
    """One attempt at a generation. `time` is in ISO 8601, UTC.

    `files` are the spec files, by their absolute paths, with their text as it was; `spec` is what they say together,
    with `${…}` as it was written: no secret of the environment is in either. `reason` says why there was an attempt,
    `error` why it failed, `difference` is the plan document that was acted on. An outcome of `starting` that does not
    change any more was ended with its daemon.
    """

    number: int
    time: str
    reason: str
    bentod: str
    outcome: Outcome = "starting"
    git: Git | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    spec: Mapping[str, Any] = field(default_factory=dict)
    services: Mapping[str, ServiceRecord] = field(default_factory=dict)
    models: Mapping[str, ModelRecord] = field(default_factory=dict)
    seconds: float | None = None
    difference: Mapping[str, Any] | None = None
    error: str = ""

    @property
    def project(self) -> Path:
        """The folder from which files are named."""
        return Path(next(iter(self.files), "")).parent


_RECORD = TypeAdapter(Record)


class History:
    """The records in `folder`, one file each: `<number>.json`. All that writes raises HistoryFailed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._last = 0
        self.damaged: tuple[Path, ...] = ()
        """Files that were no records when `records`, `get` or `last_live` came to them."""

    def next_number(self) -> int:
        """A number that no attempt had, damaged records included, nor one that this object was asked for."""
        self._last = max([self._last, *self._files()]) + 1
        return self._last

    def begin(self, record: Record) -> None:
        """Write the record of an attempt that has just begun."""
        data = _encoded(record)
        with _failing(f"generation {record.number} cannot be recorded"):
            self._make()
            create_whole(self._path(record.number), data)
        self._last = max(self._last, record.number)

    def finish(self, record: Record) -> None:
        """Write how the attempt ended, in place of what was known of it."""
        data = _encoded(record)
        with _failing(f"the end of generation {record.number} cannot be recorded"):
            self._make()
            write_whole(self._path(record.number), data)

    def records(self) -> list[Record]:
        """All records, newest first. What is damaged is left out, see `damaged`."""
        return list(self._newest_first())

    def get(self, number: int) -> Record | None:
        """One record; None if there is none, or a damaged one."""
        return self._read(number) if number in self._files() else None

    def last_live(self) -> Record | None:
        """The newest record of a generation that became ready."""
        return next((record for record in self._newest_first() if record.outcome == "live"), None)

    def prune(self, keep: int = 50) -> int:
        """Remove all but the newest `keep` files, never the last that became live, and what a killed daemon left
        half-written. Says how many records were removed."""
        live = self.last_live()
        spared = {live.number} if live else set()
        removed = 0
        with _failing("old records cannot be removed"):
            for path in self._temporary():
                path.unlink(missing_ok=True)
            for number in self._files()[keep:]:
                if number not in spared:
                    self._path(number).unlink(missing_ok=True)
                    removed += 1
        return removed

    def _newest_first(self) -> Iterator[Record]:
        for number in self._files():
            record = self._read(number)
            if record is not None:
                yield record

    def _read(self, number: int) -> Record | None:
        path = self._path(number)
        with contextlib.suppress(FileNotFoundError):
            try:
                record = _RECORD.validate_json(_held(path))
                if record.number == number:
                    return record
            except FileNotFoundError:
                raise
            except (OSError, ValidationError):
                pass
            self.damaged = tuple(dict.fromkeys((*self.damaged, path)))
        return None

    def _files(self) -> list[int]:
        """The numbers that are taken, newest first."""
        matches = (_FILE.fullmatch(name) for name in self._names())
        return sorted((int(match[1]) for match in matches if match), reverse=True)

    def _temporary(self) -> list[Path]:
        return [self._folder / name for name in self._names() if _TEMPORARY.fullmatch(name)]

    def _make(self) -> None:
        for folder in (self._folder.parent, self._folder):  # `parents` would make the first as anybody's
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def _names(self) -> list[str]:
        try:
            return [path.name for path in self._folder.iterdir()]
        except OSError:
            return []

    def _path(self, number: int) -> Path:
        return self._folder / f"{number}.json"


class Marker:
    """`running.json` in the state folder: there while a daemon runs, and after one that did not stop in order."""

    def __init__(self, state: Path) -> None:
        self._path = state / "running.json"

    def set(self, generation: int, pid: int) -> None:
        """Say that `generation` runs in the daemon `pid`. Raises HistoryFailed."""
        with _failing("it cannot be noted what runs"):
            write_whole(self._path, orjson.dumps({"generation": generation, "pid": pid, "started": _started(pid)}))

    def clear(self) -> None:
        """Say that the daemon stops in order. Raises HistoryFailed."""
        with _failing("it cannot be noted that nothing runs"):
            self._path.unlink(missing_ok=True)

    def left(self) -> int | None:
        """The generation of a daemon that has ended without having stopped; None if there is none."""
        try:
            found = orjson.loads(self._path.read_bytes())
            generation, pid, started = int(found["generation"]), int(found["pid"]), str(found["started"])
        except (OSError, ValueError, TypeError, KeyError):
            return None
        return None if started and _started(pid) == started else generation


def ended(record: Record, outcome: Outcome, seconds: float, error: str = "") -> Record:
    """The record of an attempt that has come to an end."""
    return replace(record, outcome=outcome, seconds=round(seconds, 3), error=error)


def _held(path: Path) -> bytes:
    """What a file holds: nothing, if it is none, or larger than any record. Raises OSError."""
    number = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a pipe of this name would hold us forever
    with os.fdopen(number, "rb") as stream:
        found = os.fstat(number)
        return stream.read() if stat.S_ISREG(found.st_mode) and found.st_size <= _MOST else b""


def _encoded(record: Record) -> bytes:
    try:
        return orjson.dumps(asdict(record), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    except (TypeError, ValueError) as error:
        raise HistoryFailed(f"generation {record.number} cannot be recorded: {error}") from None


@contextlib.contextmanager
def _failing(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        place = f" ({error.filename2 or error.filename})" if error.filename else ""
        raise HistoryFailed(f"{what}: {error.strerror or error}{place}") from None


def _started(pid: int) -> str:
    """When a process started, in a form that no other process of this host ever has; "" if it does not run."""
    fields = process(pid)
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
    return "" if not fields or fields[0] in {b"Z", b"X"} else f"{boot} {fields[19].decode()}"
