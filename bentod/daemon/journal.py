"""What a daemon writes down of its generations. A disk that is full must not keep it from serving: then it says so, and
goes on."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar

import bentod
from bentod.daemon import git
from bentod.daemon.desired import Desired, recorded
from bentod.daemon.folders import Folders
from bentod.daemon.history import History, HistoryFailed, Marker, ModelRecord, Outcome, Record, ServiceRecord, ended
from bentod.daemon.objects import Objects
from bentod.daemon.room import Room
from bentod.daemon.weights import NO_MODELS, Weights
from bentod.errors import BentodError
from bentod.plan import fingerprint
from bentod.supervise.pool import Pool

_Result = TypeVar("_Result")
_GIT_S = 0.5
"""For so long the record of an attempt waits for git at its end; what git says later is added."""


class UnknownGeneration(BentodError):
    """There is no record of it that could be used."""


class Journal:
    """The history of one spec, as this daemon writes it. Reading and writing is done in threads."""

    def __init__(self, folders: Folders, environ: Mapping[str, str], log: Callable[..., None]) -> None:
        self._history = History(folders.history)
        self._marker = Marker(folders.state)
        self._objects = Objects(folders.objects)
        self._folder = folders.objects
        self._environ = environ
        self._log = log
        self._turn = asyncio.Lock()
        self._services: Mapping[str, ServiceRecord] = {}  # of what runs, as recorded
        self._late: set[asyncio.Task[None]] = set()
        self._open: dict[int, tuple[Record, asyncio.Task[git.Git | None]]] = {}

    async def begin(self, desired: Desired, reason: str, difference: dict[str, Any] | None = None) -> int:
        """An attempt begins. Returns its number."""
        number = await asyncio.to_thread(self._history.next_number)
        record = Record(
            number=number,
            time=datetime.now(UTC).isoformat(timespec="milliseconds"),
            reason=reason,
            bentod=bentod.__version__,
            files=dict(desired.texts),
            spec=desired.loaded.as_written,
            difference=difference,
        )
        where = asyncio.create_task(asyncio.to_thread(git.describe, desired.plan.project, self._environ))
        self._open[number] = record, where
        await self._try(partial(self._history.begin, record))
        return number

    async def live(self, number: int, seconds: float, pools: Mapping[str, Pool], models: Weights = NO_MODELS) -> None:
        """The attempt is what runs now."""
        self._services = _services(pools)
        kept = {one.name: ModelRecord(one, models.located[one.name].digest) for one in models.pinned}
        await self._finish(number, "live", seconds, services=self._services, models=kept)
        await self._try(partial(self._marker.set, number, os.getpid()))
        await self._try(partial(self._prune, _digests(pools.values())))

    async def failed(self, number: int, seconds: float, error: str) -> None:
        """The attempt has failed."""
        await self._finish(number, "failed", seconds, error)

    async def grown(self, number: int, pools: Mapping[str, Pool]) -> None:
        """What runs may have imported more since."""
        services = _services(pools)
        if services != self._services:
            self._services = services
            await self._amend(number, lambda record: replace(record, services=services))

    async def record(self, number: int) -> Record:
        """What was recorded. Raises UnknownGeneration."""
        record = await asyncio.to_thread(self._history.get, number)
        if record is None:
            raise UnknownGeneration(f"there is no record of a generation {number}; see `bentod history`")
        return record

    async def desired(self, number: int, room: Room | None = None) -> Desired:
        """What was wanted then, with its code, placed in `room`. Raises UnknownGeneration, SpecError, PlanError."""
        record = await self.record(number)
        if record.outcome != "live":
            raise UnknownGeneration(f"generation {number} has never served: {record.error or record.outcome}")
        missing = await asyncio.to_thread(self._missing, record)
        if missing:
            names = ", ".join(missing[:3])
            raise UnknownGeneration(
                f"not all code of generation {number} is kept, and these files hold something else now: {names}; "
                "put them back first, or choose another one of `bentod history`"
            )
        return await asyncio.to_thread(recorded, record, self._environ, self._folder, room)

    def _missing(self, record: Record) -> list[str]:
        services = record.services.values()
        return [name for service in services for name in self._objects.missing(service.files, record.project)]

    def left(self) -> Record | None:
        """The last generation that was live, if a daemon has ended without having stopped."""
        return self._history.last_live() if self._marker.left() is not None else None

    async def close(self) -> None:
        """The daemon stops in order."""
        for task in self._late:
            task.cancel()
        for _, where in self._open.values():
            where.cancel()
        await self._try(self._marker.clear)

    async def _finish(
        self,
        number: int,
        outcome: Outcome,
        seconds: float,
        error: str = "",
        services: Mapping[str, ServiceRecord] | None = None,
        models: Mapping[str, ModelRecord] | None = None,
    ) -> None:
        record, where = self._open.pop(number)
        record = ended(replace(record, services=services or {}, models=models or {}), outcome, seconds, error)
        await asyncio.wait([where], timeout=_GIT_S)
        if where.done():
            record = replace(record, git=None if where.exception() else where.result())
        else:  # a change is not over later because of git
            task = asyncio.create_task(self._add_git(number, where))
            self._late.add(task)
            task.add_done_callback(self._late.discard)
        async with self._turn:
            await self._try(partial(self._history.finish, record))

    async def _add_git(self, number: int, where: asyncio.Task[git.Git | None]) -> None:
        found = await where
        await self._amend(number, lambda record: replace(record, git=found))

    async def _amend(self, number: int, change: Callable[[Record], Record]) -> None:
        """Write down more of an attempt that has a record."""
        async with self._turn:
            record = await asyncio.to_thread(self._history.get, number)
            changed = change(record) if record is not None else record
            if changed is not None and changed != record:
                await self._try(partial(self._history.finish, changed))

    def _prune(self, running: Collection[str]) -> None:
        if self._history.prune():
            named = {
                digest
                for one in self._history.records()
                for service in one.services.values()
                for digest in service.files.values()
            }
            self._objects.collect(named.union(running))

    async def _try(self, write: Callable[[], _Result]) -> None:
        try:
            await asyncio.to_thread(write)
        except HistoryFailed as error:
            self._log("history.failed", level="warning", reason=str(error))


def _services(pools: Mapping[str, Pool]) -> dict[str, ServiceRecord]:
    return {
        name: ServiceRecord(fingerprint.digest(pool.plan, pool.files), dict(pool.files)) for name, pool in pools.items()
    }


def _digests(pools: Iterable[Pool]) -> set[str]:
    return {digest for pool in pools for digest in pool.files.values()}
