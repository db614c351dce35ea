"""What is told while models are fetched, and what a hub lists: values from the fetching process for its parent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["listing", "waiting", "fetching", "verifying", "ready"]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the model by the name `model` is: `done_bytes` of `total_bytes` in `files` files; `file` is the one that
    was worked on last. `waiting`: another process fetches the same model. `note`: a warning, such as that the hub
    cannot be reached and an earlier fetch is used."""

    model: str
    done_bytes: int = 0
    total_bytes: int = 0
    files: int = 0
    file: str = ""
    state: State = "listing"
    note: str = ""


@dataclass(frozen=True, slots=True)
class Offered:
    """One file that a hub lists: its path in the repository and its size in bytes. `sha256` is there for files in
    LFS, `sha1` is git's, of a blob, and is that of the pointer for a file in LFS."""

    path: str
    size: int
    sha256: str = ""
    sha1: str = ""


@dataclass(frozen=True, slots=True)
class Listing:
    """What fetching a model would fetch: the files of the commit that its patterns leave, sorted by path."""

    commit: str
    files: tuple[Offered, ...]

    @property
    def size(self) -> int:
        """All bytes of all files."""
        return sum(file.size for file in self.files)
