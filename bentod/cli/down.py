"""`bentod down`: stop the daemon, after the calls that it has."""

from __future__ import annotations

import argparse
import asyncio
import os
import select
import sys

from bentod.cli.client import Client, NotRunning
from bentod.cli.options import add_files
from bentod.cli.project import loaded
from bentod.daemon.folders import Folders
from bentod.errors import StartError

_MARGIN_S = 15.0


def configure(parser: argparse.ArgumentParser) -> None:
    """The verb's options."""
    add_files(parser)


def run(args: argparse.Namespace) -> int:
    """0: it has stopped, or did not run. Raises SpecError, StartError if it does not end."""
    found, folders, _ = loaded(args)
    try:
        pid = asyncio.run(_stop(folders))
    except NotRunning:
        print("no daemon runs this spec", file=sys.stderr)
        return 0
    if not _ended(pid, found.spec.server.drain_timeout_s * 2 + _MARGIN_S):
        raise StartError(f"the daemon (pid {pid}) has not ended yet")
    print(f"{found.spec.name} is down")
    return 0


async def _stop(folders: Folders) -> int:
    client = Client(folders.control)
    status = await client.get("/status")
    await client.post("/stop")
    return int(status["daemon"]["pid"])


def _ended(pid: int, timeout_s: float) -> bool:
    """Whether a process ends in time."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], timeout_s)[0])
    finally:
        os.close(descriptor)
