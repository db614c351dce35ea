"""Watches what a daemon is made from, and says when it may have changed: a hint, no proof (that is `contents.py`)."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from watchfiles._rust_notify import RustNotify  # as in its manual: awatch cannot tell when it has begun to watch

from bentod.daemon.pending import Pending
from bentod.daemon.places import Places, Wanted
from bentod.observe.log import Log
from bentod.spec.patterns import UnusablePattern

__all__ = ("Wanted", "Watch")

_T = TypeVar("_T")

_ROUND_S = 5.0
"""So often we look, too: the kernel drops events when there are too many, and some file systems have none."""
_POLL_S = 1.0
_DELAYS_S = (0.1, 0.25, 0.5, 1.0, 2.0, 5.0)


class Watch:
    """Calls `changed` with the names of files, from the project's folder, once nothing has changed for `debounce_s`.

    It is also called without names when something may have been missed, such as after each start of watching. `wanted`
    says what counts; call `refresh` when it would say something else. `begun` is called with names at once, before it
    has been quiet. All is for one event loop.
    """

    def __init__(
        self,
        project: Path,
        wanted: Callable[[], Wanted],
        changed: Callable[[frozenset[str]], None],
        log: Log,
        debounce_s: float,
        begun: Callable[[frozenset[str]], None] = lambda names: None,
    ) -> None:
        self._project = project
        self._wanted = wanted
        self._changed = changed
        self._begun = begun
        self._log = log
        self._pending = Pending(debounce_s, self._flush)
        self._step_s = min(0.1, max(0.02, debounce_s / 4))
        self._interrupt = threading.Event()
        self._woken = asyncio.Event()
        self._stopping = False
        self._asked = Wanted()
        self._polling = False
        self._limited = False
        self._failures = 0
        self.trouble = ""
        """Why nothing can be watched now, if that is so."""
        self._task: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, "watch")

    def start(self) -> None:
        """Begin to watch."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Watch no more; `changed` is not called again."""
        self._stopping = True
        self._wake()
        if self._task is not None:
            await asyncio.wait([self._task])
        self._pending.close()
        self._thread.shutdown(wait=False)  # it has nothing left to do

    def refresh(self) -> None:
        """Ask again what is wanted."""
        if self._wanted() != self._asked:
            self._wake()

    def _wake(self) -> None:
        # what has happened up to now is thrown away by this: a hint must follow
        self._interrupt.set()
        self._woken.set()

    async def _run(self) -> None:
        try:
            while not self._stopping:
                try:
                    await self._watch()
                except (OSError, RuntimeError, ValueError, UnusablePattern) as error:
                    await self._failed(str(error))
        finally:
            self._interrupt.set()

    async def _watch(self) -> None:
        """Watch, until other folders have to be watched. Raises what `_run` expects."""
        self._interrupt.clear()
        self._asked = self._wanted()
        places = await self._places()
        notify = await self._notify([str(folder) for folder in places.folders])
        self._say_limited(places)
        self._pending.add(frozenset())
        try:
            await self._follow(notify, places)
        finally:
            notify.close()

    async def _follow(self, notify: RustNotify, places: Places) -> None:
        looked = time.monotonic()
        while not self._stopping:
            paths = await self._in_thread(lambda: self._wait(notify))
            self._failures, self.trouble = 0, ""
            self._interrupt.clear()
            asked, self._asked = self._asked, self._wanted()
            seen = await self._in_thread(functools.partial(places.seen, paths))
            self._count(seen.names)
            outdated = seen.outdated or self._asked != asked
            if not outdated and time.monotonic() - looked < self._round_s:
                continue
            looked = time.monotonic()
            missed = await self._in_thread(places.missed)
            self._count(missed.names)
            if self._asked != asked:
                self._pending.add(frozenset())
            before = places.folders
            if outdated or missed.outdated:
                places = await self._places()
            if seen.rebuilt or missed.rebuilt or places.folders != before:
                return

    async def _places(self) -> Places:
        return await self._in_thread(functools.partial(Places, self._project, self._asked))

    @property
    def _round_s(self) -> float:
        """So often we look ourselves."""
        return _POLL_S if self._polling else _ROUND_S

    def _count(self, names: frozenset[str]) -> None:
        if names:
            self._begun(names)
            self._pending.add(names, self._step_s)

    def _wait(self, notify: RustNotify) -> frozenset[str]:
        """The paths that something has happened to, if anything has within some seconds. For the thread."""
        step_ms = round(self._step_s * 1000)
        found = notify.watch(4 * step_ms, step_ms, round(self._round_s * 1000), self._interrupt)
        return frozenset(path for _, path in found) if isinstance(found, set) else frozenset()

    async def _notify(self, folders: list[str]) -> RustNotify:
        """What watches the folders: the kernel, or, if it has no watch left for us, somebody who looks every second."""
        try:
            notify = await self._in_thread(lambda: _watching(folders, polling=False))
            self._polling = False
        except (FileNotFoundError, PermissionError):
            raise
        except (OSError, RuntimeError) as error:
            if not self._polling:
                self._polling = True
                reason = str(error).partition(" about [")[0].rstrip(".")  # the rest is Rust
                self._log("watch.polling", level="warning", reason=reason, interval_s=_POLL_S)
            notify = await self._in_thread(lambda: _watching(folders, polling=True))
        return notify

    async def _failed(self, reason: str) -> None:
        """Wait for a while, or until `refresh`. That a folder vanishes while we look at it is not worth a word."""
        delay_s = _DELAYS_S[min(self._failures, len(_DELAYS_S) - 1)]
        self._failures += 1
        if self._failures == 2:
            self._log("watch.failed", level="warning", reason=reason)
        self.trouble = reason if self._failures > 1 else ""
        self._woken.clear()
        if not self._stopping:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), delay_s)

    def _say_limited(self, places: Places) -> None:
        if places.limited and not self._limited:
            self._log("watch.limited", level="warning", folders=len(places.folders))
        self._limited = places.limited

    def _flush(self, names: frozenset[str]) -> None:
        if not self._stopping:
            if names:
                self._log("watch.changed", level="debug", files=sorted(names))
            self._changed(names)

    async def _in_thread(self, what: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, what)


def _watching(folders: list[str], *, polling: bool) -> RustNotify:
    return RustNotify(
        folders,
        debug=False,
        force_polling=polling,
        poll_delay_ms=round(_POLL_S * 1000),
        recursive=False,
        ignore_permission_denied=False,  # it would ignore all errors, that there is no watch left, too
    )
