"""A daemon for as long as something takes: of the same spec, on a free port, with folders of its own."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from bentod.cli.client import Client, NotRunning
from bentod.daemon import folders
from bentod.daemon.notify import child_environ
from bentod.errors import StartError

_OVERRIDE = {"server": {"listen": "127.0.0.1:0", "drain_timeout": "1s"}, "reload": {"watch": False}}
_APPEAR_S, _END_S, _KILLED_S = 30.0, 20.0, 5.0
_BROKEN = 2


@contextmanager
def scratch(files: Sequence[Path]) -> Iterator[Client]:
    """A daemon that has started; examples that fail do not keep it from that. It is stopped, and all that it wrote
    removed, however the block ends; SIGTERM ends it as Ctrl-C does. Raises StartError."""
    folder = Path(tempfile.mkdtemp(prefix="bt", dir="/tmp"))
    daemon: subprocess.Popen[bytes] | None = None
    with _ended_by_signals():
        try:
            daemon = _started(files, folder)
            yield _settled(daemon, files[0], folder)
        finally:
            if daemon is not None:
                _stop(daemon)
            shutil.rmtree(folder, ignore_errors=True)


def _started(files: Sequence[Path], folder: Path) -> subprocess.Popen[bytes]:
    override = folder / "override.yaml"
    override.write_text(json.dumps(_OVERRIDE), encoding="utf-8")
    words = [word for file in (*files, override) for word in ("-f", str(file))]
    environ = {**child_environ(os.environ), "BENTOD_RUN": str(folder / "r"), "BENTOD_STATE": str(folder / "state")}
    with _output(folder).open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "bentod", "up", *words, "--detached", "--ungated"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=environ,
            start_new_session=True,
        )


def _settled(daemon: subprocess.Popen[bytes], file: Path, folder: Path) -> Client:
    """A client of the daemon, which has started. Raises StartError if it has not."""
    found = asyncio.run(_status(daemon, file, folder))
    if found is not None and found[1]["state"] in {"ready", "degraded"}:
        return found[0]
    with suppress(subprocess.TimeoutExpired):
        daemon.wait(_KILLED_S)
    text = _output(folder).read_text("utf-8", "replace").strip().removeprefix("bentod: ")
    if daemon.returncode == _BROKEN:
        raise StartError(f"the spec cannot be used:\n{text}")
    raise StartError(text or f"the scratch daemon ended with code {daemon.poll()}")


async def _status(daemon: subprocess.Popen[bytes], file: Path, folder: Path) -> tuple[Client, dict[str, Any]] | None:
    """A client and the daemon's status once its start is over; None if it ended, or does not answer at all."""
    deadline = time.monotonic() + _APPEAR_S
    while daemon.poll() is None and time.monotonic() < deadline:
        where = folders.located(file, os.environ, folder / "r", folder / "state")
        client = Client(where.control)
        with suppress(NotRunning):
            return client, await client.get("/settled")
        await asyncio.sleep(0.02)
    return None


def _output(folder: Path) -> Path:
    return folder / "start.log"


def _stop(daemon: subprocess.Popen[bytes]) -> None:
    """As one is stopped that has no calls, and if it has some all the same, at once. Its children end with it."""
    try:
        for wait_s in (_END_S, _KILLED_S):
            if daemon.poll() is None:
                daemon.terminate()
                with suppress(subprocess.TimeoutExpired):
                    daemon.wait(wait_s)
    finally:
        if daemon.poll() is None:
            daemon.kill()
            daemon.wait()


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Whoever ends this process with a usual signal does not leave the daemon behind."""
    before = {number: signal.signal(number, _interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt
