"""The models that lie in an image: `baked.json` beside them says what they are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from bentod.models import digest
from bentod.models.home import ModelError
from bentod.plan.models import Located, ModelPlan

NAME = "baked.json"


class Baked(BaseModel):
    """One model of an image. `path` is where it lies, beside `baked.json`; all else is as it was declared, or found,
    when the image was built."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    source: str
    revision: str = ""
    include: tuple[str, ...] = Field(default=(), strict=False)
    exclude: tuple[str, ...] = Field(default=(), strict=False)
    commit: str = ""
    version: str = ""
    digest: str = ""
    path: str


_ALL = TypeAdapter(dict[str, Baked])


def baked(model: ModelPlan, found: Located, path: str) -> Baked:
    """What `baked.json` says of `model`, which was found to be `found` and lies at `path` in the image."""
    return Baked(
        source=_source(model),
        revision=model.revision,
        include=model.include,
        exclude=model.exclude,
        commit=found.commit,
        version=found.version,
        digest=found.digest,
        path=path,
    )


def encode(models: Mapping[str, Baked]) -> bytes:
    """The text of `baked.json`, the same for the same models."""
    return _ALL.dump_json(dict(sorted(models.items())), indent=1) + b"\n"


def read(folder: Path) -> dict[str, Baked]:
    """The models in the image's folder `folder`; none if they are to be fetched or mounted. Raises ModelError."""
    path = folder / NAME
    try:
        return _ALL.validate_json(path.read_bytes())
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}; build the image again") from None
    except ValidationError as error:
        raise ModelError(f"{path} is damaged: {error.errors()[0]['msg']}; build the image again") from None


def located(model: ModelPlan, image: Baked, folder: Path) -> Located | str:
    """The model in the image, or why that is another one than the spec wants."""
    declared = (_source(model), model.revision, model.include, model.exclude)
    if declared != (image.source, image.revision, image.include, image.exclude):
        return f"the image holds {image.source}, with other keys or another source than the spec has"
    for name, wanted, is_ in (
        ("commit", model.commit, image.commit),
        ("version", model.version, image.version),
        ("digest", model.digest, image.digest),
    ):
        if wanted and wanted != is_:
            return f"the image holds {image.source} with the {name} {is_ or 'unknown'}, and the spec wants {wanted}"
    place = (folder / image.path).absolute()
    if not place.resolve().is_relative_to(folder.resolve()):
        return f"{folder / NAME} names {image.path}, which is outside of it"
    try:
        files = digest.found(place)
    except ModelError as error:
        return str(error)
    return Located(
        model.name, str(place), image.digest, image.commit, image.version, sum(file.size for file in files), len(files)
    )


def _source(model: ModelPlan) -> str:
    """As declared; of a path only its last part, since a project lies elsewhere in an image."""
    return Path(model.source).name if model.kind == "path" else model.uri
