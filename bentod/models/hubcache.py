"""Where huggingface_hub keeps files: a blob by its digest, and a link to it from each commit's snapshot.

Its documentation describes this layout, and everything on the host that uses the library shares it.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
from pathlib import Path

from bentod.models.progress import Offered
from bentod.whole import PUBLIC, write_whole

_DIGEST = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


class RepositoryCache:
    """What the cache in `root` has of one repository."""

    def __init__(self, root: Path, source: str) -> None:
        self.folder = root.absolute() / f"models--{source.replace('/', '--')}"

    def snapshot(self, commit: str) -> Path:
        """The folder of a commit's files."""
        return self.folder / "snapshots" / commit

    def blob(self, file: Offered) -> Path:
        """Where the bytes of a file lie. Its digest is a hub's word, so it is checked that it is one."""
        name = file.sha256 or file.sha1
        if not _DIGEST.fullmatch(name):
            raise ValueError(f"it says that the digest of {file.path} is {name[:80]!r}")
        return self.folder / "blobs" / name

    def link(self, commit: str, file: Offered) -> None:
        """Have the snapshot's file be the blob, in place of what is there. Raises OSError."""
        blob, place = self.blob(file), self.snapshot(commit) / file.path
        place.parent.mkdir(parents=True, exist_ok=True)
        target = os.path.relpath(blob, place.parent)
        with contextlib.suppress(FileExistsError, PermissionError):
            place.symlink_to(target)  # at once: whoever is killed here leaves nothing behind
            return
        temporary = place.with_name(f".{secrets.token_hex(8)}.tmp")
        try:
            try:
                temporary.symlink_to(target)
            except PermissionError:  # a file system without links
                shutil.copyfile(blob, temporary)
            temporary.replace(place)
        finally:
            temporary.unlink(missing_ok=True)

    def point(self, revision: str, commit: str) -> None:
        """Note what a branch or a tag was last, so that others find the files without a network."""
        if {"", ".", ".."} & set(revision.split("/")):
            return
        place = self.folder / "refs" / revision
        with contextlib.suppress(OSError):  # it is for others only
            place.parent.mkdir(parents=True, exist_ok=True)
            write_whole(place, commit.encode(), PUBLIC)

    def free(self) -> int:
        """How many bytes can still be written there."""
        folder = next(path for path in (self.folder, *self.folder.parents) if path.exists())
        return shutil.disk_usage(folder).free
