"""How a worker process ended, in words: its exit code, a signal, the kernel's want of memory, or what we held of it."""

from __future__ import annotations

import errno
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Kind = Literal["exit", "signal", "oom", "memory", "start", "stuck", "protocol", "examples", "told", "device"]
"""`memory`: it had more than its `resources.memory`; `start`: it could not be started; `stuck`: it was replaced because
a gateway could not use it; `examples`: it did not answer them; `told`: it ended because it was told to; `device`: it
had lost its GPU."""

KillCounter = Callable[[], int | None]
"""How many processes the kernel has killed for want of memory so far; None where it does not tell."""

CANNOT_START = 4
_MIB = 1024 * 1024
_HINTS = {
    signal.SIGSEGV: "it crashed in native code",
    signal.SIGBUS: "it crashed in native code, or a file that it had mapped has shrunk",
    signal.SIGABRT: "native code gave up",
    signal.SIGILL: "native code that this processor cannot run",
    signal.SIGFPE: "it crashed in native code",
    signal.SIGXCPU: "it used more processor time than its limit",
    signal.SIGXFSZ: "it wrote a file larger than its limit",
}
_REFUSALS = {
    errno.EAGAIN: "no more processes are allowed",
    errno.ENOMEM: "there is no memory for another process",
    errno.EMFILE: "too many files are open",
    errno.ENFILE: "too many files are open on this machine",
}


@dataclass(frozen=True, slots=True)
class Exit:
    """Why a process ended: what kind of end it was, and its text for people."""

    kind: Kind
    text: str


def exited(code: int, *, starved: bool = False, peak: int | None = None) -> Exit:
    """The end of a process by its exit code, negative for a signal. `starved`: the kernel has killed somebody for want
    of memory meanwhile; `peak` is the most memory in bytes that the process had."""
    if code >= 0:
        if code == CANNOT_START:
            return Exit("start", "the target cannot start")
        return Exit("exit", f"exited with code {code}")
    if starved and -code == signal.SIGKILL:
        had = "" if peak is None else f" (it had {peak // _MIB} MiB)"
        return Exit("oom", f"killed by the kernel: out of memory{had}")
    known = {one.value: one for one in signal.Signals}
    if -code not in known:
        return Exit("signal", f"killed by signal {-code}")
    found = known[-code]
    hint = _HINTS.get(found)
    return Exit("signal", f"killed by {found.name}" + (f": {hint}" if hint else ""))


def device_failed(text: str, stage: str = "") -> Exit:
    """The end of a process by what its GPU did to it. `stage`: it was still starting."""
    return Exit("device", f"{stage}: {text}" if stage else f"a CUDA error: {text}")


def not_started(error: OSError, project: str) -> Exit:
    """The end of a process that never was."""
    words, gone = _REFUSALS.get(error.errno or 0), isinstance(error, FileNotFoundError | NotADirectoryError)
    if gone and str(error.filename) == project:
        words = f"the project's folder {project} is gone"
    elif isinstance(error, FileNotFoundError) and error.filename is not None:
        words = f"{error.filename} is gone"
    return Exit("start", f"cannot be started: {words or error}")


def kernel_kills(proc: Path = Path("/proc"), cgroups: Path = Path("/sys/fs/cgroup")) -> int | None:
    """The kernel's own count: that of our control group where there is one, else that of the whole machine."""
    for path in (*_group_files(proc, cgroups), proc / "vmstat"):
        try:
            text = path.read_text()
        except OSError:
            continue
        for line in text.splitlines():
            name, _, count = line.partition(" ")
            if name == "oom_kill" and count.isdigit():
                return int(count)
    return None


def _group_files(proc: Path, cgroups: Path) -> list[Path]:
    """Where the counters of our control group are, in versions 2 and 1."""
    try:
        lines = (proc / "self/cgroup").read_text().splitlines()
    except OSError:
        return []
    groups = [line.split(":", 2)[1:] for line in lines if line.count(":") >= 2]
    files = [cgroups / path.lstrip("/") / "memory.events" for names, path in groups if not names]
    return files + [
        cgroups / "memory" / path.lstrip("/") / "memory.oom_control"
        for names, path in groups
        if "memory" in names.split(",")
    ]
