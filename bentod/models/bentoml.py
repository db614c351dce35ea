"""Takes models out of a BentoML model store: what `model.yaml` says, and the files as they are, never unpickled."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

import yaml

from bentod.models import adding, digest, manifest, tags
from bentod.models.adding import Added, Source
from bentod.models.digest import Counted, failing
from bentod.models.home import ModelError
from bentod.models.manifest import About, Context
from bentod.models.store import Store
from bentod.models.tags import Tag

DESCRIPTION = "model.yaml"
PICKLE = "custom_objects.pkl"
_LARGEST = 1 << 20
_MOST_VALUES = 100_000
_KEYS = {
    "name",
    "version",
    "module",
    "labels",
    "options",
    "metadata",
    "context",
    "signatures",
    "api_version",
    "creation_time",
}
_KEPT = ("module", "options", "api_version")


@dataclass(frozen=True, slots=True)
class Described:
    """A model folder of BentoML, as its `model.yaml` describes it. `pickled`: it holds Python objects, which are taken
    as a file and never loaded."""

    folder: Path
    tag: Tag
    about: About
    pickled: bool


def take(store: Store, model: Described, tag: Tag | None = None, counted: Counted | None = None) -> Added:
    """Add the model to the store by its own tag or by `tag`, without its `model.yaml`. Raises ModelError."""
    named = model.tag if tag is None else Tag(tag.name, tag.version or model.tag.version)
    source = Source(model.folder, without=frozenset({DESCRIPTION}))
    return adding.add(store, source, named, model.about, counted)


def folders(path: Path) -> tuple[Path, ...]:
    """The model folders in `path`: itself, or all of a store (BentoML's home, or `models` in it), in the order in which
    they have to be added for `latest` to mean what it means there. Raises ModelError."""
    with failing(f"{path} cannot be read"):
        if (path / DESCRIPTION).is_file():
            return (path,)
        root = path / "models" if (path / "models").is_dir() else path
        found = [one.parent for one in root.glob(f"*/*/{DESCRIPTION}")]
        if not found:
            raise ModelError(
                f"{path} is no model of BentoML, and no store of them: there is no {DESCRIPTION} in it, nor below"
            )
        return tuple(sorted(found, key=lambda one: (one.parent, _is_latest(one), one.stat().st_mtime_ns, one)))


def describe(folder: Path) -> Described:
    """What the `model.yaml` in `folder` says. Raises ModelError."""
    path = folder / DESCRIPTION
    said = _read(path)
    try:
        tag = tags.parse(f"{_text(said, 'name')}:{_text(said, 'version')}")
        about = About(
            labels={str(key): _word(value) for key, value in _mapping(said, "labels").items()},
            metadata=_metadata(said),
            context=_context(_mapping(said, "context")),
            signatures={str(key): _object(value) for key, value in _mapping(said, "signatures").items()},
            created=_created(said.get("creation_time")),
        )
    except (ValueError, OverflowError, ModelError) as error:
        raise ModelError(f"{path} does not describe a model of BentoML: {error}") from None
    return Described(folder, tag, about, (folder / PICKLE).is_file())


def _read(path: Path) -> dict[str, Any]:
    with failing(f"{path} cannot be read"):
        data = digest.small(path, _LARGEST)
    if len(data) > _LARGEST:
        raise ModelError(f"{path} does not describe a model of BentoML: it is too large")
    try:
        said = yaml.safe_load(data)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ModelError(f"{path} is not safe YAML: {' '.join(str(error).split())}") from None
    if not isinstance(said, dict):
        raise ModelError(f"{path} does not describe a model of BentoML: it is no mapping")
    if unknown := sorted(map(str, said.keys() - _KEYS)):
        raise ModelError(f"{path} does not describe a model of BentoML: it has the unknown key {unknown[0]!r}")
    return said


def _metadata(said: Mapping[str, Any]) -> dict[str, Any]:
    """BentoML's metadata, and what else is in `model.yaml` that has no place of its own here."""
    plain = _object(_mapping(said, "metadata"))
    kept = {key: said[key] for key in _KEPT if said.get(key)}
    version = _mapping(said, "context").get("bentoml_version")
    more = _object(kept | ({"bentoml_version": _word(version)} if version else {}))
    return {**plain, **({"bentoml": more} if more and "bentoml" not in plain else {})}


def _context(said: Mapping[str, Any]) -> Context:
    versions = said.get("framework_versions") or {}
    if not isinstance(versions, dict):
        raise ValueError("`framework_versions` is no mapping")  # noqa: TRY004 - all of these become one error
    return Context(
        framework=_word(said.get("framework_name") or ""),
        versions={str(key): _word(value) for key, value in versions.items()},
        python=_word(said.get("python_version") or ""),
    )


def _created(value: object) -> str:
    """BentoML's time as manifests have it; "" if there is none."""
    if not value:
        return ""
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(_word(value))
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC).isoformat(timespec="milliseconds")


def _text(said: Mapping[str, Any], key: str) -> str:
    """BentoML's tags have no capitals either, but YAML may make numbers of them."""
    if not isinstance(said.get(key), (str, int, float)):
        raise ValueError(f"{key} is missing, or is no string")  # noqa: TRY004 - all of these become one error
    return str(said[key])


def _word(value: object) -> str:
    """One value as text. A list or a mapping is none: YAML's aliases may make it one of gigabytes."""
    if isinstance(value, (dict, list, tuple, set)):
        raise ValueError("a list or a mapping stands where there should be text")  # noqa: TRY004 - all of these become one error
    return str(value)


def _mapping(said: Mapping[str, Any], key: str) -> dict[Any, Any]:
    value = said.get(key) or {}
    if not isinstance(value, dict):
        raise ValueError(f"{key} is no mapping")  # noqa: TRY004 - all of these become one error
    return value


def _object(value: object) -> dict[str, Any]:
    """The mapping with values that JSON can hold; dates, and numbers that are none, become text."""
    if not isinstance(value, dict):
        raise ValueError("a signature is no mapping")  # noqa: TRY004 - all of these become one error
    left = [_MOST_VALUES]
    return {str(key): _plain(inner, left, 0) for key, inner in value.items()}


def _plain(value: object, left: list[int], depth: int) -> Any:
    """YAML's aliases may stand for more values than anybody has room for: `left` counts."""
    left[0] -= 1
    if left[0] < 0 or depth > manifest.DEEPEST:
        raise ValueError("its metadata is too large, or nested too deeply")
    if isinstance(value, dict):
        return {str(key): _plain(inner, left, depth + 1) for key, inner in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [_plain(inner, left, depth + 1) for inner in value]
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    finite = isinstance(value, (bool, int, str)) or (isinstance(value, float) and math.isfinite(value))
    return value if value is None or finite else str(value)


def _is_latest(folder: Path) -> bool:
    """Whether BentoML's `latest` names the model."""
    with contextlib.suppress(OSError):
        return (folder.parent / tags.LATEST).read_text("ascii", "replace").strip() == folder.name
    return False
