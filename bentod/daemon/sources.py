"""The files that decide what runs: what they hold now, and whether that is news."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from bentod.daemon.contents import Contents
from bentod.daemon.contents import name as shown
from bentod.daemon.desired import Desired
from bentod.daemon.folders import Folders
from bentod.daemon.inventory import available_memory
from bentod.daemon.patterns import Patterns
from bentod.daemon.proposal import Disk, Running
from bentod.daemon.watch import Wanted
from bentod.plan.model import ReloadPlan
from bentod.supervise.pool import Pool


class Sources:
    """Of one daemon: the spec's `files`, their `env_files`, what its workers imported, what `reload.include` names."""

    def __init__(self, folders: Folders, project: Path, files: Sequence[Path]) -> None:
        self.files = tuple(files)
        self.included: dict[str, str] = {}
        """What `reload.include` named, and what that held, when what runs now went live."""
        self._project = project
        self._contents = Contents()
        self._ignored = (folders.state, folders.run, folders.files)
        self._env_files: tuple[Path, ...] = ()
        self._reload = ReloadPlan()
        self._patterns = self._patterns_of(self._reload)
        self._imported: frozenset[str] = frozenset()
        self._failed: frozenset[str] = frozenset()
        self._mending = False
        self._considered = ""
        self._found: dict[Path, str] = {}

    async def follow(self, desired: Desired, pools: Iterable[Pool]) -> None:
        """What runs now is what counts from now on."""
        self.expect(desired)
        self.imported(pools)
        self._failed, self._mending = frozenset(), False
        self.included = await self._include()

    def expect(self, desired: Desired) -> None:
        """The spec says so. Raises UnusablePattern."""
        loaded, reload = desired.loaded, desired.plan.reload
        self._patterns = self._patterns_of(reload)
        self._reload, self.files, self._env_files = reload, loaded.files, loaded.env_files

    def imported(self, pools: Iterable[Pool]) -> bool:
        """The running workers have imported what they have by now. Returns whether that is more, or less, than was
        known."""
        before, self._imported = self._imported, frozenset(name for pool in pools for name in pool.files)
        return before != self._imported

    def failed(self, pools: Iterable[Pool] = ()) -> None:
        """An attempt has failed. What it imported counts too, and any module that appears may be what it needs."""
        self._failed = frozenset(name for pool in pools for name in pool.files)
        self._mending = True

    def wanted(self) -> Wanted:
        """What has to be watched."""
        names = self._imported | self._failed
        files = (*self.files, *self._env_files, *(self._project / name for name in names))
        return Wanted(frozenset(files), self._reload.include, self._reload.exclude, self._ignored, self._mending)

    async def disk(self, desired: Desired, running: Running) -> Disk:
        """What the files hold that something was made from, once they stay the same."""
        names = {name for files in running.files.values() for name in files}
        counted = {name: self._project / name for name in names if not self._patterns.excluded(self._project / name)}
        found = await self._contents.settled(counted.values())
        files = {name: found[path] for name, path in counted.items()}
        included = await self._include(self._patterns_of(desired.plan.reload))
        return Disk(files, included, available_memory())

    async def news(self, hints: Iterable[str] = ()) -> bool:
        """Whether what the files hold differs from when this was last asked. `hints` are files that may have changed
        though nothing names them."""
        wanted = self.wanted()
        paths = {*wanted.files, *(self._project / name for name in hints)}
        found = await self._contents.settled(paths)
        digests = {str(path): digest for path, digest in found.items() if digest}
        text = json.dumps([digests, await self._include()], sort_keys=True)
        before, self._considered = self._considered, hashlib.sha256(text.encode()).hexdigest()
        self._found = found
        return before != self._considered

    async def moved(self, pools: Iterable[Pool]) -> str:
        """A file that holds something else than `news` found in it, or than one of these pools imported; "" if there is
        none. Then what was made of them may be half of one edit and half of the next, and there will be news."""
        known = {path: self._found.get(path, "") for path in (*self.files, *self._env_files)}
        known |= {self._project / name: digest for pool in pools for name, digest in pool.files.items()}
        now = await asyncio.to_thread(
            self._contents.digests, [one for one in known if not self._patterns.excluded(one)]
        )
        moved = next((path for path, digest in now.items() if digest and digest != known[path]), None)
        if moved is None:
            return ""
        self._considered = ""
        return shown(moved, self._project)

    async def _include(self, patterns: Patterns | None = None) -> dict[str, str]:
        paths = await asyncio.to_thread((patterns or self._patterns).files)
        found = await self._contents.settled(paths) if paths else {}
        return {shown(path, self._project): digest for path, digest in found.items()}

    def _patterns_of(self, reload: ReloadPlan) -> Patterns:
        return Patterns(self._project, reload.include, reload.exclude, self._ignored)
