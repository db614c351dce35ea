"""Plans that are made without a daemon: the spec on disk against nothing, a recorded generation, or a commit."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from bentod.daemon import git
from bentod.daemon.desired import Desired, read, recorded
from bentod.daemon.git_tree import extract
from bentod.daemon.history import Record
from bentod.daemon.proposal import Disk, Running, propose
from bentod.daemon.room import Room
from bentod.errors import BentodError, PlanError, SpecError
from bentod.plan.difference import Proposal
from bentod.plan.model import Plan
from bentod.spec.imports import imported


class Incomparable(BentodError):
    """What the spec shall be compared with cannot be read any more."""


def against_nothing(
    desired: Desired, environ: Mapping[str, str] = MappingProxyType({}), room: Room | None = None
) -> Proposal:
    """Everything is new. In `room` it is placed; without it nothing is. Raises PlanError for what does not fit."""
    return propose(Running(), _placed(desired, None, environ, room), Disk())


def against_record(
    desired: Desired,
    record: Record,
    environ: Mapping[str, str],
    objects: Path = Path(),
    room: Room | None = None,
) -> Proposal:
    """What differs from a recorded generation, whose code is in `objects`. In `room` both are placed; without it
    nothing is. Raises Incomparable, and PlanError for what does not fit."""
    try:
        then = recorded(record, environ, objects)
    except SpecError as error:
        raise Incomparable(f"generation {record.number} cannot be read any more: {error.problems[0].message}") from None
    then = _as_it_was(then, environ, room)
    desired = _placed(desired, then.plan, environ, room)
    files = {name: dict(service.files) for name, service in record.services.items()}
    names = {name for one in files.values() for name in one}
    running = Running(record.number, then.plan, files, written=then.loaded.as_written)
    return propose(running, desired, Disk(_digests(desired.loaded.directory, names)))


def against_commit(desired: Desired, commit: str, environ: Mapping[str, str], room: Room | None = None) -> Proposal:
    """What differs from what git holds. Code counts as far as targets import it, going by the sources. In `room` both
    are placed. Raises GitError, Incomparable, and PlanError for what does not fit."""
    project = desired.loaded.directory
    with tempfile.TemporaryDirectory(prefix="bentod-plan-") as made:
        folder = Path(made).resolve()
        extract(project, environ, commit, folder)
        _add_env_files(desired, folder)
        then = _as_it_was(_with_weights(_at(desired, folder, commit, environ), desired, environ), environ, room)
        desired = _placed(desired, then.plan, environ, room)
        files, now = {}, {}
        for name, target in _targets(then.plan, desired.plan).items():
            names = imported(target[0], folder) | imported(target[-1], project)
            files[name] = _digests(folder, names)
            now.update(_digests(project, names))
    plan: Plan = moved(then.plan, str(folder), str(project))
    running = Running(0, replace(plan, project=project), files, written=then.loaded.as_written)
    return propose(running, desired, Disk(now))


def _placed(desired: Desired, running: Plan | None, environ: Mapping[str, str], room: Room | None) -> Desired:
    """The same placed beside what would run there."""
    return desired if room is None else desired.anew(environ, replace(room, running=running), desired.pins)


def _as_it_was(then: Desired, environ: Mapping[str, str], room: Room | None) -> Desired:
    """What is compared with, on the same host; not placed if it would not fit there."""
    try:
        return _placed(then, None, environ, room)
    except PlanError:
        return then


def _at(desired: Desired, folder: Path, commit: str, environ: Mapping[str, str]) -> Desired:
    """The spec in `folder`. What is not in the project is as it is now."""
    project = desired.loaded.directory
    files = [_in(folder, project, file.absolute()) for file in desired.loaded.files]
    try:
        return read(files, environ)
    except SpecError as error:
        first = error.problems[0]
        place = first.file.replace(f"{folder}/", f"{commit[:12]}:", 1)
        raise Incomparable(f"the spec at that commit cannot be used: {place}:{first.line}: {first.message}") from None


def _with_weights(then: Desired, desired: Desired, environ: Mapping[str, str]) -> Desired:
    """Weights are seldom in git. Those that are not are as they are now."""
    found, now = then.weights, desired.weights.located
    kept = {name: now[name] for name in found.missing if name in now}
    if not kept:
        return then
    missing = {name: one for name, one in found.missing.items() if name not in kept}
    return then.with_models(replace(found, located={**found.located, **kept}, missing=missing), environ)


def _in(folder: Path, project: Path, file: Path) -> Path:
    return folder / file.relative_to(project) if file.is_relative_to(project) else file


def _add_env_files(desired: Desired, folder: Path) -> None:
    """Files of variables are seldom in git. Those that are not are as they are now."""
    named = desired.loaded.as_written.get("env_files") or []
    for name in [named] if isinstance(named, str) else named:
        source, copy = desired.loaded.directory / str(name), folder / str(name)
        if source.is_file() and not copy.exists() and copy.resolve().is_relative_to(folder):
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(source.read_bytes())


def _targets(old: Plan, new: Plan) -> dict[str, tuple[str, ...]]:
    """By service: its target then and now."""
    found: dict[str, tuple[str, ...]] = {}
    for service in (*old.services, *new.services):
        found[service.name] = (*found.get(service.name, ()), service.target)
    return found


def _digests(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """SHA-256 by name; "" for what is not there."""
    return {name: _digest(folder / name) for name in names}


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""


def moved(value: Any, old: str, new: str) -> Any:
    """`value` with `new` for the folder `old` in all its texts."""
    if isinstance(value, str):
        return value.replace(old, new)
    if isinstance(value, Mapping):
        return {key: moved(item, old, new) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return type(value)(moved(item, old, new) for item in value)  # type: ignore[call-arg]
    if is_dataclass(value) and not isinstance(value, type):
        changed = {field.name: moved(getattr(value, field.name), old, new) for field in fields(value)}
        return replace(value, **changed)
    return value


def resolved(ref: str, project: Path, environ: Mapping[str, str]) -> str:
    """The commit that a revision names. Raises GitError."""
    return git.resolve(project, environ, ref)
