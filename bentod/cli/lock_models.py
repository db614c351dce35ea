"""The models of a lock file: commits asked for at the hub, versions and digests of what lies here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from bentod.daemon.drifted import lie_here
from bentod.errors import BentodError
from bentod.lock.file import LockedModel, LockFile, relative
from bentod.lock.pin import declared_alike, pinned
from bentod.plan.models import Located, ModelPlan, planned
from bentod.spec.load import Loaded


class Unlockable(BentodError):
    """A model cannot be pinned."""


def locked_models(
    loaded: Loaded, old: LockFile, environ: Mapping[str, str], *, upgrade: bool, offline: bool
) -> tuple[dict[str, LockedModel], list[str]]:
    """The models as the lock file has them, and notes on what is not known of them. What is locked already stays, but
    for `upgrade`. Raises Unlockable, ModelError."""
    models = planned(loaded.spec)
    if not upgrade:
        models = pinned(models, old)
    before = LockFile(file=old.file) if upgrade else old
    folder = Path(old.file).parent
    here = lie_here(models, environ)
    found: dict[str, LockedModel] = {}
    for model in models:
        one = _locked(model, here.get(model.name), before, environ, offline=offline)
        found[model.name] = replace(one, source=_source(model, folder))
    unknown = [name for name, one in found.items() if not one.digest]
    return found, [f"the digest of the model {name} is left out: `bentod models pull`, then lock" for name in unknown]


def _source(model: ModelPlan, folder: Path) -> str:
    return relative(model.source, folder) if model.kind == "path" else model.uri


def _locked(
    model: ModelPlan, here: Located | None, old: LockFile, environ: Mapping[str, str], *, offline: bool
) -> LockedModel:
    entry = LockedModel(model.uri, model.revision, model.include, model.exclude, model.endpoint)
    if model.kind != "hf":
        if here is None:
            raise Unlockable(f"the model {model.name} ({model.uri}) is not here, so that nothing is known of it")
        return replace(entry, version=here.version, digest=here.digest, size=here.size)
    commit, size = model.commit, 0
    if not commit:
        commit, size = _asked(model, here, environ, offline=offline)
    if here is not None and here.commit == commit:
        return replace(entry, commit=commit, digest=here.digest, size=here.size)
    before = old.models.get(model.name)
    if before is not None and before.commit == commit and declared_alike(model, before, old):
        return replace(entry, commit=commit, digest=before.digest, size=before.size or size)
    return replace(entry, commit=commit, digest=model.digest, size=size)


def _asked(model: ModelPlan, here: Located | None, environ: Mapping[str, str], *, offline: bool) -> tuple[str, int]:
    """The commit that the revision is now, and the size of its files. Raises Unlockable, ModelError."""
    if not offline:
        from bentod.models.fetching import listing_now
        from bentod.models.home import default_home

        found = listing_now(model, default_home(environ), environ)
        return found.commit, found.size
    if here is None or not here.commit:
        raise Unlockable(f"the model {model.name} ({model.uri}) was never fetched; without --offline the hub is asked")
    return here.commit, here.size
