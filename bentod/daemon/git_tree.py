"""A project as it was at a commit, written to a folder: what git holds, without running any filter or hook."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from bentod.daemon.git import GitError, run

LARGEST = 16 * 1024 * 1024
"""What is larger is left out: it is neither a spec nor a source."""
MOST = 512 * 1024 * 1024
_LIMIT_S = 60.0
_LINK = b"120000"


@dataclass(frozen=True, slots=True)
class _Entry:
    """A file or a link."""

    name: bytes
    mode: bytes
    object: bytes
    size: int


def extract(project: Path, environ: Mapping[str, str], commit: str, folder: Path) -> None:
    """Write the project's folder as it was at `commit` into `folder`, which is empty. Raises GitError."""
    listed = run(project, environ, "ls-tree", "-r", "-z", "-l", commit, limit_s=_LIMIT_S)
    entries = [entry for entry in _entries(listed) if entry.size <= LARGEST and _is_inside(entry.name)]
    if sum(entry.size for entry in entries) > MOST:
        raise GitError(f"{project} has more than {MOST // 1024**2} MiB of files at {commit[:12]}")
    wanted = b"".join(entry.object + b"\n" for entry in entries)
    data = run(project, environ, "cat-file", "--batch", given=wanted, limit_s=_LIMIT_S)
    # links last: nothing is written through one
    for entry, content in sorted(zip(entries, _contents(data), strict=True), key=lambda pair: pair[0].mode == _LINK):
        path = folder / entry.name.decode("utf-8", "surrogateescape")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if entry.mode == _LINK:
                path.symlink_to(content.decode("utf-8", "surrogateescape"))
            else:
                path.write_bytes(content)
        except (OSError, ValueError) as error:
            raise GitError(f"{path} cannot be written: {error}") from None


def _entries(listed: bytes) -> Iterator[_Entry]:
    """`<mode> <type> <object> <size>\\t<name>`, each ended by a NUL; submodules have no content."""
    for line in listed.split(b"\0"):
        meta, tab, name = line.partition(b"\t")
        if tab:
            mode, kind, number, size = meta.split()
            if kind == b"blob":
                yield _Entry(name, mode, number, int(size))


def _is_inside(name: bytes) -> bool:
    path = PurePosixPath(name.decode("utf-8", "surrogateescape"))
    return not path.is_absolute() and not {"..", ".git"} & set(path.parts)


def _contents(data: bytes) -> Iterator[bytes]:
    """`<object> blob <size>\\n<content>\\n`, one after the other."""
    at = 0
    while at < len(data):
        end = data.index(b"\n", at)
        with contextlib.suppress(ValueError):
            size = int(data[at:end].rpartition(b" ")[2])
            yield data[end + 1 : end + 1 + size]
            at = end + size + 2
            continue
        raise GitError(f"git: {data[at:end].decode('utf-8', 'replace')}")
