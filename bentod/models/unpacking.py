"""Reads an exported model: nothing in an archive is trusted, and nothing is kept before its digest agrees."""

from __future__ import annotations

import gzip
import io
import lzma
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from bentod.models import adding, copying, digest, entry, manifest, staging
from bentod.models.adding import Added, Model
from bentod.models.digest import CHUNK, Counted, File, FileSet, failing
from bentod.models.home import ModelError
from bentod.models.manifest import About, Manifest
from bentod.models.store import Store
from bentod.models.tags import Tag

_GZIP, _XZ = b"\x1f\x8b", b"\xfd7zXZ\x00"
_MOST_MEMORY = 256 << 20
_LARGEST_HEADER = 1 << 20
_PLAIN = {tarfile.REGTYPE, tarfile.AREGTYPE}
_TAKEN = _PLAIN | {tarfile.DIRTYPE, tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME}
_KINDS = {
    tarfile.SYMTYPE: "a link",
    tarfile.LNKTYPE: "a link",
    tarfile.GNUTYPE_LONGLINK: "a link",
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
    tarfile.FIFOTYPE: "a FIFO",
}
_BROKEN = (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile, ValueError, RecursionError)
_AGAIN = "export the model again"


def unpack(store: Store, source: Path, tag: Tag | None = None, counted: Counted | None = None) -> Added:
    """Take the exported model `source`, an archive or a folder, into the store, by its own tag or by `tag`. Raises
    ModelError; then the store is as it was."""
    with failing(f"{source} cannot be imported into the store {store.root}"):
        if source.is_dir():
            return _folder(store, source, tag, counted)
        with digest.regular(source) as stream:
            try:
                return _archive(store, source, tag, stream, counted)
            except _BROKEN as error:
                raise ModelError(f"{source} is no archive of a model, or a damaged one: {error}; {_AGAIN}") from None


def _folder(store: Store, source: Path, tag: Tag | None, counted: Counted | None) -> Added:
    known = manifest.read(source / manifest.NAME, _AGAIN)
    if others := sorted({path.name for path in source.iterdir()} - {manifest.NAME, entry.FILES}):
        raise ModelError(f"{source} is no exported model: {others[0]!r} is beside its files; {_AGAIN}")
    found = digest.listing(source / entry.FILES)
    if {file.path: file.size for file in found} != {file.path: file.size for file in known.files}:
        raise ModelError(f"the files in {source} are not those of its manifest; {_AGAIN}")
    done = _there_already(store, known, tag)
    if done is not None:
        return done
    copying.check_room(store.root, known.size)
    with staging.staged(store.root) as made:
        (made / "model").mkdir()
        files = copying.copied(found, made / "model" / entry.FILES, counted=counted)
        return _kept(store, made / "model", source, known, files, tag)


def _archive(store: Store, source: Path, tag: Tag | None, stream: BinaryIO, counted: Counted | None) -> Added:
    with tarfile.open(fileobj=_unpacked(stream), mode="r|", bufsize=CHUNK, tarinfo=_Member, encoding="utf-8") as tar:
        known = _manifest(tar, source)
        done = _there_already(store, known, tag)
        if done is not None:
            return done
        copying.check_room(store.root, known.size)
        with staging.staged(store.root) as made:
            target = made / "model"
            target.mkdir()
            files = FileSet(tuple(_files(tar, source, known, target / entry.FILES, counted)))
            copying.sync_tree(target)
            return _kept(store, target, source, known, files, tag)


def _there_already(store: Store, known: Manifest, tag: Tag | None) -> Added | None:
    """The same model, if the store has it. Raises ModelError if its tag is another one's."""
    wanted = _model(known, known.file_set, tag)
    return adding.same(store, wanted) if wanted.tag.version in store.versions(wanted.tag.name) else None


def _kept(store: Store, made: Path, source: Path, known: Manifest, files: FileSet, tag: Tag | None) -> Added:
    if FileSet(tuple(digest.in_order(files.files))).digest != known.digest:
        wanted = set(known.file_set.files)
        wrong = next((file.path for file in files.files if file not in wanted), "a file is missing")
        raise ModelError(f"the digest of {source} is not that of its manifest ({wrong}); {_AGAIN}")
    return adding.commit(store, made, _model(known, files, tag))


