"""Adds a folder or a file to the store: staged, hashed while it is copied, and then there at once."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from bentod import whole
from bentod.models import copying, digest, entry, manifest, staging, tags
from bentod.models.digest import Counted, FileSet, Found, failing
from bentod.models.entry import Entry
from bentod.models.home import ModelError
from bentod.models.manifest import About
from bentod.models.store import Store
from bentod.models.tags import Tag

_VERSION_DIGITS = 12


@dataclass(frozen=True, slots=True)
class Added:
    """A model of the store, and whether it is `new` there: the same content is kept once."""

    entry: Entry
    new: bool


@dataclass(frozen=True, slots=True)
class Source:
    """What is added: a folder or file. `without` are files of it to leave out. `move`: nothing is left there, and
    nothing is copied where a second name of the file will do."""

    path: Path
    without: frozenset[str] = frozenset()
    move: bool = False


@dataclass(frozen=True, slots=True)
class Model:
    """A model that is not in the store yet: what is said of it, and its files. `single`: the name of the one file."""

    tag: Tag
    files: FileSet
    single: str | None
    about: About


def add(store: Store, source: Source, tag: Tag | str, about: About, counted: Counted | None = None) -> Added:
    """Copy `source` into the store. Without a version in the tag, that is the beginning of the digest. The same content
    under the same tag does nothing. Raises ModelError; then nothing was changed."""
    tag = tags.parse(tag) if isinstance(tag, str) else tag
    _refuse_itself(store, source)
    files = tuple(file for file in digest.found(source.path) if file.path not in source.without)
    single = None if source.path.is_dir() else source.path.name
    done = _there_already(store, Model(tag, FileSet(()), single, about), files)
    if done is None:
        if not source.move:
            copying.check_room(store.root, sum(file.size for file in files))
        with failing(f"the model {tag} cannot be added to the store {store.root}"), staging.staged(store.root) as made:
            target = made / "model"
            target.mkdir()
            known = copying.copied(files, target / entry.FILES, link=source.move, counted=counted)
            done = commit(store, target, Model(tag, known, single, about))
    if source.move:
        _remove(source, files)
    return done


def commit(store: Store, made: Path, model: Model) -> Added:
    """Let the model whose files lie in the staged folder `made` appear. Raises ModelError, OSError."""
    tag = model.tag if model.tag.version else Tag(model.tag.name, version_of(model.files))
    described = manifest.made(tag, model.files, model.single, model.about)
    whole.write_whole(made / manifest.NAME, manifest.encoded(described), copying.MODE)
    whole.sync(made)
    latest = made.with_name(tags.LATEST)
    whole.write_whole(latest, f"{tag.version}\n".encode(), whole.PUBLIC)
    folder = store.root / tag.name / tag.version
    with staging.locked(store.root):
        if folder.exists():
            return same(store, replace(model, tag=tag))
        _place(made, latest, folder)
        whole.sync(folder.parent)
        whole.sync(store.root)
    return Added(store.read(tag), new=True)


def _place(made: Path, latest: Path, folder: Path) -> None:
    """Two renames, both or none. Raises OSError."""
    folder.parent.mkdir(exist_ok=True)
    try:
        made.rename(folder)
        try:
            latest.replace(folder.with_name(tags.LATEST))
        except OSError:
            folder.rename(made)
            raise
    except OSError:
        with contextlib.suppress(OSError):  # there are other versions
            folder.parent.rmdir()
        raise


def version_of(files: FileSet) -> str:
    """The version of a model that was given none."""
    return files.digest.removeprefix("sha256:")[:_VERSION_DIGITS]


def _there_already(store: Store, model: Model, files: tuple[Found, ...]) -> Added | None:
    """The model, if the store has it: its files are read, and only if all sizes agree. Raises ModelError if the tag is
    another model's."""
    name, version = model.tag
    hashed: FileSet | None = None
    for known in _candidates(store, name, version):
        if _sizes(known.manifest.files) == _sizes(files):
            hashed = hashed or digest.hashed(files)
            if version or hashed.digest == known.digest:
                return same(store, replace(model, tag=known.tag, files=hashed))
        elif version:
            raise _taken(store, known.tag)
    return None


def _candidates(store: Store, name: str, version: str) -> Iterable[Entry]:
    """Models that may be what is added. Raises ModelError if the one of that version is damaged."""
    if version:
        if version in store.versions(name):
            yield store.read(Tag(name, version))
        return
    for other in store.versions(name):
        with contextlib.suppress(ModelError):
            known = store.read(Tag(name, other))
            if other == version_of(known.manifest.file_set):
                yield known


def _sizes(files: Iterable[manifest.Listed | Found]) -> dict[str, int]:
    return {file.path: file.size for file in files}


def same(store: Store, model: Model) -> Added:
    """The model that the store has by this tag, if it is this one. Raises ModelError."""
    known, tag = store.read(model.tag), model.tag
    entry.check(known)
    if known.digest != model.files.digest or known.manifest.single != model.single:
        raise _taken(store, tag)
    if told := _told_otherwise(known, model.about):
        raise ModelError(
            f"the store {store.root} has {tag} already, with other {told}; "
            f"remove it with `bentod models rm {tag}` first, or give another version"
        )
    return Added(known, new=False)


def _told_otherwise(known: Entry, about: About) -> str:
    """What is said of the model now and was not; what is not said does not count."""
    had, new = known.manifest, about
    pairs = {
        "labels": (new.labels, had.labels),
        "metadata": (new.metadata, had.metadata),
        "signatures": (new.signatures, had.signatures),
        "framework": (new.context.framework, had.context.framework),
        "versions": (new.context.versions, had.context.versions),
    }
    return " and ".join(name for name, (given, there) in pairs.items() if given and given != there)


def _taken(store: Store, tag: Tag) -> ModelError:
    return ModelError(
        f"the store {store.root} has another model as {tag}: give another version, "
        f"or remove that one with `bentod models rm {tag}`"
    )


def _refuse_itself(store: Store, source: Source) -> None:
    root, path = store.root.resolve(), source.path.resolve()
    if root.is_relative_to(path):
        raise ModelError(f"the store {root} lies in {path}, which cannot be added to it; name the model's own folder")
    if source.move and path.is_relative_to(root):
        raise ModelError(f"{path} lies in the store already, and cannot be moved there; add it without --move")


def _remove(source: Source, files: Iterable[Found]) -> None:
    """Remove what was added, and the folders that are empty by now."""
    with failing(f"the model was added, but {source.path} cannot be removed"):
        for file in files:
            with contextlib.suppress(PermissionError):  # it is somebody else's
                file.place.chmod(file.place.stat().st_mode & copying.MODE)
            (file.place if source.path.is_dir() else source.path).unlink()
        folders = {parent for file in files for parent in file.place.parents if parent.is_relative_to(source.path)}
        for folder in sorted(folders, reverse=True):
            with contextlib.suppress(OSError):
                folder.rmdir()
