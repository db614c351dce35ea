"""A file written to disk while it arrives, in large pieces and beside the event loop."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import TracebackType
from typing import IO

from bentod.iotypes.parts import Memory

_ENOUGH = 256 * 1024


class Spool:
    """A new file, open until the `with` ends. `put` keeps, `written` writes."""

    def __init__(self, path: Path) -> None:
        """Raises OSError."""
        self.path = path
        self._file: IO[bytes] = path.open("xb", buffering=0)
        self._kept: list[Memory] = []
        self._size = 0

    def put(self, data: Memory) -> None:
        """Keep what has arrived."""
        self._kept.append(data)
        self._size += len(data)

    async def written(self, *, all_: bool = False) -> None:
        """Write what is kept if it is enough to be worth it. Raises OSError."""
        if self._kept and (all_ or self._size >= _ENOUGH):
            kept, self._kept, self._size = b"".join(self._kept), [], 0
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
