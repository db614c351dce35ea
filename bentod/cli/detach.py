"""`bentod up -d`: leaves the daemon running in the background."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import subprocess
import sys
import time
from typing import Any

from bentod.cli.client import Client, NotRunning
from bentod.cli.starting import starting
from bentod.daemon.folders import RunFolder
from bentod.errors import StartError

_APPEAR_S = 60.0
_UNFIT = 3


def detach(args: argparse.Namespace) -> int:
    """Start a daemon of its own session. What keeps it from starting is told here: SpecError, StartError,
    AlreadyRunning, UnusableFolder."""
    folders = starting(args, placed=False).folders  # the daemon looks at this host: a driver may take seconds
    probe = RunFolder(folders)
    probe.take()  # says at once that another daemon runs, or that a folder cannot be used
    probe.release()
    files = [word for path in args.files for word in ("-f", str(path.absolute()))]
    flags = [f"--{name}" for name in ("strict", "locked", "ungated") if getattr(args, name)]
    folders.logs.mkdir(mode=0o700, exist_ok=True)
    errors = folders.logs / "start.log"
    errors.touch(mode=0o600)
    with errors.open("wb") as output:
        daemon = subprocess.Popen(
            [sys.executable, "-P", "-m", "bentod", "up", *files, *flags, "--detached"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    status = asyncio.run(_appear(daemon, Client(folders.control), wait=args.wait))
    if status is None and daemon.poll() is None:
        raise StartError(f"the daemon (pid {daemon.pid}) does not answer yet; ask again with `bentod status`")
    if status is None or status["state"] not in {"starting", "ready", "degraded"}:
        code = daemon.wait()
        text = errors.read_text("utf-8", "replace").strip()
        if code == _UNFIT and text:
            print(text, file=sys.stderr)
            return code
        raise StartError(text.removeprefix("bentod: ") or f"the daemon ended with code {code}")
    at = f" at {status['url']}" if status["url"] else ""  # while models are fetched it has none
    print(f"{status['name']} is {status['state']}{at} (pid {daemon.pid})")
    return 0


async def _appear(daemon: subprocess.Popen[bytes], client: Client, *, wait: bool) -> dict[str, Any] | None:
    """The daemon's status once it answers (or, with `wait`, once it has settled); None if it ended. Another one that
    was faster may answer in its place: then ours ends."""
    told = False
    deadline = time.monotonic() + _APPEAR_S
    while daemon.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(NotRunning):
            if wait and not told and sys.stderr.isatty() and (await client.get("/status"))["state"] == "starting":
                told = True
                print("waiting for the services; `bentod logs -f` shows what they do", file=sys.stderr)
            status = await client.get("/settled" if wait else "/status")
            if status["daemon"]["pid"] == daemon.pid:
                return status
        await asyncio.sleep(0.02)
    return None
