"""Servers that live for one measurement: started in a group of their own, watched until they answer, ended for sure."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

MARK = "BENTOD_COMPARE_RUN"
GRACE_S, LAST_LINES = 3.0, 12


class NotStartedError(Exception):
    """A server did not come up: the message has the end of what it said."""


@dataclass(frozen=True)
class Command:
    """What to start, where, and with what environment besides this process's own."""

    words: list[str]
    folder: Path
    environ: dict[str, str]


@contextmanager
def running(command: Command, ready: Callable[[], bool], patience_s: float) -> Iterator[str]:
    """Runs a server until the block ends, and then ends everything that it started. Gives the mark of its processes.

    Raises NotStartedError if it ends or stays silent before `ready` says true."""
    mark = uuid.uuid4().hex
    said = command.folder / "said.txt"
    with said.open("wb") as output:
        server = subprocess.Popen(
            command.words,
            cwd=command.folder,
            env={**os.environ, **command.environ, MARK: mark},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _await(server, ready, patience_s, said)
        yield mark
    finally:
        _end(server, mark)


def _await(server: subprocess.Popen[bytes], ready: Callable[[], bool], patience_s: float, said: Path) -> None:
    deadline = time.monotonic() + patience_s
    while not ready():
        if server.poll() is not None:
            raise NotStartedError(f"ended with {server.returncode}: {_last(said)}")
        if time.monotonic() > deadline:
            raise NotStartedError(f"no right answer within {patience_s:.0f} s: {_last(said)}")
        time.sleep(0.05)


def _last(said: Path) -> str:
    lines = said.read_text(errors="replace").strip().splitlines()
    return " | ".join(line.strip() for line in lines[-LAST_LINES:])[-1500:] or "(it said nothing)"


def _end(server: subprocess.Popen[bytes], mark: str) -> None:
    """Politely, then with force: the group, and whatever left the group but still carries the mark."""
    with suppress(ProcessLookupError):
        server.terminate()
    deadline = time.monotonic() + GRACE_S
    while time.monotonic() < deadline and (server.poll() is None or marked(mark)):
        time.sleep(0.02)
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(server.pid, signal.SIGKILL)
    for pid in marked(mark):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    server.wait()


def marked(mark: str) -> list[int]:
    """The processes that inherited this mark in their environment."""
    wanted = f"{MARK}={mark}".encode()
    found = []
    for folder in Path("/proc").iterdir():
        with suppress(OSError):
            if folder.name.isdigit() and wanted in (folder / "environ").read_bytes():
                found.append(int(folder.name))
    return found


def cpu_s(mark: str) -> float:
    """The CPU time that the processes with this mark have used."""
    used = 0
    for pid in marked(mark):
        with suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            used += int(fields[11]) + int(fields[12])
    return used / os.sysconf("SC_CLK_TCK")


def machine_s() -> float:
    """The CPU time that the whole machine has used."""
    user, nice, system, _, _, irq, soft, steal = map(int, Path("/proc/stat").read_text().split()[1:9])
    return (user + nice + system + irq + soft + steal) / os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    """A TCP port of the loopback address that nobody has just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
