"""`bentod up`: the daemon in this process."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from typing import Literal

from bentod.cli.project import loaded
from bentod.daemon.daemon import AccessLogging
from bentod.daemon.folders import Folders
from bentod.daemon.run import run
from bentod.observe.log import make_log
from bentod.observe.sink import Nowhere, open_sink
from bentod.plan.build import build
from bentod.settings import Settings
from bentod.supervise.spawn import Spawned


def serve(args: argparse.Namespace, spawned: Spawned) -> None:
    """Run the daemon until it is told to stop. Raises SpecError, StartError, AlreadyRunning, UnusableFolder."""
    found, folders, settings = loaded(args)
    form = _form(settings, detached=args.detached)
    shown = Nowhere() if args.detached else open_sink("")
    log = make_log(form, settings.log_level, shown, open_sink(str(folders.daemon_log)), colour=sys.stderr.isatty())
    plan = build(found.spec, found.directory, found.environ(os.environ))
    try:
        asyncio.run(run(plan, folders, _access(settings, form, folders, detached=args.detached), log, spawned))
    finally:
        shown.close()


def _access(settings: Settings, form: str, folders: Folders, *, detached: bool) -> AccessLogging:
    """Requests are shown with the rest, or kept beside the rest by a daemon that shows nothing."""
    if not settings.access_log:
        return AccessLogging("off")
    return AccessLogging("json", str(folders.logs / "gateway-{index}.log")) if detached else AccessLogging(form)


def _form(settings: Settings, *, detached: bool) -> Literal["text", "json"]:
    if settings.log_format == "auto":
        return "text" if sys.stderr.isatty() and not detached else "json"
    return settings.log_format
