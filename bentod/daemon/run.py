"""Runs a daemon in this process: start, wait for a signal or an order, stop; nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import os
import signal
from collections.abc import Callable

from bentod.daemon.daemon import AccessLogging, Daemon
from bentod.daemon.folders import Folders, RunFolder
from bentod.errors import StartError
from bentod.plan.model import Plan
from bentod.supervise.spawn import Spawned

INTERRUPTED = 130


async def run(
    plan: Plan, folders: Folders, access: AccessLogging, log: Callable[..., None], spawned: Spawned | None = None
) -> None:
    """Serve until told to stop. Raises StartError if it does not become ready, AlreadyRunning, UnusableFolder.

    `spawned` is a gateway that waits for its orders. The first SIGTERM or SIGINT drains, a second one ends at once.
    """
    folder = RunFolder(folders)
    folder.take()
    try:
        log("daemon.started", name=plan.name, pid=os.getpid(), run=str(folders.run), state=str(folders.state))
        await _serve(Daemon(plan, folders, access, log, spawned), folders, log)
    finally:
        folder.release()


async def _serve(daemon: Daemon, folders: Folders, log: Callable[..., None]) -> None:
    orders: asyncio.Queue[str] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, orders.put_nowait, signal.Signals(number).name)
    starting = asyncio.create_task(daemon.start())
    starting.add_done_callback(lambda _: daemon.launched.set())  # nor is there anything to wait for after a failure
    await daemon.launched.wait()
    # the web framework takes a third of a second to import: the workers start meanwhile
    module = await asyncio.to_thread(importlib.import_module, "bentod.daemon.control")
    control = module.Control(folders.control, daemon, orders.put_nowait)
    control.start()
    ordered = asyncio.create_task(orders.get())
    reason = "it did not start"
    try:
        await asyncio.wait({starting, ordered}, return_when=asyncio.FIRST_COMPLETED)
        if starting.done() and starting.exception() is not None:
            log("generation.failed", level="error", generation=1, error=str(starting.exception()))
            starting.result()
        reason = await ordered
    finally:
        starting.cancel()
        with contextlib.suppress(asyncio.CancelledError, StartError):
            await starting
        await _stop(daemon, reason, orders)
        await control.stop()


async def _stop(daemon: Daemon, reason: str, orders: asyncio.Queue[str]) -> None:
    """Drain, unless a further order comes: then this process ends at once, and its children with it."""
    stopping = asyncio.create_task(daemon.stop(reason))
    again = asyncio.create_task(orders.get())
    await asyncio.wait({stopping, again}, return_when=asyncio.FIRST_COMPLETED)
    if again.done() and not stopping.done():
        os._exit(INTERRUPTED)
    again.cancel()
    stopping.result()
