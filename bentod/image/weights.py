"""The models that are baked into an image, as files of its build context."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from bentod.image.context import Entry, held
from bentod.models import baked, digest
from bentod.models.digest import Found
from bentod.models.home import Home, ModelError
from bentod.models.records import Records
from bentod.plan.image import BAKED, MODELS
from bentod.plan.models import Located, ModelPlan


@dataclass(frozen=True, slots=True)
class Weights:
    """The files of all models with what says which they are, and the digest of each model by its folder."""

    entries: tuple[Entry, ...]
    known: tuple[tuple[str, str], ...]


def entries(models: Iterable[ModelPlan], located: Mapping[str, Located], home: Home) -> Weights:
    """The models, all of which are located, as files of the context. Raises ModelError."""
    files: list[Entry] = []
    known: list[tuple[str, str]] = []
    said: dict[str, baked.Baked] = {}
    for model in models:
        found = located[model.name]
        folder = f"{MODELS}/{model.name}"
        of_it = _files(model, found, home)
        files += [Entry(f"{folder}/{file.path}", _real(file.place), file.size) for file in of_it]
        known.append((folder, found.digest))
        inside = f"{model.name}/{of_it[0].path}" if Path(found.path).is_file() else model.name
        said[model.name] = baked.baked(model, found, inside)
    if said:
        files.append(held(f"{MODELS}/{BAKED}", baked.encode(said)))
    return Weights(tuple(files), tuple(known))


def _files(model: ModelPlan, found: Located, home: Home) -> tuple[Found, ...]:
    """What belongs to the model: of one that was fetched what was asked for, whatever else lies beside it."""
    if model.kind != "hf":
        return digest.found(Path(found.path))
    record = Records(home).get(replace(model, digest="", locked=found.digest), found.commit)
    if record is None:
        raise ModelError(f"the model {model.name} was fetched, but its record is gone; run `bentod models pull` again")
    if trouble := record.trouble():
        raise ModelError(f"the model {model.name}: {trouble}; run `bentod models pull` again")
    return tuple(Found(file.path, file.size, Path(record.folder, file.path)) for file in record.files)


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))
