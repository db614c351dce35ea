"""What a daemon starts with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bentod.daemon.desired import Desired
from bentod.daemon.folders import Folders
from bentod.daemon.front import AccessLogging
from bentod.daemon.listen import Inherited
from bentod.daemon.notify import Notifier
from bentod.daemon.succession import Again, Heir
from bentod.daemon.weights import Shown
from bentod.errors import ProblemsError, StartError
from bentod.supervise.spawn import Spawned


@dataclass(frozen=True)
class Start:
    """What a daemon starts with. `broken`: why `desired` is not what the files say, but the last good generation;
    `instead`: that generation, should what is wanted not start. `gated`: examples decide whether workers serve.
    `locked`: what is edited later must be what the lock file says, too.
    `spawned` is a gateway that waits for its orders; `shown` shows how far a fetch of models is."""

    desired: Desired
    folders: Folders
    access: AccessLogging
    environ: Mapping[str, str]
    broken: ProblemsError | StartError | None = None
    instead: Desired | None = None
    inherited: tuple[Inherited, ...] = ()
    notifier: Notifier = field(default_factory=lambda: Notifier(""))
    watchdog_s: float | None = None
    gated: bool = True
    locked: bool = False
    spawned: Spawned | None = None
    again: Again = field(default_factory=lambda: Again((), {}))
    heir: Heir | None = None
    shown: Shown | None = None
