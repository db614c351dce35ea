"""The life of one worker process: told its orders, tried, watched, and how it ended."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Protocol

from bentod.errors import WireError
from bentod.plan.model import ServicePlan, WorkerPlan
from bentod.supervise.exit import Exit, KillCounter, device_failed, exited
from bentod.supervise.guard import Guard
from bentod.supervise.process import ChildProcess
from bentod.wire.messages import DeviceFailed, Drain, Failed, Imported, Message, Probe, Probed, Ready, Setup

PROBE_INTERVAL_S = 1.0
PROBE_TIMEOUT_S = 5.0
_END_S = 1.0  # from the end of the control channel to the end of the process
_GRACE_S = 0.2


class Launcher(Protocol):
    """Starts worker processes; the seam at which tests put processes that never run."""

    async def launch(self, service: ServicePlan, worker: WorkerPlan) -> ChildProcess:
        """A new process for this worker, with its output captured. Raises OSError."""

    def socket_path(self) -> Path:
        """A fresh path for a worker's data socket."""

    def remove_socket(self, path: str) -> None:
        """Remove what a worker that is gone may have left at its path."""


class Keeper(Protocol):
    """Who is told about the life of a process, and decides what follows."""

    def heard(self, report: Ready | Failed | Imported) -> None:
        """The process has said this of itself."""

    async def may_serve(self) -> bool:
        """The process has started: whether it may take calls, or has been ended for what it answers."""

    def says(self, *, ok: bool, reason: str) -> None:
        """Whether it can take calls now; the first yes comes after `may_serve`, a no may come before."""