def _model(known: Manifest, files: FileSet, tag: Tag | None) -> Model:
    about = About(known.labels, known.metadata, known.context, known.signatures, known.created)
    named = known.tag if tag is None else Tag(tag.name, tag.version or known.version)
    return Model(named, FileSet(tuple(digest.in_order(files.files))), known.single, about)


def _manifest(tar: tarfile.TarFile, source: Path) -> Manifest:
    """The first member."""
    member = tar.next()
    if member is None or member.name != manifest.NAME or not _is_plain(member):
        raise ModelError(f"{source} is no exported model: {manifest.NAME} does not come first; {_AGAIN}")
    if member.size > manifest.LARGEST:
        raise ModelError(f"{source} is damaged: its manifest is larger than any; {_AGAIN}")
    data = b"".join(_pieces(tar, member))
    return manifest.parse(data, f"the manifest of {source}", _AGAIN)


def _files(
    tar: tarfile.TarFile, source: Path, known: Manifest, target: Path, counted: Counted | None
) -> Iterator[File]:
    """Write the members that the manifest lists. Raises ModelError for any other one, before it is read."""
    left = {f"{entry.FILES}/{file.path}": file for file in known.files}
    folders = {str(parent) for name in left for parent in Path(name).parents} - {"."}
    target.mkdir()
    while (member := tar.next()) is not None:
        if member.isdir() and member.name in folders:
            folders.remove(member.name)
            continue
        file = left.pop(member.name, None)
        if file is None or not _is_plain(member):
            raise ModelError(f"{source}: {member.name[:200]!r} is not in its manifest, or is there twice; {_AGAIN}")
        if member.size != file.size:
            raise ModelError(f"{source}: {file.path} has {member.size} bytes instead of {file.size}; {_AGAIN}")
        where = target / file.path
        where.parent.mkdir(parents=True, exist_ok=True)
        yield copying.written(file.path, where, _pieces(tar, member, counted))
    if left:
        raise ModelError(f"{source} is damaged: {min(left)} is missing; {_AGAIN}")


def _pieces(tar: tarfile.TarFile, member: tarfile.TarInfo, counted: Counted | None = None) -> Iterator[bytes]:
    stream = tar.extractfile(member)
    while stream is not None and (piece := stream.read(CHUNK)):
        if counted is not None:
            counted(len(piece))
        yield piece


def _is_plain(member: tarfile.TarInfo) -> bool:
    return member.type in _PLAIN and not member.issparse()


class _Member(tarfile.TarInfo):
    """A header that is judged before anything is done with it: its kind, and how much memory it wants."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _Member:
        """A member, or what precedes one, such as a long name."""
        member = super().frombuf(buf, encoding, errors)
        if member.type not in _TAKEN:
            kind = _KINDS.get(member.type, "of an unknown kind")
            raise ModelError(
                f"the archive is refused: its member {member.name[:200]!r} is {kind}, and a model has only files"
            )
        extra = member.type in _TAKEN - _PLAIN
        if member.size < 0 or (extra and member.size > _LARGEST_HEADER):
            raise ModelError(f"the archive is refused: a header says that it has {member.size} bytes")
        return member


def _unpacked(stream: BinaryIO) -> BinaryIO:
    """The tar within, as the first bytes say what is around it."""
    first = stream.read(len(_XZ))
    stream.seek(0)
    if first.startswith(_GZIP):
        return cast("BinaryIO", gzip.GzipFile(fileobj=stream, mode="rb"))
    return io.BufferedReader(_Unxz(stream), CHUNK) if first == _XZ else stream


class _Unxz(io.RawIOBase):
    """What an xz stream holds. Unlike with `lzma.LZMAFile`, there is a limit to the memory that it can ask for."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._unxz = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MOST_MEMORY)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        while not self._unxz.eof:
            piece = self._stream.read(CHUNK) if self._unxz.needs_input else b""
            if self._unxz.needs_input and not piece:
                raise EOFError("it is cut off")
            if found := self._unxz.decompress(piece, len(buffer)):
                buffer[: len(found)] = found
                return len(found)
        return 0
