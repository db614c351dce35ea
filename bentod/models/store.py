"""The store of models on this host: `NAME/VERSION/{manifest.json,files/…}`, and `NAME/latest`."""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bentod import whole
from bentod.errors import Unknown
from bentod.models import digest, entry, manifest, staging, tags
from bentod.models.digest import Counted, failing
from bentod.models.entry import Entry
from bentod.models.home import ModelError
from bentod.models.tags import Tag

_SHOWN = 5


class NoSuchModel(ModelError, Unknown):
    """The store has no model of that tag."""


@dataclass(frozen=True, slots=True)
class Listing:
    """All models of the store, newest versions first, and what is wrong with those that cannot be listed."""

    entries: tuple[Entry, ...]
    damaged: tuple[str, ...]


class Store:
    """The models in the folder `root`. Readers need no lock: a model appears, and goes, as a whole."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()

    def find(self, tag: Tag | str) -> Entry | None:
        """The model, if the store has it; its files have their sizes, and are not read. Raises ModelError for a tag
        that may mean several versions, and for a damaged model."""
        found = self.resolve(tag)
        if found is None:
            return None
        try:
            known = self.read(found)
            entry.check(known)
        except ModelError:
            if (self.root / found.name / found.version).exists():
                raise
            return None  # it was removed meanwhile
        return known

    def get(self, tag: Tag | str) -> Entry:
        """The same. Raises NoSuchModel if the store does not have it."""
        found = self.find(tag)
        if found is None:
            raise self.missing(tag)
        return found

    def resolve(self, tag: Tag | str) -> Tag | None:
        """The whole tag of a model that is there, maybe damaged. Raises ModelError if it may mean several."""
        name, version = tags.parse(tag) if isinstance(tag, str) else tag
        versions = self.versions(name)
        if not version:
            latest = self.latest(name)
            return Tag(name, latest) if latest else None
        found = tags.matching(version, versions)
        if len(found) > 1:
            raise ModelError(f"{name}:{version} may be each of {', '.join(found)}; write more of the version")
        return Tag(name, found[0]) if found else None

    def names(self) -> list[str]:
        """The names of all models."""
        return sorted(path.name for path in _folders(self.root))

    def versions(self, name: str) -> list[str]:
        """The versions of a model, damaged ones too."""
        folders = _folders(self.root / name)
        return sorted(path.name for path in folders if path.name != tags.LATEST and _is_ours(path))

    def latest(self, name: str) -> str:
        """The version that `name` alone means: the last that was added. "" if there is none."""
        versions = self.versions(name)
        try:
            data = digest.small(self.root / name / tags.LATEST, tags.LONGEST + 1)
            written = data.decode("ascii", "replace").strip()
        except OSError:
            written = ""
        return written if written in versions else self._newest(name, versions)

    def listing(self) -> Listing:
        """All models, by name, newest versions first. No file of a model is looked at."""
        entries: list[Entry] = []
        damaged: list[str] = []
        for name in self.names():
            own = []
            for version in self.versions(name):
                try:
                    own.append(self.read(Tag(name, version)))
                except ModelError as error:
                    if (self.root / name / version).exists():  # else it was removed meanwhile
                        damaged.append(str(error))
            entries += sorted(own, key=_age, reverse=True)
        return Listing(tuple(entries), tuple(damaged))

    def verify(self, tag: Tag | str, counted: Counted | None = None) -> tuple[str, ...]:
        """What is wrong with the files of a model, which are all read. Raises ModelError for a damaged manifest,
        NoSuchModel."""
        found = self.resolve(tag)
        if found is None:
            raise self.missing(tag)
        return entry.differences(self.read(found), counted)

    def remove(self, tag: Tag | str) -> Tag:
        """Remove a model, and let `latest` be the newest one that is left. Gives the whole tag. Raises ModelError,
        NoSuchModel."""
        if self.resolve(tag) is None:
            raise self.missing(tag)
        with (
            failing(f"the model {tag} cannot be removed from the store {self.root}"),
            staging.staged(self.root) as away,
            staging.locked(self.root),
        ):
            found = self.resolve(tag)
            if found is None:
                raise self.missing(tag)
            latest = self.latest(found.name)
            (self.root / found.name / found.version).rename(away / "model")
            if latest == found.version:
                self._repoint(found.name)
            return found

    def read(self, tag: Tag) -> Entry:
        """The model of a whole tag, by its manifest alone. Raises ModelError."""
        return entry.read(self.root / tag.name / tag.version, tag)

    def missing(self, tag: Tag | str) -> NoSuchModel:
        """The error that there is no such model, and what there is."""
        name, version = tags.parse(tag) if isinstance(tag, str) else tag
        versions = self.versions(name)
        if versions:
            return NoSuchModel(f"the store {self.root} has no {name}:{version}; it has {_some(name, versions)}")
        near = difflib.get_close_matches(name, self.names(), n=1)
        hint = f"did you mean {near[0]}?" if near else "`bentod models list` shows what is there"
        return NoSuchModel(f"the store {self.root} has no model {name}; {hint}")

    def _repoint(self, name: str) -> None:
        newest = self._newest(name, self.versions(name))
        if newest:
            whole.write_whole(self.root / name / tags.LATEST, f"{newest}\n".encode(), whole.PUBLIC)
        else:
            (self.root / name / tags.LATEST).unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # something else lies there
                (self.root / name).rmdir()
        whole.sync(self.root)

    def _newest(self, name: str, versions: list[str]) -> str:
        """Of those whose manifest can be read; else the last one."""
        known = []
        for version in versions:
            with contextlib.suppress(ModelError):
                known.append(self.read(Tag(name, version)))
        return max(known, key=_age).version if known else (versions or [""])[-1]


def _age(known: Entry) -> tuple[str, str]:
    return known.manifest.created, known.version


def _folders(parent: Path) -> Iterator[Path]:
    """The folders that can be a model's, or a version's."""
    with contextlib.suppress(OSError):
        yield from (path for path in parent.iterdir() if not tags.why_not(path.name) and path.is_dir())


def _is_ours(version: Path) -> bool:
    """Whether the folder holds a model, or what is left of one. Others may have folders in the store, too: what is
    theirs is neither damage nor to be removed."""
    try:
        names = {path.name for path in version.iterdir()}
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return not names or manifest.NAME in names or entry.FILES in names


def _some(name: str, versions: list[str]) -> str:
    shown = ", ".join(f"{name}:{version}" for version in versions[:_SHOWN])
    return shown + (f" and {len(versions) - _SHOWN} more" if len(versions) > _SHOWN else "")
