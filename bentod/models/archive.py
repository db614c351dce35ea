"""Models as archives, or folders, for another host: the same model always gives the same bytes."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import lzma
import shutil
import tarfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from secrets import token_hex
from typing import BinaryIO, cast

from bentod import whole
from bentod.models import copying, digest, entry, manifest
from bentod.models.digest import CHUNK, Counted, Found, failing
from bentod.models.entry import Entry
from bentod.models.home import ModelError

FORMS = {".tar": "tar", ".tar.gz": "gz", ".tgz": "gz", ".tar.xz": "xz", ".txz": "xz"}
FOLDER = "folder"
_MODE = 0o644


def form_of(target: str) -> str:
    """What an export to `target` is to be: `tar`, `gz`, `xz` or `folder`. Raises ModelError."""
    path = Path(target)
    if target.endswith("/") or path.is_dir() or not path.suffix:
        return FOLDER
    for suffix, form in FORMS.items():
        if path.name.endswith(suffix):
            return form
    raise ModelError(
        f"no model can be exported as {target}: give it a name that ends in {', '.join(FORMS)}, or in `/` for a folder"
    )


def export(known: Entry, target: str, counted: Counted | None = None) -> Path:
    """Write the model to `target`, whose name says in which form. An archive that is there is replaced, once the new
    one is whole; a folder must be empty. Raises ModelError, also for a model that is not what was added."""
    form, path = form_of(target), Path(target).absolute()
    with failing(f"the model {known.tag} cannot be exported to {path}"):
        if form == FOLDER:
            _to_folder(known, path, counted)
        else:
            _to_archive(known, path, form, counted)
    return path


def _to_folder(known: Entry, target: Path, counted: Counted | None) -> None:
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ModelError(f"{target} is there already, and not empty; name a folder that is not there")
    temporary = target.with_name(f".{target.name[:100]}.{token_hex(8)}.tmp")
    try:
        temporary.mkdir()
        copied = copying.copied(_found(known), temporary / entry.FILES, counted=counted)
        if copied != known.manifest.file_set:
            raise _changed(known)
        whole.write_whole(temporary / manifest.NAME, manifest.encoded(known.manifest), copying.MODE)
        temporary.rename(target)
        whole.sync(target.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _to_archive(known: Entry, target: Path, form: str, counted: Counted | None) -> None:
    if target.exists() and not target.is_file():
        raise ModelError(f"{target} is no regular file; name another one")
    with (
        whole.replacing(target, whole.PUBLIC) as stream,
        _compressed(stream, form) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        _write(tar, known, counted)


@contextlib.contextmanager
def _compressed(stream: BinaryIO, form: str) -> Iterator[BinaryIO]:
    """The stream, or one that compresses into it, without the time or a name."""
    if form == "gz":
        with gzip.GzipFile(filename="", mode="wb", fileobj=stream, compresslevel=6, mtime=0) as packed:
            yield cast("BinaryIO", packed)
    elif form == "xz":
        with lzma.LZMAFile(stream, "wb") as packed:
            yield cast("BinaryIO", packed)
    else:
        yield stream


def _write(tar: tarfile.TarFile, known: Entry, counted: Counted | None) -> None:
    """The manifest first, so that who reads the archive knows what comes; then the files in their order."""
    moment = int(datetime.fromisoformat(known.manifest.created).timestamp())
    described = manifest.encoded(known.manifest)
    tar.addfile(_member(manifest.NAME, len(described), moment), _Pieces(iter([described])))
    for file, wanted in zip(_found(known), known.manifest.files, strict=True):
        pieces = _Pieces(digest.pieces(file, counted=counted))
        tar.addfile(_member(f"{entry.FILES}/{file.path}", file.size, moment), pieces)
        if not pieces.ended or pieces.sha256.hexdigest() != wanted.sha256:
            raise _changed(known)


def _member(name: str, size: int, moment: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.mtime, member.mode = size, moment, _MODE
    return member


class _Pieces:
    """A file that is read, for `tarfile`, and hashed meanwhile."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = memoryview(b"")
        self.sha256 = hashlib.sha256()

    def read(self, size: int = CHUNK, /) -> bytes:
        """So many bytes; fewer at the end."""
        parts = []
        while size:
            if not self._rest:
                piece = next(self._pieces, b"")
                self.sha256.update(piece)
                self._rest = memoryview(piece)
            if not self._rest:
                break
            parts.append(self._rest[:size])
            self._rest = self._rest[size:]
            size -= len(parts[-1])
        return b"".join(parts)

    @property
    def ended(self) -> bool:
        """Whether nothing is left."""
        return not self._rest and next(self._pieces, None) is None


def _found(known: Entry) -> tuple[Found, ...]:
    """The model's files, as the manifest lists them."""
    entry.check(known)
    return tuple(Found(file.path, file.size, known.folder / entry.FILES / file.path) for file in known.manifest.files)


def _changed(known: Entry) -> ModelError:
    return ModelError(
        f"the model {known.tag} of the store was changed, and is not exported; "
        f"`bentod models verify {known.tag}` says how; {entry.mending(known.tag)}"
    )
