"""The files that decide what runs: what they hold now, and whether that is news."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from bentod.daemon.contents import Contents
from bentod.daemon.contents import name as shown
from bentod.daemon.desired import Desired
from bentod.daemon.folders import Folders
from bentod.daemon.patterns import Patterns
from bentod.daemon.proposal import Disk, Running
from bentod.daemon.watch import Wanted
from bentod.inventory.memory import available_memory
from bentod.plan.model import ReloadPlan
from bentod.spec.patterns import UnusablePattern
from bentod.supervise.pool import Pool

_ANYTHING = "?"
"""What a file held when it was last considered, if nobody knows: whatever is found there first is no news."""
_DIFFERENT = "!"
"""Several things at once: whatever is found there is news."""


class Sources:
    """Of one daemon: the spec's `files`, what is named beside them, what its workers imported, what `reload.include`
    names. `locked`: they count only as far as they are what the lock file says."""

    def __init__(self, folders: Folders, project: Path, files: Sequence[Path], *, locked: bool = False) -> None:
        self.files = tuple(files)
        self.locked = locked
        self.included: Mapping[str, str] = {}
        """What `reload.include` named, and what that held, when what runs now was made."""
        self._project = project
        self._contents = Contents()
        self._ignored = (folders.state, folders.run, folders.files)
        self._beside: tuple[Path, ...] = ()
        self._reload = ReloadPlan()
        self._patterns = self._patterns_of(self._reload)
        self._imported: frozenset[str] = frozenset()
        self._failed: frozenset[str] = frozenset()
        self._mending = False
        self._pinned = False
        self._known: dict[Path, str] = {}  # what each file held when it was last considered
        self._known_included: Mapping[str, str] | None = None

    # ── what counts ──────────────────────────────────────────────────────────────────────────────

    async def begin(self, desired: Desired, pools: Iterable[Pool]) -> None:
        """This is what a daemon has started with. Raises UnusablePattern; the files themselves count even then."""
        reload = desired.plan.reload
        try:
            included = await self._include(self._patterns_of(reload))
        except UnusablePattern:
            self._expect(desired, replace(reload, include=(), exclude=()))
            self.imported(pools)
            raise
        self.follow(desired, pools, Disk(included=included))

    def follow(self, desired: Desired, pools: Iterable[Pool], disk: Disk) -> None:
        """What runs now is what counts from now on; it was made from what `disk` says."""
        self._expect(desired, desired.plan.reload)
        self._failed, self._mending = frozenset(), False
        self.included = self._known_included = disk.included
        self.imported(pools)

    def _expect(self, desired: Desired, reload: ReloadPlan) -> None:
        self._patterns = self._patterns_of(reload)
        self._reload, self._pinned = reload, bool(desired.pins)
        self.files, self._beside = desired.loaded.files, desired.beside
        self._beside += (desired.lock,) if self.locked else ()

    def imported(self, pools: Iterable[Pool]) -> bool:
        """The running workers have imported what they have by now. Returns whether that is more, or less, than was
        known."""
        pools = tuple(pools)
        before, self._imported = self._imported, frozenset(name for pool in pools for name in pool.files)
        self._learn(pools)
        return before != self._imported

    def failed(self, pools: Iterable[Pool] = (), *, pinned: bool = False) -> None:
        """An attempt has failed. What it imported counts too, and any module that appears may be what it needs.
        `pinned`: it imported what was recorded, not what is there."""
        pools = tuple(pools)
        self._failed = frozenset(name for pool in pools for name in pool.files)
        self._mending = True
        self._learn(pools, pinned=pinned)

    def _learn(self, pools: Sequence[Pool], *, pinned: bool = False) -> None:
        """What was imported has been considered with that, as far as nothing was known of it."""
        found: dict[Path, set[str]] = {}
        for pool in pools:
            for name, digest in pool.files.items():
                found.setdefault(self._project / name, set()).add(digest)
        for path, digests in found.items():
            one = next(iter(digests)) if len(digests) == 1 else _DIFFERENT
            self._known.setdefault(path, _ANYTHING if pinned or self._pinned else one)

    def wanted(self) -> Wanted:
        """What has to be watched."""
        names = (self._project / name for name in self._imported | self._failed)
        files = (*self.files, *self._beside, *(path for path in names if not self._patterns.excluded(path)))
        return Wanted(frozenset(files), self._reload.include, self._reload.exclude, self._ignored, self._mending)

    # ── what it holds ────────────────────────────────────────────────────────────────────────────

    async def disk(self, desired: Desired, running: Running) -> Disk:
        """What the files hold that something was made from, once they stay the same. Raises UnusablePattern."""
        patterns = self._patterns_of(desired.plan.reload)
        names = {name for files in running.files.values() for name in files}
        counted = {name: self._project / name for name in names if not patterns.excluded(self._project / name)}
        found = await self._contents.settled(counted.values())
        files = {name: found[path] for name, path in counted.items()}
        return Disk(files, await self._include(patterns), available_memory())

    async def news(self, hints: Iterable[str] = (), files: Iterable[Path] = ()) -> bool:
        """Whether what the files hold differs from when this was last asked, or from what was made of them since.
        `hints` are files that may have changed though nothing names them, `files` are about to be read."""
        wanted = self.wanted().files
        found = await self._contents.settled({*wanted, *files, *(self._project / name for name in hints)})
        try:
            included: Mapping[str, str] = await self._include(self._patterns)
        except UnusablePattern as error:
            included = {"": str(error)}  # `disk` says so, unless the spec is mended by now
        differs = self._known_included != included or any(
            self._known.get(path, "" if path not in wanted else _DIFFERENT) not in (digest, _ANYTHING)
            for path, digest in found.items()
        )
        self._known |= found
        self._known_included = included
        return differs

    def read(self, files: Iterable[Path], held: Mapping[Path, bytes]) -> None:
        """The spec's files were read, and held this, whatever `news` had found a moment before: so that is what is
        considered."""
        for path in files:
            self._known[path] = hashlib.sha256(held[path]).hexdigest() if path in held else ""

    def found(self, disk: Disk) -> None:
        """This is what a change is made from, whatever `news` had found a moment before."""
        self._known |= {self._project / name: digest for name, digest in disk.files.items()}
        self._known_included = disk.included

    async def moved(self, pools: Iterable[Pool]) -> str:
        """A file that holds something else than was read or found in it, or than one of these pools imported; "" if
        there is none. Then what was made of them may be half of one edit and half of the next, and there will be
        news."""
        known = {path: self._known.get(path, "") for path in (*self.files, *self._beside)}
        known |= {self._project / name: digest for pool in pools for name, digest in pool.files.items()}
        counted = [path for path in known if not self._patterns.excluded(path)]
        now = await asyncio.to_thread(self._contents.digests, counted)
        moved = next((path for path, digest in now.items() if digest and digest != known[path]), None)
        if moved is None:
            return ""
        self._known[moved] = _DIFFERENT
        return shown(moved, self._project)

    async def _include(self, patterns: Patterns) -> dict[str, str]:
        paths = await asyncio.to_thread(patterns.files)
        found = await self._contents.settled(paths) if paths else {}
        return {shown(path, self._project): digest for path, digest in found.items()}

    def _patterns_of(self, reload: ReloadPlan) -> Patterns:
        return Patterns(self._project, reload.include, reload.exclude, self._ignored)
