"""`bentod up`: the daemon in this process."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from typing import Literal

from bentod.cli.starting import starting
from bentod.cli.takeover import again, taking_over
from bentod.daemon.folders import Folders
from bentod.daemon.front import AccessLogging
from bentod.daemon.listen import inherited
from bentod.daemon.notify import Notifier, watchdog_interval_s
from bentod.daemon.run import run
from bentod.daemon.start import Start
from bentod.daemon.succession import Heir
from bentod.daemon.weights import Shown
from bentod.observe.log import make_log
from bentod.observe.sink import Nowhere, open_sink
from bentod.settings import Settings
from bentod.supervise.spawn import Spawned


def serve(args: argparse.Namespace, spawned: Spawned) -> int:
    """Run the daemon until it is told to stop. Raises SpecError, StartError, AlreadyRunning, UnusableFolder."""
    if args.takeover is None:
        return _serve(args, spawned, None)
    with taking_over(args.takeover) as heir:
        return _serve(args, spawned, heir)


def _serve(args: argparse.Namespace, spawned: Spawned, heir: Heir | None) -> int:
    found = starting(args, heir.handover if heir is not None else None)
    settings, folders = found.settings, found.folders
    form = _form(settings, detached=args.detached)
    shown = Nowhere() if args.detached else open_sink("")
    log = make_log(form, settings.log_level, shown, open_sink(str(folders.daemon_log)), colour=sys.stderr.isatty())
    access = _access(settings, form, folders, detached=args.detached)
    start = Start(
        found.desired,
        folders,
        access,
        found.environ,
        broken=found.broken,
        instead=found.last,
        inherited=inherited(os.environ, os.getpid()),
        notifier=Notifier(os.environ.get("NOTIFY_SOCKET", "")),
        watchdog_s=watchdog_interval_s(os.environ),
        gated=not args.ungated,
        locked=args.locked,
        spawned=spawned,
        again=again(args, folders, os.environ),
        heir=heir,
        shown=_bar() if found.desired.weights.wanted and form == "text" and sys.stderr.isatty() else None,
    )
    try:
        return asyncio.run(run(start, log))
    finally:
        shown.close()


def _bar() -> Shown:
    from bentod.cli.progress import ProgressLines

    return ProgressLines(sys.stderr, terminal=True)


def _access(settings: Settings, form: str, where: Folders, *, detached: bool) -> AccessLogging:
    """Requests are shown with the rest, or kept beside the rest by a daemon that shows nothing."""
    if not settings.access_log:
        return AccessLogging("off")
    return AccessLogging("json", str(where.logs / "gateway-{index}.log")) if detached else AccessLogging(form)


def _form(settings: Settings, *, detached: bool) -> Literal["text", "json"]:
    if settings.log_format == "auto":
        return "text" if sys.stderr.isatty() and not detached else "json"
    return settings.log_format
