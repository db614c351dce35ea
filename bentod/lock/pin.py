"""Models as their spec declares them + the lock file → models that are pinned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bentod.lock.file import LockedModel, LockFile, relative
from bentod.plan.models import ModelPlan


def pinned(models: Sequence[ModelPlan], lock: LockFile | None) -> tuple[ModelPlan, ...]:
    """The models, each with the commit or the version of its entry in the lock file, if it is declared as there. What
    the spec itself pins stays."""
    return tuple(_pinned(model, lock) for model in models)


def declared_alike(model: ModelPlan, entry: LockedModel, lock: LockFile) -> bool:
    """Whether the spec says of the model what it said when the lock file was written."""
    return not differences(model, entry, lock)


def differences(model: ModelPlan, entry: LockedModel, lock: LockFile) -> dict[str, tuple[object, object]]:
    """What the lock file and the spec say differently of a model, by key: first what the lock file says."""
    source = relative(model.source, lock.folder) if model.kind == "path" else model.uri
    now = {
        "source": source,
        "revision": model.revision,
        "include": model.include,
        "exclude": model.exclude,
        "endpoint": model.endpoint,
        "commit": model.commit or entry.commit,
        "version": model.version or entry.version,
        "digest": model.digest or entry.digest,
    }
    return {key: (getattr(entry, key), value) for key, value in now.items() if getattr(entry, key) != value}


def _pinned(model: ModelPlan, lock: LockFile | None) -> ModelPlan:
    entry = lock.models.get(model.name) if lock is not None else None
    if lock is None or entry is None or not declared_alike(model, entry, lock):
        return model
    known = entry.digest if model.kind == "hf" else ""  # all else is this host's own
    return replace(model, commit=model.commit or entry.commit, version=model.version or entry.version, locked=known)
