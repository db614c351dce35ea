"""Replaces a daemon by a new one without a pause: the side of the old one, and that of its heir."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import bentod
from bentod.daemon.folders import Folders, RunFolder, remove_part
from bentod.daemon.inherit import Conversation, Drained, Failed, Handover, Inheritance, Ready, Word, Yours, send
from bentod.daemon.listen import Inherited, Listener
from bentod.daemon.notify import Notifier
from bentod.errors import StartError, WireError

_LIMIT_S = 3600.0
"""A successor may load as long as its services' `start_timeout` lets it, and it alone knows that."""
_DECIDED_S = 30.0
_GONE = "the process that this daemon was started in is gone"


@dataclass(frozen=True)
class Again:
    """How this daemon's successor is started: `flags` besides the spec's files, and the environment. `output` is the
    file that gets what it prints; without one it prints where this daemon does, and this process `stays`: a terminal,
    a container or a supervisor knows it. Not so a service manager that is told of the new one."""

    flags: tuple[str, ...]
    environ: Mapping[str, str]
    output: Path | None = None
    stays: bool = False


class Succession:
    """The side of the daemon that is replaced. One attempt at a time."""

    def __init__(
        self, again: Again, folders: Folders, folder: RunFolder, notifier: Notifier, log: Callable[..., None]
    ) -> None:
        self._again = again
        self._folders = folders
        self._folder = folder
        self._notifier = notifier
        self._log = log
        self._conversation: Conversation | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self.stays = again.stays
        self.heir: Ready | None = None
        """Who is the daemon now, if not this process."""

    async def run(
        self,
        files: Sequence[Path],
        generation: int,
        listeners: Sequence[Listener],
        *,
        recorded: bool = False,
        out: Mapping[str, str] | None = None,
    ) -> Ready:
        """Start a successor, and hand over once it serves. `recorded`: with the generation that runs, by its record,
        not with what the files say. `out`: without these GPUs. Raises StartError; then everything is as it was."""
        beside = self._folders.free()
        if beside is None:
            raise StartError("the daemons of earlier upgrades still finish their calls; try again later")
        begun = time.monotonic()
        try:
            handover = replace(self._handover(generation, listeners, beside), recorded=recorded, out=dict(out or {}))
            ready = await self._started(files, handover, listeners)
        except BaseException as error:
            await self._abandon(beside)
            reason = str(error) or "the daemon was told to stop"
            self._log("daemon.not_replaced", level="error", reason=reason)
            raise
        await self._hand_over(ready, listeners, time.monotonic() - begun)
        return ready

    async def _started(self, files: Sequence[Path], handover: Handover, listeners: Sequence[Listener]) -> Ready:
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                self._process = self._spawn(files, theirs.fileno())
                send(
                    ours,
                    handover,
                    self._folder.lock,
                    [one.socket.fileno() for one in listeners],
                )
                self._conversation = await Conversation.open(ours)
            except OSError as error:
                ours.close()
                raise StartError(f"no new daemon can be started: {error}") from None
        try:
            word = await asyncio.wait_for(self._conversation.hear(), _LIMIT_S)
        except TimeoutError:
            raise StartError("the new daemon takes too long") from None
        except WireError as error:
            raise StartError(f"the new daemon says nothing of use: {error}") from None
        if isinstance(word, Ready):
            return word
        if isinstance(word, Failed):
            raise StartError(word.error, word.traceback)
        raise StartError(await self._why_it_ended())

    def _spawn(self, files: Sequence[Path], end: int) -> subprocess.Popen[bytes]:
        """Raises OSError."""
        words = [word for file in files for word in ("-f", str(file))]
        command = [sys.executable, "-P", "-m", "bentod", "up", *words, *self._again.flags, "--takeover", str(end)]
        detached = self._again.output is not None
        with contextlib.ExitStack() as stack:
            output = stack.enter_context(self._again.output.open("wb")) if self._again.output is not None else None
            return subprocess.Popen(
                command,
                env=dict(self._again.environ),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=(end,),
                start_new_session=detached,
                process_group=None if detached else 0,  # a terminal's Ctrl-C is for this process, which passes it on
            )

    def _handover(self, generation: int, listeners: Sequence[Listener], beside: Folders) -> Handover:
        return Handover(
            version=bentod.__version__,
            pid=os.getpid(),
            generation=generation,
            run=str(beside.run),
            files=str(beside.files),
            part=beside.part,
            addresses=tuple(one.address for one in listeners),
            owned=tuple(one.address for one in listeners if one.owned),
            stays=self._again.stays,
        )

    async def _hand_over(self, ready: Ready, listeners: Sequence[Listener], seconds: float) -> None:
        """From here on there is no way back."""
        assert self._conversation is not None
        self._notifier.main_pid(ready.pid)  # before it speaks for itself
        for one in listeners:
            one.owned = one.owned and one.address not in ready.addresses
        self._folder.ours = False
        self.heir = ready
        await self._conversation.say(Yours())
        self._log("daemon.replaced", pid=ready.pid, version=ready.version, seconds=round(seconds, 3))

    async def _abandon(self, beside: Folders) -> None:
        """The successor and what it has made are not needed."""
        if self._process is not None:
            self._process.kill()
            await asyncio.to_thread(self._process.wait)
        if self._conversation is not None:
            self._conversation.close()
        beside.next_control.unlink(missing_ok=True)
        remove_part(beside)

    async def _why_it_ended(self) -> str:
        assert self._process is not None
        code = await asyncio.to_thread(self._process.wait)
        said = self._again.output.read_text("utf-8", "replace").strip() if self._again.output is not None else ""
        return said or f"the new daemon ended {f'by signal {-code}' if code < 0 else f'with code {code}'}"

    async def drained(self) -> None:
        """All calls of this daemon are answered: its heir is told."""
        if self._conversation is not None:
            await self._conversation.say(Drained())

    def end(self, _: str) -> None:
        """End the heir, too."""
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)

    def pass_on(self) -> None:
        """What this process is told by signals is meant for its heir."""
        assert self._process is not None
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, self._process.send_signal, number)

    async def outlast(self) -> int:
        """Wait for the end of the heir. Returns the exit code, for whoever knows this process."""
        assert self._process is not None
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()
        watched = os.pidfd_open(self._process.pid)
        loop.add_reader(watched, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(watched)
            os.close(watched)
        code = self._process.wait()
        return code if code >= 0 else 128 - code


class Heir:
    """The side of the daemon that replaces another one. `end` is its side of the pair; `stop` is called if the process
    ends that a terminal or a container knows."""

    def __init__(self, inheritance: Inheritance, end: socket.socket) -> None:
        self.handover = inheritance.handover
        self.lock = inheritance.lock
        self.sockets = tuple(
            Inherited(number, address=address)
            for number, address in zip(inheritance.sockets, inheritance.handover.addresses, strict=True)
        )
        self._end = end
        self._conversation: Conversation | None = None
        self._drained = asyncio.Event()
        self._following: asyncio.Task[None] | None = None
        self._stop: Callable[[str], None] = lambda _: None

    def opened(self) -> None:
        """The listeners have their own descriptors of the sockets by now."""
        for one in self.sockets:
            os.close(one.number)
        self.sockets = ()

    async def take_over(self, generation: int, listeners: Sequence[Listener], stop: Callable[[str], None]) -> None:
        """Everything is ready: become the daemon. Raises StartError if the other one does not agree."""
        self._conversation = await Conversation.open(self._end.dup())
        addresses = tuple(one.address for one in listeners)
        await self._conversation.say(Ready(bentod.__version__, os.getpid(), generation, addresses))
        try:
            word = await asyncio.wait_for(self._conversation.hear(), _DECIDED_S)
        except (TimeoutError, WireError) as error:
            raise StartError(f"the daemon that was to be replaced does not hand over: {error}") from None
        if word is not None and not isinstance(word, Yours):
            raise StartError("the daemon that was to be replaced said something else")
        for one in listeners:  # word is None: it has been killed at the last moment, so there is nobody but us
            one.owned = one.owned or one.address in self.handover.owned
        self._stop = stop
        self._following = asyncio.create_task(self._follow())

    def from_now_on(self, stop: Callable[[str], None]) -> None:
        """What is done if the process ends that this one is to end with."""
        self._stop = stop
        if self._following is not None and self._following.done():
            stop(_GONE)

    async def _follow(self) -> None:
        word: Word | None = Yours()
        while word is not None:
            assert self._conversation is not None
            with contextlib.suppress(WireError):
                word = await self._conversation.hear()
            if not isinstance(word, Yours):
                self._drained.set()
        if self.handover.stays:
            self._stop(_GONE)

    async def alone(self, timeout_s: float) -> None:
        """Wait until the daemon before this one has answered its calls."""
        if self._following is None:
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._drained.wait(), timeout_s)

    async def close(self) -> None:
        """Listen to the other one no more."""
        if self._following is not None:
            self._following.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._following
        if self._conversation is not None:
            self._conversation.close()


def told(ready: Ready, generation: int, seconds: float) -> dict[str, Any]:
    """What a successful upgrade is to the command line."""
    return {
        "outcome": "applied",
        "generation": ready.generation,
        "seconds": round(seconds, 3),
        "error": "",
        "traceback": "",
        "problems": [],
        "plan": None,
        "old": {"version": bentod.__version__, "pid": os.getpid(), "generation": generation},
        "new": {"version": ready.version, "pid": ready.pid, "generation": ready.generation},
    }