class Life:
    """One process, from its orders to its end. `kills` counts whom the kernel killed for want of memory, `guard` holds
    it to what it was granted."""

    def __init__(
        self, child: ChildProcess, service: ServicePlan, keeper: Keeper, kills: KillCounter, guard: Guard | None = None
    ) -> None:
        self.child = child
        self.guard = guard
        if guard is not None:
            guard.watch(self.end)
        self._start_timeout_s = service.start_timeout_s
        self._hooked = "ready" in service.hooks
        self._keeper = keeper
        self._kill_counter = kills
        self._kills = self._kills_before = kills()
        self._verdict: Exit | None = None
        self._ended_by_us = False
        self._answered = asyncio.Event()
        self._yes = asyncio.Event()
        self._no = ""
        self._asked_since: float | None = None
        self._opened = False
        self.trying = False
        """Whether it answers the examples now."""

    def drain(self, timeout_s: float) -> None:
        """Tell it to finish what it took."""
        self.child.channel.send(Drain(timeout_s))

    def end(self, verdict: Exit | None = None) -> None:
        """End the process now, for this reason."""
        self._verdict = self._verdict or verdict
        if self.child.exit_code is None:
            self._ended_by_us = True
            self.child.kill()

    async def ends_soon(self) -> bool:
        """Whether it has ended, or ends by itself in a moment: what others see of that may be here before we know."""
        try:
            await asyncio.wait_for(self.child.wait(), _GRACE_S)
        except TimeoutError:
            return False
        return True

    def look(self) -> None:
        """Note how many the kernel has killed by now: those before the look before this one were others. (What it has
        killed this moment may be this process, whose end we have not seen yet.)"""
        self._kills_before, self._kills = self._kills, self._kill_counter()

    async def run(self, setup: Setup) -> Exit:
        """Follow the process to its end."""
        try:
            self.child.channel.send(setup)
            return await self._follow()
        finally:
            self.end()
            await self.child.wait()
            self.child.channel.close()

    async def _follow(self) -> Exit:
        try:
            async with asyncio.timeout(self._start_timeout_s):
                first = await self._first_words()
        except TimeoutError:
            return self._verdict or Exit("start", f"not ready after {self._start_timeout_s:g} s (start_timeout)")
        except WireError as error:
            return Exit("protocol", f"broke the protocol: {error}")
        if isinstance(first, Failed):
            self._keeper.heard(first)
            return device_failed(first.error, first.stage) if first.device else _cannot_start(first)
        if first is not None:
            self._keeper.heard(first)
            await self._watch()
        return await self._exit()

    async def _first_words(self) -> Ready | Failed | None:
        while (message := await self.child.channel.receive()) is not None:
            if isinstance(message, Ready | Failed):
                return message
            if not isinstance(message, Imported):
                raise WireError(f"unexpected {type(message).__name__}")
            self._keeper.heard(message)
        return None

    async def _watch(self) -> None:
        """Follow a process that has started until its channel ends: let it serve, probe its hook if it has one."""
        tasks = [asyncio.create_task(self._open())]
        if self._hooked:
            self._asked_since = _now()
            tasks.append(asyncio.create_task(self._probe()))
        for task in tasks:
            task.add_done_callback(self._bug)
        try:
            while (message := await self.child.channel.receive()) is not None:
                self._take(message)
        except WireError as error:
            self.end(Exit("protocol", f"broke the protocol: {error}"))
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    def _bug(self, task: asyncio.Task[None]) -> None:
        """What follows the process must not end before it: nobody would know of the process any more."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self.end(Exit("examples" if self.trying else "protocol", f"could not be followed: {error!r}"))

    async def _open(self) -> None:
        """Once the hook says yes, try the process; if it may serve, the next yes is the first that counts."""
        if self._hooked:
            await self._yes.wait()
        self._asked_since = None
        if not await self._keeper.may_serve():
            return  # its end is near
        self._asked_since = _now()
        while self._hooked and not self._yes.is_set():
            await self._yes.wait()
        self._asked_since = None
        self._opened = True
        self._keeper.says(ok=True, reason="")

    async def _probe(self) -> None:
        """Ask the `ready` hook every second. No answer is a no; a worker that never says yes has not started."""
        while True:
            self._answered.clear()
            self.child.channel.send(Probe())
            try:
                await asyncio.wait_for(self._answered.wait(), PROBE_TIMEOUT_S)
            except TimeoutError:
                self._probed(Probed(ok=False, reason="the ready hook does not answer"))
            if self._asked_since is not None and _now() - self._asked_since > self._start_timeout_s:
                reason = self._no or "not ready"
                return self.end(Exit("start", f"{reason} after {self._start_timeout_s:g} s (start_timeout)"))
            await asyncio.sleep(min(PROBE_INTERVAL_S, self._start_timeout_s))

    def _take(self, message: Message) -> None:
        if isinstance(message, Imported):
            self._keeper.heard(message)
        elif isinstance(message, Probed):
            self._probed(message)
        elif isinstance(message, DeviceFailed):  # it ends itself now
            self._verdict = self._verdict or device_failed(message.text)
        else:
            raise WireError(f"unexpected {type(message).__name__}")

    def _probed(self, message: Probed) -> None:
        self._answered.set()
        self._no = "" if message.ok else message.reason
        if message.ok:
            self._yes.set()
        else:
            self._yes.clear()
        if self._opened or not message.ok:
            self._keeper.says(ok=message.ok, reason=message.reason)

    async def _exit(self) -> Exit:
        """How the process ended; one that closed its channel without ending is killed."""
        try:
            code = await asyncio.wait_for(self.child.wait(), _END_S)
        except TimeoutError:
            found = Exit("protocol", "closed its control channel")
        else:
            found = self._ended(code)
        found = self._verdict or found
        if self.trying and found.kind != "examples":
            return Exit(found.kind, f"died while it answered the examples: {found.text}")
        return found

    def _ended(self, code: int) -> Exit:
        killed = self.guard.killed() if self.guard is not None and not self._ended_by_us else ""
        if killed == "limit" and code < 0 and self.guard is not None:
            return self.guard.exit()
        return exited(code, starved=killed == "host" or self._starved(), peak=self.child.peak)

    def _starved(self) -> bool:
        before, count = self._kills_before, self._kill_counter()
        return not self._ended_by_us and before is not None and count is not None and count > before


def _cannot_start(said: Failed) -> Exit:
    return Exit("start", f"{said.stage}: {said.error}")


def _now() -> float:
    return asyncio.get_running_loop().time()
