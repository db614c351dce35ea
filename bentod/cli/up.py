"""`bentod up`: run the spec in the foreground, or detached with `-d`."""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import time

from bentod.cli.client import Client, NotRunning
from bentod.cli.project import add_files, loaded
from bentod.daemon.daemon import AccessLogging
from bentod.daemon.folders import Folders, RunFolder
from bentod.daemon.run import run as run_daemon
from bentod.errors import StartError
from bentod.observe.log import make_log
from bentod.observe.sink import open_sink
from bentod.plan.build import build
from bentod.settings import Settings
from bentod.spec.load import Loaded

_APPEAR_S = 30.0


def configure(parser: argparse.ArgumentParser) -> None:
    """The verb's options."""
    add_files(parser)
    parser.add_argument("-d", "--detach", action="store_true", help="leave the daemon running in the background")
    parser.add_argument("--wait", action="store_true", help="detach, and return once every service is ready")
    parser.add_argument("--detached", action="store_true", help=argparse.SUPPRESS)  # what -d starts


def run(args: argparse.Namespace) -> int:
    """0: stopped as told, or (detached) running. Raises SpecError, StartError, AlreadyRunning, UnusableFolder."""
    found, folders, settings = loaded(args)
    if args.detach or args.wait:
        return _detach(args, folders, wait=args.wait)
    form = _form(settings, detached=args.detached)
    sink = open_sink(os.devnull if args.detached else "")
    log = make_log(form, settings.log_level, sink, open_sink(str(folders.daemon_log)), colour=sys.stderr.isatty())
    plan = build(found.spec, found.directory, _environ(found))
    access = AccessLogging(
        form if settings.access_log else "off", str(folders.logs / "gateway-{index}.log") if args.detached else ""
    )
    asyncio.run(run_daemon(plan, folders, dict(os.environ), access, log))
    return 0


def _form(settings: Settings, *, detached: bool) -> str:
    if settings.log_format == "auto":
        return "text" if sys.stderr.isatty() and not detached else "json"
    return settings.log_format


def _environ(found: Loaded) -> dict[str, str]:
    """What lies beneath the spec's `env`: the process environment, and what only the `env_files` say."""
    return {**found.env_file_values, **os.environ}


def _detach(args: argparse.Namespace, folders: Folders, *, wait: bool) -> int:
    """Start a daemon of its own session; what keeps it from starting is told here."""
    probe = RunFolder(folders)
    probe.take()  # says at once that another daemon runs, or that a folder cannot be used
    probe.release()
    files = [word for path in args.files for word in ("-f", str(path.absolute()))]
    folders.logs.mkdir(parents=True, exist_ok=True)
    errors = folders.logs / "start.log"
    with errors.open("wb") as output:
        daemon = subprocess.Popen(
            [sys.executable, "-P", "-m", "bentod", "up", *files, "--detached"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    status = asyncio.run(_appear(daemon, Client(folders.control), wait=wait))
    if status is None or status["state"] == "failed":
        text = errors.read_text("utf-8", "replace").strip()
        raise StartError(text.removeprefix("bentod: ") or f"the daemon ended with code {daemon.wait()}")
    print(f"{status['name']} is {status['state']} at {status['url']} (pid {daemon.pid})")
    return 0


async def _appear(daemon: subprocess.Popen[bytes], client: Client, *, wait: bool) -> dict[str, object] | None:
    """The daemon's status once it answers (or, with `wait`, once it has settled); None if it ended."""
    deadline = time.monotonic() + _APPEAR_S
    while daemon.poll() is None and time.monotonic() < deadline:
        try:
            return await client.get("/settled" if wait else "/status")
        except NotRunning:
            await asyncio.sleep(0.02)
    return None
