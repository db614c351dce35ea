"""What the user wants now: the spec's files as they are (or were), read and planned."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from bentod.daemon.history import Record
from bentod.daemon.overrides import overridden
from bentod.daemon.room import Room, elsewhere, placed
from bentod.daemon.weights import NO_MODELS, Former, Weights, weights
from bentod.errors import Problem, SpecError
from bentod.plan.build import build, demands
from bentod.plan.grants import Placement
from bentod.plan.model import Plan
from bentod.plan.models import ModelPlan, planned
from bentod.spec.load import Loaded, load
from bentod.spec.source import MAX_BYTES

if TYPE_CHECKING:
    from bentod.models.hashes import Hashes
    from bentod.plan.inventory import Inventory

Pins = Mapping[str, Mapping[str, str]]
"""By service, the project's files that it imports as they were: path → SHA-256."""


@dataclass(frozen=True)
class Desired:
    """A spec with the texts that it was read from, its models, and the plan that follows. `pins` holds the code to one
    of old. `placement` is what its workers were given of `inventory`, if they asked for something, and somebody
    looked."""

    loaded: Loaded
    plan: Plan
    texts: Mapping[str, str]
    pins: Pins = field(default_factory=dict)
    weights: Weights = NO_MODELS
    placement: Placement | None = None
    inventory: Inventory | None = None

    @property
    def beside(self) -> tuple[Path, ...]:
        """The files besides the spec's own that say what is wanted."""
        lock = (self.lock,) if self.weights.declared else ()
        return (*self.loaded.env_files, *lock, *self.weights.watched)

    @property
    def lock(self) -> Path:
        """The lock file, which need not be there."""
        return _lock_of(self.loaded.files)

    def with_models(self, weights: Weights, environ: Mapping[str, str]) -> Desired:
        """The same, now that the models are known."""
        return replace(self, weights=weights, plan=_planned(self.loaded, weights, environ, self.placement))

    def anew(self, environ: Mapping[str, str], room: Room, files: Pins) -> Desired:
        """The same placed once more, with the code held to `files`. Raises PlanError for what does not fit."""
        placement, inventory = placed(self.loaded, room)
        plan = _planned(self.loaded, self.weights, environ, placement)
        return replace(self, plan=plan, pins=files, placement=placement, inventory=inventory)

    def announce(self, log: Callable[..., None], number: int, reason: str) -> None:
        """Say that it begins as generation `number`, and what is worth a warning of where its workers are."""
        counts = {"services": len(self.plan.services), "apis": len(self.plan.apis)}
        log("generation.starting", generation=number, reason=reason, **counts)
        for note in self.placement.notes if self.placement is not None else ():
            log("host.crowded", level="warning", reason=note)

    def moved_from(self, old: Plan, names: Collection[str], environ: Mapping[str, str]) -> Desired | None:
        """The same with the services `names` on other GPUs than those that their workers in `old` have; None if there
        is no room for both."""
        if self.placement is None or self.inventory is None:
            return None
        found = elsewhere(demands(self.loaded.spec), self.placement, self.inventory, old, names)
        if found is None:
            return None
        return replace(self, placement=found, plan=_planned(self.loaded, self.weights, environ, found))


def read(
    files: Sequence[Path],
    environ: Mapping[str, str],
    held: Mapping[Path, bytes] | None = None,
    carried: Sequence[ModelPlan] = (),
    hashes: Hashes | None = None,
    room: Room | None = None,
    *,
    locked: bool = False,
) -> Desired:
    """What `files` say, if they hold this, or what they hold now. `carried` are the models of what runs: what neither
    the spec nor its lock file pins stays as it is. `hashes` remembers what their files held. `room` is where its
    services are placed; without it nothing is. `locked`: only what the lock file says. Raises SpecError, and PlanError
    for what does not fit."""
    held = contents(files) if held is None else held
    loaded = load(files, environ, held)
    models = planned(loaded.spec)
    lock = _lock_of(files) if models else None
    found = weights(models, lock, carried, environ, hashes)
    if locked:
        from bentod.daemon.drifted import refuse_drift  # only `up --locked` needs it

        refuse_drift(loaded, environ, found.located)
    return _desired(loaded, held, found, environ, room)


def _lock_of(files: Sequence[Path]) -> Path:
    from bentod.lock.file import lock_path  # only specs with models need it

    return lock_path(files[0])


def _desired(
    loaded: Loaded, held: Mapping[Path, bytes], models: Weights, environ: Mapping[str, str], room: Room | None
) -> Desired:
    texts = {str(file): found.decode() for file, found in held.items()}
    placement, inventory = placed(loaded, room)
    plan = _planned(loaded, models, environ, placement)
    return Desired(loaded, plan, texts, weights=models, placement=placement, inventory=inventory)


def _planned(loaded: Loaded, models: Weights, environ: Mapping[str, str], placement: Placement | None) -> Plan:
    named = loaded.env_file_values.keys()
    plan = build(loaded.spec, loaded.directory, loaded.environ(environ), named, models.located, placement)
    return overridden(plan, environ)


def contents(files: Sequence[Path]) -> dict[Path, bytes]:
    """What these files hold now. One that cannot be read, or is too large, is left out: `load` says what is wrong."""
    held = {}
    for file in files:
        with contextlib.suppress(OSError):
            if file.is_file():  # no pipe that would hold us
                with file.open("rb") as stream:
                    found = stream.read(MAX_BYTES + 1)
                if len(found) <= MAX_BYTES:
                    held[file] = found
    return held


def recorded(record: Record, environ: Mapping[str, str], objects: Path, room: Room | None = None) -> Desired:
    """What was wanted when a generation was recorded, with its code, which is in `objects`, and its models, placed in
    `room`. Raises SpecError if that is impossible by now, and PlanError if it does not fit any more."""
    held = {Path(name): text.encode() for name, text in record.files.items()}
    pins = {name: service.files for name, service in record.services.items()}
    with tempfile.TemporaryDirectory(prefix="bentod-code-") as folder:
        for name, digest in (item for files in pins.values() for item in files.items()):
            _put(Path(folder) / name, objects / digest, next(iter(held)).parent / name)
        loaded = load(list(held), environ, held, Path(folder).resolve())
    carried = [one.declared for one in record.models.values()]
    models = weights(planned(loaded.spec), None, carried, environ)
    models = replace(models, former=Former(record.number, {name: one.digest for name, one in record.models.items()}))
    if changed := models.former.changed(models.located):
        raise SpecError([Problem("model-changed", told, path=f"models.{name}") for name, told in changed.items()])
    return replace(_desired(loaded, held, models, environ, room), pins=pins)


def _put(path: Path, kept: Path, there: Path) -> None:
    """Have a file hold what was kept; or what is there by now, since extension modules are not kept."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(OSError):
            shutil.copyfile(kept if kept.exists() else there, path)
