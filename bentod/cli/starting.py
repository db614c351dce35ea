"""What `bentod up` starts with: the spec, or after a crash what ran last."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bentod.cli.project import chosen
from bentod.daemon.claims import Claims
from bentod.daemon.desired import Desired, read, recorded
from bentod.daemon.folders import Folders, folders, located, state_folder
from bentod.daemon.history import History, Marker
from bentod.daemon.inherit import Handover
from bentod.daemon.notify import child_environ
from bentod.daemon.objects import Objects
from bentod.daemon.room import Room, here
from bentod.errors import PlanError, ProblemsError, StartError
from bentod.settings import Settings
from bentod.settings import read as read_settings

_BOTH = "an upgrade needs GPUs for the old workers and for the new; with fewer: `bentod down`, then `bentod up`"


@dataclass(frozen=True)
class Starting:
    """`last` is the last good generation, if a daemon has ended without having stopped; `broken` is why `desired` is
    that one."""

    desired: Desired
    folders: Folders
    settings: Settings
    environ: Mapping[str, str]
    last: Desired | None = None
    broken: ProblemsError | None = None


def starting(args: argparse.Namespace, handover: Handover | None = None, *, placed: bool = True) -> Starting:
    """Raises SpecError, PlanError, StartError, BadSetting, UnusableFolder. `handover`: by a daemon that runs still.
    `placed`: whether this host is looked at, if the spec wants something of it."""
    settings, environ, files = read_settings(), child_environ(os.environ), chosen(args)
    out = handover.out if handover is not None else None
    run = Path(handover.run) if handover is not None else located(files[0], environ, settings.run, settings.state).run
    room = here(environ, out=out, claims=Claims(environ, files[0], run)) if placed else None
    state = state_folder(files[0], settings.state)
    last = None if args.strict or handover is not None else _last(files, state, environ, room)
    broken: ProblemsError | None = None
    try:
        desired = _handed_over(files, environ, settings, handover, room) or read(files, environ, room=room)
    except ProblemsError as error:
        if isinstance(error, PlanError) and handover is not None:
            raise _for_both(error) from None
        if last is None:
            raise
        broken, desired = error, last
    if args.locked and broken is None and not (handover is not None and handover.recorded):
        from bentod.daemon.drifted import refuse_drift  # only this option needs it

        refuse_drift(desired.loaded, environ, desired.weights.located)
    where = folders(desired.plan.name, files[0], environ, settings.run, settings.state)
    if handover is not None:  # the name, from which the folder's is made, may be another by now
        where = replace(where, run=Path(handover.run), files=Path(handover.files), part=handover.part)
    return Starting(desired, where, settings, environ, last, broken)


def _handed_over(
    files: Sequence[Path], environ: Mapping[str, str], settings: Settings, handover: Handover | None, room: Room | None
) -> Desired | None:
    """What a daemon runs that is to be replaced, if that is not what the files say. Raises StartError if nobody knows
    that any more, SpecError if it cannot be read."""
    if handover is None or not handover.recorded:
        return None
    state = state_folder(files[0], settings.state)
    record = History(state / "history").get(handover.generation)
    services = record.services.values() if record is not None else ()
    objects = Objects(state / "objects")
    missing = [name for service in services for name in objects.missing(service.files, files[0].parent)]
    if record is None or missing:
        what = f"the code of generation {handover.generation}" if missing else f"generation {handover.generation}"
        raise StartError(f"{what}, which runs instead of what the files say, is not recorded; `bentod apply` leaves it")
    found = recorded(record, environ, state / "objects", room)
    return replace(found, loaded=replace(found.loaded, files=tuple(files)))


def _for_both(error: PlanError) -> PlanError:
    """What does not fit may do so only because the daemon before has its GPUs still."""
    return PlanError([replace(one, hint=_BOTH) if ".gpu" in one.path else one for one in error.problems])


def _last(files: Sequence[Path], state: Path, environ: Mapping[str, str], room: Room | None) -> Desired | None:
    """The last good generation, if a daemon has ended without having stopped, and it can be read by now. What counts
    from then on is what `files` say."""
    if Marker(state).left() is None:
        return None
    record = History(state / "history").last_live()
    try:
        last = recorded(record, environ, state / "objects", room) if record is not None else None
    except ProblemsError:
        return None
    return last and replace(last, loaded=replace(last.loaded, files=tuple(files)))
