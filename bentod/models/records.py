"""What was fetched from a hub: one record for each complete fetch, in files that are there whole or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from bentod.models import digest
from bentod.models.digest import File, FileSet
from bentod.models.home import USUAL, Home, recorded
from bentod.models.revisions import pinned, revision_of
from bentod.plan.models import Located, ModelPlan
from bentod.whole import write_whole

_LARGEST = 64 << 20
_Commit = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{40}\z")]


def _path(text: str) -> str:
    if reason := digest.why_not_a_path(text):
        raise ValueError(reason)
    return text


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Fetched(_Strict):
    """One file as it lay on this host when it was verified. `path` is within the model, with `/`."""

    path: Annotated[str, AfterValidator(_path)]
    size: Annotated[int, Field(ge=0)]
    mtime_ns: int
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}\z")]


class Record(_Strict):
    """One complete fetch. `endpoint` is the hub that gave it, "" for huggingface.co: another may call other files the
    same commit. `folder` is where the files lie, `fetched` when it was, in ISO 8601, UTC; `revision` is the branch or
    tag that was asked for then, if there was one."""

    format: Literal[1] = 1
    source: str
    endpoint: str = ""
    revision: str = ""
    commit: _Commit
    include: Annotated[tuple[str, ...], Field(strict=False)] = ()
    exclude: Annotated[tuple[str, ...], Field(strict=False)] = ()
    folder: str
    fetched: str
    digest: str
    files: Annotated[tuple[Fetched, ...], Field(strict=False, min_length=1)]

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.digest != self.file_set.digest:
            raise ValueError("the digest is not that of the files that are listed")
        return self

    @classmethod
    def of(cls, model: ModelPlan, endpoint: str, commit: str, folder: Path, files: Sequence[Fetched]) -> Self:
        """The record of a fetch that is complete now."""
        return cls(
            source=model.source,
            endpoint=endpoint,
            revision="" if pinned(model) else revision_of(model),
            commit=commit,
            include=model.include,
            exclude=model.exclude,
            folder=str(folder),
            fetched=now(),
            digest=FileSet(tuple(File(file.path, file.size, file.sha256) for file in files)).digest,
            files=tuple(files),
        )

    @property
    def file_set(self) -> FileSet:
        """The files, as `bentod.models.digest` has them."""
        return FileSet(tuple(File(file.path, file.size, file.sha256) for file in self.files))

    @property
    def hub(self) -> str:
        """The hub that gave it, for people."""
        return self.endpoint or USUAL

    @property
    def size(self) -> int:
        """All bytes of all files."""
        return sum(file.size for file in self.files)

    @property
    def key(self) -> str:
        """What the record's file is called: what was fetched, not when, nor where to."""
        return _key(self.endpoint, self.source, self.commit, self.include, self.exclude)

    def located(self, name: str) -> Located:
        """The model of this record, by the name that a spec has for it."""
        return Located(name, self.folder, self.digest, commit=self.commit, size=self.size, files=len(self.files))

    def trouble(self) -> str:
        """Why the files are not those that were fetched, as far as their sizes and times tell; "" if they are."""
        for file in self.files:
            reason = _differs(Path(self.folder, file.path), file)
            if reason:
                return reason
        return ""


class _Pointer(_Strict):
    """What a revision was, when it was asked for last and the fetch went well."""

    commit: _Commit
    fetched: str


