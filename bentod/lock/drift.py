"""What the spec and its files say now against what the lock file says: each difference with the line that drifted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from bentod.errors import Problem
from bentod.lock.file import LockedApis, LockedModel, LockFile
from bentod.lock.pin import differences
from bentod.plan.models import ModelPlan

AGAIN = "if that is meant, `bentod lock` writes it down"
_FOLLOWS = ("commit", "version", "digest")


@dataclass(frozen=True, slots=True)
class Current:
    """What is so now. `digests` are those of the models that lie on this host; `base` is what the image is made from,
    "" if the spec says nothing of an image."""

    apis: LockedApis
    models: tuple[ModelPlan, ...] = ()
    digests: Mapping[str, str] = field(default_factory=dict)
    base: str = ""


def drift(now: Current, lock: LockFile) -> list[Problem]:
    """All that differs, but for the Python packages."""
    problems = [*_apis(now.apis, lock), *_models(now, lock)]
    if lock.image is not None and now.base and lock.image.base != now.base.partition("@")[0]:
        problems.append(
            lock.problem("image.base", "drift", _changed("the base image", lock.image.base, now.base), AGAIN)
        )
    elif lock.image is not None and "@" in now.base and not now.base.endswith(f"@{lock.image.digest}"):
        said = _changed("the base image", lock.image.digest, now.base.partition("@")[2])
        problems.append(lock.problem("image.digest", "drift", said, AGAIN))
    return problems


def _apis(now: LockedApis, lock: LockFile) -> Iterator[Problem]:
    then = lock.apis
    if then is None:
        yield lock.problem("apis", "drift", "the APIs are not locked", AGAIN)
        return
    for name in sorted({*then.schemas, *now.schemas}):
        old, new = then.schemas.get(name), now.schemas.get(name)
        if old == new:
            continue
        path = f"apis.schemas.{name}" if old else "apis.schemas"
        if old is None:
            yield lock.problem(path, "drift", f"the API `{name}` is new", AGAIN)
        elif new is None:
            yield lock.problem(path, "drift", f"the API `{name}` is gone", AGAIN)
        else:
            said = f"the API `{name}` has another route, input, output or stream: {_short(old)} then, {_short(new)} now"
            yield lock.problem(path, "drift", said, AGAIN)
    if then.schemas == now.schemas and then.digest != now.digest:
        said = f"the digest of the APIs is {_short(then.digest)}, and {_short(now.digest)} follows from the spec"
        yield lock.problem("apis.digest", "drift", said, AGAIN)


def _models(now: Current, lock: LockFile) -> Iterator[Problem]:
    for model in now.models:
        entry = lock.models.get(model.name)
        if entry is None:
            yield lock.problem("models", "drift", f"the model `{model.name}` is not locked", AGAIN)
            continue
        yield from _model(model, entry, now.digests.get(model.name, ""), lock)
    for name in sorted(lock.models.keys() - {model.name for model in now.models}):
        yield lock.problem(f"models.{name}", "drift", f"the model `{name}` is locked, and the spec has none", AGAIN)


def _model(model: ModelPlan, entry: LockedModel, here: str, lock: LockFile) -> Iterator[Problem]:
    path = f"models.{model.name}"
    found = differences(model, entry, lock)
    # Another source has another commit, too; that is one difference.
    told = [key for key in found if key not in _FOLLOWS] or list(found)
    for key in told:
        said = _changed(f"`{key}` of the model `{model.name}`", *found[key])
        yield lock.problem(f"{path}.{key}", "drift", said, AGAIN)
    if told:
        return
    if model.kind == "hf" and not (model.commit or entry.commit):
        yield lock.problem(path, "drift", f"the model `{model.name}` is not pinned to a commit", AGAIN)
    if model.kind == "store" and not (model.version or entry.version):
        yield lock.problem(path, "drift", f"the model `{model.name}` is not pinned to a version", AGAIN)
    if model.kind == "path" and entry.digest and not here:
        said = f"the files of the model `{model.name}` are locked, and cannot be read here"
        yield lock.problem(f"{path}.digest", "drift", said, f"see what is at {model.source}")
    if here and entry.digest and here != entry.digest:
        said = _changed(f"the files of the model `{model.name}`", entry.digest, here)
        yield lock.problem(f"{path}.digest", "drift", said, AGAIN)


def _changed(what: str, old: object, new: object) -> str:
    return f"{what}: {_shown(old)} is locked, now it is {_shown(new)}"


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(f"`{one}`" for one in value) or "nothing"
    return f"`{_short(str(value))}`" if value else "nothing"


def _short(text: str) -> str:
    return f"{text[:19]}…" if text.startswith("sha256:") else text
