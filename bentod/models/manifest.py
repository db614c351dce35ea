"""What the store knows of a model: the strict `manifest.json` beside its files."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    StringConstraints,
    ValidationError,
    model_validator,
)

from bentod.models import digest, tags
from bentod.models.digest import File, FileSet
from bentod.models.home import ModelError

NAME = "manifest.json"
LARGEST = 64 << 20
_WRONG = 5
DEEPEST = 64
_MOST_BITS = 10_000
"""Python writes no integer of many more than these."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def _part(text: str) -> str:
    if reason := tags.why_not(text):
        raise ValueError(reason)
    return text


def _version(text: str) -> str:
    if text == tags.LATEST:
        raise ValueError("`latest` is the name of the newest version, and no version")
    return _part(text)


def _path(text: str) -> str:
    if reason := digest.why_not_a_path(text):
        raise ValueError(reason)
    return text


def _line(text: str) -> str:
    if found := _CONTROL.search(text):
        raise ValueError(f"the control character U+{ord(found[0]):04X} is not allowed here")
    return text


def _time(text: str) -> str:
    if datetime.fromisoformat(text).utcoffset() != UTC.utcoffset(None):
        raise ValueError("the time is not in UTC")
    return text


def _plain(value: JsonValue) -> JsonValue:
    """What JSON can hold, and not without end."""
    level, depth = [value], 0
    while level:
        if any(isinstance(one, float) and not math.isfinite(one) for one in level):
            raise ValueError("infinity and NaN are not JSON values")
        if any(isinstance(one, int) and one.bit_length() > _MOST_BITS for one in level):
            raise ValueError("a number is too large to be written")
        if depth > DEEPEST:
            raise ValueError("this is nested too deeply")
        depth += 1
        level = [inner for one in level for inner in _inner(one)]
    return value


def _inner(value: JsonValue) -> Iterable[JsonValue]:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


Line = Annotated[str, AfterValidator(_line), StringConstraints(max_length=4096)]
Key = Annotated[Line, StringConstraints(min_length=1, max_length=253)]
Plain = Annotated[JsonValue, AfterValidator(_plain)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}\z")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Context(_Strict):
    """What the model was made with: a framework, versions of it and of other packages, and of Python and bentod."""

    framework: Line = ""
    versions: dict[Key, Line] = Field(default_factory=dict)
    python: Line = ""
    bentod: Line = ""


class Listed(_Strict):
    """One file of the model."""

    path: Annotated[str, AfterValidator(_path)]
    size: Annotated[int, Field(ge=0)]
    sha256: Sha256


class Manifest(_Strict):
    """One version of one model. `single` is the file's name if the model is one file, `created` in ISO 8601, UTC."""

    format: Literal[1] = 1
    name: Annotated[str, AfterValidator(_part)]
    version: Annotated[str, AfterValidator(_version)]
    created: Annotated[str, AfterValidator(_time)]
    digest: Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}\z")]
    size: Annotated[int, Field(ge=0)]
    single: str | None = None
    labels: dict[Key, Line] = Field(default_factory=dict)
    metadata: dict[Key, Plain] = Field(default_factory=dict)
    context: Context = Field(default_factory=Context)
    signatures: dict[Key, dict[str, Plain]] = Field(default_factory=dict)
    files: Annotated[tuple[Listed, ...], Field(strict=False)]

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        """The digest and the size are those of the files, and each file can lie beside the others."""
        listed = self.file_set
        if not listed.files:
            raise ValueError("no file is listed")
        if self.digest != listed.digest or self.size != listed.size:
            raise ValueError("the digest or the size is not that of the files that are listed")
        if collision := _collision(file.path for file in listed.files):
            raise ValueError(f"the file {collision!r} is listed twice, or is a folder too")
        if self.single is not None and [file.path for file in listed.files] != [self.single]:
            raise ValueError("`single` is not the one file that is listed")
        return self

    @property
    def file_set(self) -> FileSet:
        """The files as `bentod.models.digest` gives them."""
        return FileSet(tuple(File(file.path, file.size, file.sha256) for file in self.files))

    @property
    def tag(self) -> tags.Tag:
        """The model's name and version."""
        return tags.Tag(self.name, self.version)


@dataclass(frozen=True, slots=True)
class About:
    """What is said of a model that is added; `created` is "" for one that is made now."""

    labels: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    context: Context = field(default_factory=Context)
    signatures: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    created: str = ""


def parse(data: bytes, where: str, advice: str) -> Manifest:
    """The manifest in `data`. Raises ModelError, which names `where` it was and gives the advice."""
    try:
        return Manifest.model_validate_json(data)
    except ValidationError as error:
        wrong = [_said(one) for one in error.errors(include_url=False, include_input=False)]
        more = f" (and {len(wrong) - _WRONG} more)" if len(wrong) > _WRONG else ""
        raise ModelError(f"{where} is damaged: {'; '.join(wrong[:_WRONG])}{more}; {advice}") from None


def read(path: Path, advice: str) -> Manifest:
    """The manifest in the file `path`. Raises ModelError, with the advice."""
    try:
        data = digest.small(path, LARGEST)
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}; {advice}") from None
    if len(data) > LARGEST:
        raise ModelError(f"{path} is damaged: it is larger than any manifest; {advice}")
    return parse(data, str(path), advice)


def encoded(manifest: Manifest) -> bytes:
    """The manifest as it is written, the same for equal ones. Raises ModelError for one that is too large."""
    text = json.dumps(manifest.model_dump(mode="json"), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    data = text.encode()
    if len(data) > LARGEST:
        raise ModelError(f"the manifest of {manifest.tag} is too large: give it less metadata, or fewer files")
    return data


def made(tag: tags.Tag, files: FileSet, single: str | None, about: About) -> Manifest:
    """The manifest of these files. Raises ModelError for what is wrong in it."""
    given = {
        "name": tag.name,
        "version": tag.version,
        "created": about.created or now(),
        "digest": files.digest,
        "size": files.size,
        "single": single,
        "labels": dict(about.labels),
        "metadata": dict(about.metadata),
        "context": about.context,
        "signatures": dict(about.signatures),
        "files": [file._asdict() for file in files.files],
    }
    try:
        return Manifest.model_validate(given)
    except ValidationError as error:
        wrong = "; ".join(_said(one) for one in error.errors(include_url=False, include_input=False)[:_WRONG])
        raise ModelError(f"the model {tag.name} cannot be described so: {wrong}") from None


def now() -> str:
    """This moment, as manifests have it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _said(error: Mapping[str, Any]) -> str:
    place = ".".join(map(str, error["loc"]))
    text = str(error["msg"]).removeprefix("Value error, ")
    said = f"{place}: {text}" if place else text
    return "".join(letter if letter.isprintable() else "·" for letter in said)


def _collision(paths: Iterable[str]) -> str:
    """A path that is there twice, or that is the folder of another one; "" if there is none."""
    seen: set[str] = set()
    folders: set[str] = set()
    for path in paths:
        if path in seen:
            return path
        seen.add(path)
        parts = path.split("/")
        folders.update("/".join(parts[:count]) for count in range(1, len(parts)))
    return next(iter(sorted(seen & folders)), "")
