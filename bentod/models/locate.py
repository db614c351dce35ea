"""Where the models of a spec lie on this host, without any network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bentod.models import baked as images
from bentod.models.digest import Found
from bentod.models.hashes import Hashes
from bentod.models.home import Home, ModelError
from bentod.models.records import Records
from bentod.models.revisions import pinned, revision_of
from bentod.models.store import Store
from bentod.plan.models import Located, Missing, ModelPlan

Place = Located | Missing


def locate(
    models: Sequence[ModelPlan], home: Home, baked: Path | None = None, hashes: Hashes | None = None
) -> dict[str, Place]:
    """Where each model lies, or why it does not, by its name in the spec.

    `baked`: the folder of an image's models; what lies there is not looked for elsewhere. `hashes` remembers what
    local files held. A digest that the spec demands is that of the files as they are now: these are read.
    """
    hashes = hashes or Hashes()
    hashes.kept = hashes.kept or home.paths
    return {model.name: _checked(model, _place(model, home, baked, hashes)) for model in models}


def _place(model: ModelPlan, home: Home, baked: Path | None, hashes: Hashes) -> Place:
    try:
        if baked is not None and (image := images.read(baked).get(model.name)) is not None:
            found = images.located(model, image, baked)
            return (
                _read(model, found, hashes)
                if isinstance(found, Located)
                else Missing(model.name, found, fetchable=False)
            )
        if model.kind == "path":
            return _local(model, hashes)
        return _stored(model, home, hashes) if model.kind == "store" else _fetched(model, home, hashes)
    except ModelError as error:
        return Missing(model.name, str(error), fetchable=False)


def _local(model: ModelPlan, hashes: Hashes) -> Place:
    path = Path(model.source)
    if not path.exists():
        return Missing(model.name, f"{path} does not exist; name a file or a folder with `source`", fetchable=False)
    files = hashes.of(path)
    return Located(model.name, str(path), files.digest, size=files.size, files=len(files.files))


def _stored(model: ModelPlan, home: Home, hashes: Hashes) -> Place:
    name = model.source.partition(":")[0]
    tag = f"{name}:{model.version}" if model.version else model.source
    entry = Store(home.store).find(tag)
    if entry is None:
        reason = f"the store {home.store} has no model {tag}; `bentod models add` or `bentod models import` adds it"
        return Missing(model.name, reason, fetchable=False)
    path = str(entry.path.absolute())
    place = Located(model.name, path, entry.digest, version=entry.version, size=entry.size, files=entry.files)
    return _read(model, place, hashes)


def _fetched(model: ModelPlan, home: Home, hashes: Hashes) -> Place:
    records = Records(home)
    commit = pinned(model)
    record = records.get(model, commit) if commit else records.last(model)
    at = f"{model.uri} at {commit or revision_of(model)}"
    if record is None:
        damaged = "; its record is damaged" if records.damaged else ""
        return Missing(model.name, f"{at} was not fetched yet{damaged}", fetchable=True)
    if trouble := record.trouble():
        return Missing(model.name, f"{at}: {trouble}", fetchable=True)
    place = record.located(model.name)
    if not model.digest:
        return place
    files = [Found(file.path, file.size, Path(record.folder, file.path)) for file in record.files]
    return replace(place, digest=hashes.of_files(Path(record.folder), files).digest)


def _read(model: ModelPlan, place: Located, hashes: Hashes) -> Located:
    """With the digest of the files as they are now, if the spec demands one."""
    return replace(place, digest=hashes.of(Path(place.path)).digest) if model.digest else place


def _checked(model: ModelPlan, place: Place) -> Place:
    """Whether the digest is what the spec demands, and what the lock file has."""
    if isinstance(place, Missing):
        return place
    said = f"the digest of {place.path} is {place.digest}, and"
    if model.digest and place.digest != model.digest:
        return Missing(model.name, f"{said} the spec demands {model.digest}", fetchable=False)
    if model.locked and place.digest != model.locked:
        advice = f"find out which of them is right; `bentod models rm {model.uri}` has it fetched again"
        return Missing(model.name, f"{said} {model.locked} is locked; {advice}", fetchable=False)
    return place