class Records:
    """The records of one home. `damaged`: files that were no records when this object came to them."""

    def __init__(self, home: Home) -> None:
        self._endpoint = home.endpoint
        self._folder = home.hub
        self._revisions = home.hub / "revisions"
        self.damaged: tuple[Path, ...] = ()

    def hub(self, model: ModelPlan) -> str:
        """The hub that is asked for the model, as records have it."""
        return recorded(model.endpoint) if model.endpoint else self._endpoint

    def get(self, model: ModelPlan, commit: str) -> Record | None:
        """The record of `model` at `commit`, if it was fetched: from the model's own hub, or from any other, if it is
        known what it has to hold and this is it."""
        wanted = {model.digest, model.locked} - {""}
        own = self._read(self._key(model, commit))
        if not wanted or (own is not None and wanted == {own.digest}):
            return own
        others = (one for one in self._others(model) if one.commit == commit and wanted == {one.digest})
        return next(others, own)

    def elsewhere(self, model: ModelPlan, commit: str = "") -> Record | None:
        """What another hub gave last for the same commit, or for the same revision."""
        revision = revision_of(model)
        found = [one for one in self._others(model) if (one.commit == commit if commit else one.revision == revision)]
        return max(found, key=lambda one: one.fetched, default=None)

    def _others(self, model: ModelPlan) -> list[Record]:
        """What other hubs gave for the model, at any commit."""
        asked = (model.source, set(model.include), set(model.exclude))
        alike = [one for one in self.all() if (one.source, set(one.include), set(one.exclude)) == asked]
        return [one for one in alike if one.endpoint.rstrip("/") != self.hub(model).rstrip("/")]

    def last(self, model: ModelPlan) -> Record | None:
        """What the last complete fetch of the model's revision gave."""
        path = self._pointer(model)
        with contextlib.suppress(FileNotFoundError):
            try:
                pointer = _Pointer.model_validate_json(_bytes(path))
            except (ValidationError, ValueError):
                self._damage(path)
            else:
                return self.get(model, pointer.commit)
        return None

    def put(self, record: Record) -> None:
        """Keep a record. Raises ModelError."""
        self._write(self._folder / f"{record.key}.json", record)

    def point(self, model: ModelPlan, commit: str) -> None:
        """Say that the model's revision was `commit` just now. Raises ModelError."""
        self._write(self._pointer(model), _Pointer(commit=commit, fetched=now()))

    def all(self) -> list[Record]:
        """All records, by source and then by time. What is damaged is left out, see `damaged`."""
        found = [self._read(path.stem) for path in sorted(self._folder.glob("*.json"))]
        return sorted(filter(None, found), key=lambda record: (record.source, record.fetched))

    def remove(self, record: Record) -> None:
        """Forget a fetch; its files stay, since others may use them. Raises ModelError."""
        with digest.failing(f"the record of {record.source} cannot be removed"):
            (self._folder / f"{record.key}.json").unlink(missing_ok=True)

    def lock_path(self, model: ModelPlan, commit: str) -> Path:
        """The file that is locked while `model` is fetched."""
        return self._folder / f"{self._key(model, commit)}.lock"

    def make(self) -> None:
        """Make the folders. Raises ModelError."""
        with digest.failing("what is fetched cannot be recorded; BENTOD_MODELS names another folder"):
            self._revisions.mkdir(mode=0o700, parents=True, exist_ok=True)

    def _pointer(self, model: ModelPlan) -> Path:
        return self._revisions / f"{self._key(model, revision_of(model))}.json"

    def _key(self, model: ModelPlan, what: str) -> str:
        return _key(self.hub(model), model.source, what, model.include, model.exclude)

    def _read(self, key: str) -> Record | None:
        path = self._folder / f"{key}.json"
        with contextlib.suppress(FileNotFoundError):
            try:
                record = Record.model_validate_json(_bytes(path))
                if record.key == key:
                    return record
            except (ValidationError, ValueError):
                pass
            self._damage(path)
        return None

    def _damage(self, path: Path) -> None:
        self.damaged = tuple(dict.fromkeys((*self.damaged, path)))

    def _write(self, path: Path, value: BaseModel) -> None:
        self.make()
        with digest.failing("what was fetched cannot be recorded"):
            write_whole(path, value.model_dump_json(indent=1).encode() + b"\n", 0o600)


def now() -> str:
    """The time of day, as records have it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _key(endpoint: str, source: str, what: str, include: Sequence[str], exclude: Sequence[str]) -> str:
    parts = [endpoint.rstrip("/"), source, what, sorted(set(include)), sorted(set(exclude))]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _differs(path: Path, file: Fetched) -> str:
    try:
        found = path.stat()
    except OSError as error:
        return f"{path} cannot be read: {error.strerror}"
    if found.st_size != file.size:
        return f"{path} has {found.st_size} bytes instead of {file.size}"
    return f"{path} was written since it was fetched" if found.st_mtime_ns != file.mtime_ns else ""


def _bytes(path: Path) -> bytes:
    """Raises FileNotFoundError, or ValueError for a file that cannot be read or is too large for a record."""
    try:
        with path.open("rb") as stream:
            data = stream.read(_LARGEST + 1)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ValueError(str(error)) from None
    if len(data) > _LARGEST:
        raise ValueError("too large")
    return data
