"""How far a stream may run ahead of its reader: pure accounts, and what a stream needs of the server that runs it."""

from __future__ import annotations

import threading
from collections import deque
from typing import Protocol

from bentod.wire.intake import Memory

Sendable = bytes | list[Memory]
"""A frame, whole or in pieces."""

_MOST_BYTES = 1024 * 1024


class Flow:
    """The chunks of one stream that were sent and not taken yet. At most `ahead` of them, and about 1 MiB.

    `gone` is true once nobody wants more.
    """

    __slots__ = ("_ahead", "_bytes", "_sizes", "gone")

    def __init__(self, ahead: int) -> None:
        self._ahead = ahead
        self._sizes: deque[int] = deque()
        self._bytes = 0
        self.gone = False

    def sent(self, chunk: Sendable) -> None:
        """A chunk is on its way."""
        size = len(chunk) if isinstance(chunk, bytes) else sum(memoryview(piece).nbytes for piece in chunk)
        self._sizes.append(size)
        self._bytes += size

    def taken(self, chunks: int) -> None:
        """So many more have found their reader."""
        for _ in range(min(chunks, len(self._sizes))):
            self._bytes -= self._sizes.popleft()

    def leave(self) -> None:
        """Nobody wants more."""
        self.gone = True

    @property
    def room(self) -> bool:
        """Whether one more may be sent."""
        return len(self._sizes) < self._ahead and self._bytes < _MOST_BYTES


class ThreadFlow(Flow):
    """The same for a stream that runs in a thread; another one hears from its reader, and tells by `changed`."""

    __slots__ = ("changed",)

    def __init__(self, ahead: int, changed: threading.Condition) -> None:
        super().__init__(ahead)
        self.changed = changed

    def sent(self, chunk: Sendable) -> None:
        with self.changed:
            super().sent(chunk)

    def taken(self, chunks: int) -> None:
        with self.changed:
            super().taken(chunks)
            self.changed.notify()

    def leave(self) -> None:
        with self.changed:
            super().leave()
            self.changed.notify()


class Outlet(Protocol):
    """The way out for the chunks of one stream, for the thread that runs it."""

    def send(self, chunk: Sendable) -> None:
        """Send one chunk."""

    def wait(self) -> bool:
        """Wait until one more may be sent; false if nobody wants more."""


class AsyncOutlet(Protocol):
    """The same for a task."""

    def send(self, chunk: Sendable) -> None:
        """Send one chunk."""

    async def wait(self) -> bool:
        """Wait until one more may be sent; false if nobody wants more."""
