"""`bentod down`: stop the daemon, after the calls that it has."""

from __future__ import annotations

import argparse
import asyncio
import os
import select
import sys

from bentod.cli.client import Client, NotRunning
from bentod.cli.options import add_files
from bentod.cli.project import located
from bentod.errors import StartError

_MARGIN_S = 15.0


def configure(parser: argparse.ArgumentParser) -> None:
    """The verb's options."""
    add_files(parser)


def run(args: argparse.Namespace) -> int:
    """0: it has stopped, or did not run. Raises SpecError if no spec is there, StartError if it does not end."""
    try:
        name, pid, within_s = asyncio.run(_stop(Client(located(args).control)))
    except NotRunning:
        print("no daemon runs this spec", file=sys.stderr)
        return 0
    if not _ended(pid, within_s + _MARGIN_S):
        raise StartError(f"the daemon (pid {pid}) has not ended yet")
    print(f"{name} is down")
    return 0


async def _stop(client: Client) -> tuple[str, int, float]:
    """Name and process id of the daemon that stops now, and how long that may take. Raises NotRunning."""
    status = await client.get("/status")
    stopping = await client.post("/stop")
    return status["name"], status["daemon"]["pid"], stopping["within_seconds"]


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
