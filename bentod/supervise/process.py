"""One child process of the daemon: its control channel, its output, its signals, its end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Callable
from functools import partial

from bentod.supervise.spawn import Spawned
from bentod.wire.channel import Channel

_LINE_LIMIT = 64 * 1024

Sink = Callable[[str, str], None]
"""Takes a stream's name, `stdout` or `stderr`, and one line without its end."""


class ChildProcess:
    """A running (or ended) child and the daemon's end of its control channel. `peak` is the most memory in bytes that
    it had, once it has ended."""

    def __init__(self, popen: subprocess.Popen[bytes], channel: Channel) -> None:
        self._popen = popen
        self.channel = channel
        self.pid = popen.pid
        self.peak: int | None = None
        self._ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._pidfd = os.pidfd_open(popen.pid)
        asyncio.get_running_loop().add_reader(self._pidfd, self._reap)

    def _reap(self) -> None:
        asyncio.get_running_loop().remove_reader(self._pidfd)
        os.close(self._pidfd)
        self.signal_group(signal.SIGKILL)  # children that it left behind
        self.channel.ended()
        self._ended.set_result(self._collect())

    def _collect(self) -> int:
        """The exit code of a process that has ended, and what it used."""
        try:
            _, status, usage = os.wait4(self.pid, 0)
        except ChildProcessError:  # somebody else has asked before
            return self._popen.wait()
        self.peak = usage.ru_maxrss * 1024
        self._popen.returncode = os.waitstatus_to_exitcode(status)
        return self._popen.returncode

    async def wait(self) -> int:
        """The exit code, negative for a signal, once the process has ended."""
        return await asyncio.shield(self._ended)

    @property
    def exit_code(self) -> int | None:
        """The exit code, or None while the process runs."""
        return self._ended.result() if self._ended.done() else None

    def signal_group(self, number: int) -> None:
        """Send a signal to the child and to everything that it started."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    def kill(self) -> None:
        """End the child now."""
        if self.exit_code is None:
            self.signal_group(signal.SIGKILL)


async def attach(spawned: Spawned, sink: Sink | None = None) -> ChildProcess:
    """Follow a child from now on; its captured output goes to `sink` line by line. Raises OSError, with the child
    ended."""
    try:
        child = ChildProcess(spawned.popen, await Channel.open(spawned.end))
    except OSError:
        spawned.popen.kill()
        spawned.abandon()
        raise
    for name, pipe in (("stdout", spawned.popen.stdout), ("stderr", spawned.popen.stderr)):
        if pipe is not None and sink is not None:
            lines = partial(_Lines, name, sink)
            await asyncio.get_running_loop().connect_read_pipe(lines, pipe)
    return child


class _Lines(asyncio.Protocol):
    """Cuts a stream into lines; a line that is too long is cut, too."""

    def __init__(self, name: str, sink: Sink) -> None:
        self._name = name
        self._sink = sink
        self._rest = b""

    def data_received(self, data: bytes) -> None:
        *lines, rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._emit(self._cut(line))
        self._rest = self._cut(rest)

    def _cut(self, line: bytes) -> bytes:
        """The end of a line, once what is too much for one has been passed on."""
        while len(line) > _LINE_LIMIT:
            self._emit(line[:_LINE_LIMIT])
            line = line[_LINE_LIMIT:]
        return line

    def connection_lost(self, exc: Exception | None) -> None:
        if self._rest:
            self._emit(self._rest)

    def _emit(self, line: bytes) -> None:
        self._sink(self._name, line.rstrip(b"\r").decode("utf-8", "replace"))
