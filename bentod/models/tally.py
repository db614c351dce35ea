"""How far the fetch of one model is, counted by several threads and told a few times a second."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from threading import Lock

from bentod.models.progress import Listing, Progress, State

EVERY_S = 0.2

Report = Callable[[Progress], None]


class Tally:
    """Counts the bytes of one model. `clock` is monotonic."""

    def __init__(self, model: str, report: Report, clock: Callable[[], float]) -> None:
        self._progress = Progress(model)
        self._done = 0
        self._report = report
        self._clock = clock
        self._told_s = float("-inf")
        self._lock = Lock()

    def say(self, state: State, note: str = "") -> None:
        """Tell of a step, at once."""
        with self._lock:
            self._progress = replace(self._progress, state=state, note=note)
            self._tell()

    def expect(self, listing: Listing) -> None:
        """It is known by now what is to be fetched."""
        with self._lock:
            self._progress = replace(self._progress, total_bytes=listing.size, files=len(listing.files))
            self._done = 0

    def file(self, path: str) -> Callable[[int], None]:
        """Who counts the bytes of one file; what had to be thrown away counts negative."""
        return partial(self._count, path)

    def _count(self, path: str, size: int) -> None:
        with self._lock:
            self._done += size
            if self._clock() - self._told_s >= EVERY_S:
                self._progress = replace(self._progress, file=path)
                self._tell()

    def _tell(self) -> None:
        self._told_s = self._clock()
        self._report(replace(self._progress, done_bytes=self._done))
