"""Files written to disk beside the event loop: while they arrive, in large pieces, or together once all is read."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import TracebackType
from typing import IO

from bentod.codec.folder import storing
from bentod.codec.inbound import Folder
from bentod.iotypes.parts import Memory

_ENOUGH = 256 * 1024


class Spool:
    """A new file, open until the `with` ends. `put` keeps, `written` writes."""

    def __init__(self, path: Path) -> None:
        """Raises StorageFailed."""
        self.path = path
        with storing():
            self._file: IO[bytes] = path.open("xb", buffering=0)
        self._kept: list[Memory] = []
        self._size = 0

    def put(self, data: Memory) -> None:
        """Keep what has arrived."""
        self._kept.append(data)
        self._size += len(data)

    async def written(self, *, all_: bool = False) -> None:
        """Write what is kept if it is enough to be worth it. Raises StorageFailed."""
        if self._kept and (all_ or self._size >= _ENOUGH):
            kept, self._kept, self._size = b"".join(self._kept), [], 0
            with storing():
                await asyncio.to_thread(_write, self._file, kept)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Spool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _write(file: IO[bytes], data: bytes) -> None:
    """All of it: one write may take less."""
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]


class Together:
    """The folder of a call whose files are in memory until `written`. Their names are taken, and they are open, at
    once: so the folder can be removed at any time."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._files: list[Spool] = []

    def new(self, name: str) -> Path:
        """Raises BodyTooLarge, StorageFailed."""
        return self._folder.new(name)

    def put(self, name: str, data: Memory) -> Path:
        """Raises BodyTooLarge, StorageFailed."""
        spool = Spool(self._folder.new(name))
        spool.put(data)
        self._files.append(spool)
        return spool.path

    async def written(self) -> None:
        """Write all of them. Raises StorageFailed."""
        for spool in self._files:
            await spool.written(all_=True)

    def __enter__(self) -> Together:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for spool in self._files:
            spool.close()
