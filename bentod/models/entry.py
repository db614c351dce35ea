"""One version of one model in the store: its files, what its manifest says of them, and whether both agree."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from pathlib import Path

from bentod.models import digest, manifest
from bentod.models.home import ModelError
from bentod.models.manifest import Manifest
from bentod.models.tags import Tag

FILES = "files"


@dataclass(frozen=True, slots=True)
class Entry:
    """A model that lies in the store's folder `folder`."""

    folder: Path
    manifest: Manifest

    @property
    def tag(self) -> Tag:
        """Its name and version."""
        return self.manifest.tag

    @property
    def name(self) -> str:
        """Its name."""
        return self.manifest.name

    @property
    def version(self) -> str:
        """Its version."""
        return self.manifest.version

    @property
    def path(self) -> Path:
        """The folder of its files, or its one file if it was added as one."""
        return self.folder / FILES / (self.manifest.single or "")

    @property
    def digest(self) -> str:
        """`sha256:<hex>` of its files."""
        return self.manifest.digest

    @property
    def size(self) -> int:
        """All bytes of its files."""
        return self.manifest.size

    @property
    def files(self) -> int:
        """How many files it has."""
        return len(self.manifest.files)


def read(folder: Path, tag: Tag) -> Entry:
    """The model that lies in `folder`. Raises ModelError if its manifest is damaged, or is another model's."""
    advice = mending(tag)
    found = manifest.read(folder / manifest.NAME, advice)
    if found.tag != tag:
        raise ModelError(f"{folder / manifest.NAME} is damaged: it is the manifest of {found.tag}; {advice}")
    return Entry(folder, found)


def check(entry: Entry) -> None:
    """Raises ModelError if a file is missing or has another size. Nothing is read."""
    for file in entry.manifest.files:
        path = entry.folder / FILES / file.path
        try:
            state = path.lstat()
        except OSError as error:
            raise _damaged(entry, f"{path}: {error.strerror}") from None
        if not stat.S_ISREG(state.st_mode) or state.st_size != file.size:
            raise _damaged(entry, f"{path} is not the file of {file.size} bytes that was added")


def differences(entry: Entry, counted: digest.Counted | None = None) -> tuple[str, ...]:
    """What is wrong with the model's files: all of them are read. Empty if they are what was added."""
    try:
        found = digest.listing(entry.folder / FILES)
    except ModelError as error:
        return (str(error),)
    wanted = {file.path: file for file in entry.manifest.file_set.files}
    sizes = {file.path: file.size for file in found}
    known = digest.hashed((file for file in found if file.path in wanted), counted=counted)
    changed = [file.path for file in known.files if file != wanted[file.path]]
    return (
        *(f"{path} is missing" for path in sorted(wanted.keys() - sizes.keys())),
        *(f"{path} was not added" for path in sorted(sizes.keys() - wanted.keys())),
        *(f"{path} was changed" for path in changed),
    )


def mending(tag: Tag) -> str:
    """What to do about a damaged model."""
    return f"remove it with `bentod models rm {tag}`, then add or pull it again"


def _damaged(entry: Entry, why: str) -> ModelError:
    return ModelError(f"the model {entry.tag} of the store is damaged: {why}; {mending(entry.tag)}")
