"""Which files the workers of a pool have imported, and whether they agree about what is in them."""

from __future__ import annotations

from collections.abc import Mapping


class Files:
    """Paths from the project's folder with the SHA-256 of their content, by the worker that reported them."""

    def __init__(self) -> None:
        self._reports: dict[int, Mapping[str, str]] = {}
        self._kept: dict[str, str] | None = None

    def report(self, index: int, files: Mapping[str, str]) -> None:
        """What a worker has imported; it replaces what the worker with this index said before."""
        if self._reports.get(index) is files:
            return
        self._reports[index] = files
        if self._kept is not None:
            self._kept = self._union()

    def forget(self, index: int) -> None:
        """There is no such worker any more."""
        self._reports.pop(index, None)

    def keep(self) -> None:
        """From now on what was reported once stays, whatever later processes report."""
        self._kept = self._union()

    @property
    def union(self) -> dict[str, str]:
        """All files. Where workers do not agree the lowest index is right, or who was first once they are kept."""
        return self._union() if self._kept is None else dict(self._kept)

    @property
    def inconsistent(self) -> tuple[str, ...]:
        """The files of which there is more than one content."""
        found: dict[str, set[str]] = {}
        for files in (*self._reports.values(), self._kept or {}):
            for path, digest in files.items():
                found.setdefault(path, set()).add(digest)
        return tuple(sorted(path for path, digests in found.items() if len(digests) > 1))

    def _union(self) -> dict[str, str]:
        union: dict[str, str] = {}
        for index in sorted(self._reports, reverse=True):
            union.update(self._reports[index])
        return union | (self._kept or {})
