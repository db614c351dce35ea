"""The models of a spec: what they are pinned to, where they lie on this host, and fetching those that do not."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from bentod.errors import StartError
from bentod.plan.models import Located, Missing, ModelPlan

if TYPE_CHECKING:
    from bentod.models.hashes import Hashes
    from bentod.models.progress import Progress

BAKED = "BENTOD_BAKED_MODELS"
"""The folder of the models that an image brings."""
_TOLD_EVERY_S = 5.0

Shown = Callable[["Progress"], None]
"""Shows how far a fetch is."""


@dataclass(frozen=True)
class Former:
    """The digests that models had in a generation of old, by their names."""

    generation: int = 0
    digests: Mapping[str, str] = field(default_factory=dict)

    def changed(self, located: Mapping[str, Located]) -> dict[str, str]:
        """What is to be said of each model that is not what it was."""
        said = f"is not what it was in generation {self.generation}: its files have changed"
        then = self.digests.items()
        return {one: f"the model {one} {said}" for one, was in then if one in located and located[one].digest != was}


@dataclass(frozen=True)
class Weights:
    """The models of one spec. `declared` are pinned as far as they can be without asking anybody. `watched`: the files
    and folders of models that are paths: what they hold may be changed by anybody. `former`: what they have to be."""

    declared: tuple[ModelPlan, ...] = ()
    located: Mapping[str, Located] = field(default_factory=dict)
    missing: Mapping[str, Missing] = field(default_factory=dict)
    baked: bool = False
    watched: tuple[Path, ...] = ()
    former: Former = field(default_factory=Former)

    @property
    def wanted(self) -> tuple[ModelPlan, ...]:
        """Those that have to be fetched, or asked for, before workers can start."""
        return tuple(model for model in self.declared if model.name in self.missing or self._open(model))

    @property
    def pinned(self) -> tuple[ModelPlan, ...]:
        """The models as they were declared, each pinned to what lies on this host."""
        return tuple(_as_found(model, self.located.get(model.name)) for model in self.declared)

    def _open(self, model: ModelPlan) -> bool:
        return model.kind == "hf" and not model.commit and not self.baked


NO_MODELS = Weights()


def weights(
    models: Sequence[ModelPlan],
    lock: Path | None,
    carried: Sequence[ModelPlan],
    environ: Mapping[str, str],
    hashes: Hashes | None = None,
) -> Weights:
    """What is known of the models without any network. The file `lock` pins what it knows; what is left open is as in
    `carried`, which is pinned, if it is declared as there. `hashes` remembers what their files held: to read them takes
    its time. Raises SpecError for a lock file that cannot be used."""
    if not models:
        return NO_MODELS
    # few specs name models, and all that follows takes its time to import
    from bentod.lock.file import read
    from bentod.lock.pin import pinned
    from bentod.models.home import default_home
    from bentod.models.locate import locate

    locked = pinned(models, read(lock)) if lock is not None else models
    declared = tuple(_carried(model, carried) for model in locked)
    baked = environ.get(BAKED)
    found = locate(declared, default_home(environ), Path(baked) if baked else None, hashes)
    return Weights(
        declared,
        {name: one for name, one in found.items() if isinstance(one, Located)},
        {name: one for name, one in found.items() if isinstance(one, Missing)},
        bool(baked),
        tuple(path for model in declared if model.kind == "path" for path in _tree(Path(model.source))),
    )


def _tree(path: Path) -> Iterator[Path]:
    """The path, and all that is in it if it is a folder, however deep."""
    yield path
    folders = [str(path)]
    while folders:
        with contextlib.suppress(OSError), os.scandir(folders.pop()) as entries:
            for entry in entries:
                yield Path(entry.path)
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)


def _carried(model: ModelPlan, carried: Iterable[ModelPlan]) -> ModelPlan:
    if model.kind == "path" or model.commit or model.version:
        return model
    return next((one for one in carried if replace(one, commit="", version="") == model), model)


def _as_found(model: ModelPlan, found: Located | None) -> ModelPlan:
    return model if found is None else replace(model, commit=found.commit, version=found.version, locked="")


async def fetched(
    found: Weights, environ: Mapping[str, str], log: Callable[..., None], shown: Shown | None = None
) -> Weights:
    """The same with every model on this host. How far that is goes to `shown`, or becomes events. Raises StartError."""
    wanted = found.wanted
    for model in wanted:
        missing = found.missing.get(model.name)
        if missing is not None and not missing.fetchable:
            raise StartError(f"the model {model.name} cannot be used: {missing.reason}")
    if not wanted:
        return found
    from bentod.models.fetching import fetch
    from bentod.models.home import ModelError, default_home

    report = shown or _Telling(log).report
    for model in wanted:
        log("model.fetching", model=model.name, source=model.uri, revision=model.revision)
    begun = time.monotonic()
    try:
        located = await fetch(wanted, default_home(environ), environ, report)
    except ModelError as error:
        raise StartError(str(error)) from None
    if changed := found.former.changed(located):
        raise StartError("; ".join(changed.values()))
    for one in located.values():
        seconds = round(time.monotonic() - begun, 3)
        log("model.ready", model=one.name, commit=one.commit, bytes=one.size, files=one.files, seconds=seconds)
    return replace(found, located={**found.located, **located}, missing={})


class _Telling:
    """Progress → events, not too many of them."""

    def __init__(self, log: Callable[..., None]) -> None:
        self._log = log
        self._told: dict[tuple[str, str], float] = {}

    def report(self, progress: Progress) -> None:
        """One step of fetching."""
        if progress.note:
            self._log("model.note", level="warning", model=progress.model, reason=progress.note)
        now, key = time.monotonic(), (progress.model, progress.state)
        if progress.state != "ready" and now - self._told.get(key, -_TOLD_EVERY_S) >= _TOLD_EVERY_S:
            self._told[key] = now
            keys = {"state": progress.state, "bytes": progress.done_bytes, "of": progress.total_bytes}
            self._log("model.progress", model=progress.model, **keys)
