"""One supervised worker: started, watched, started again as the restart policy says, drained."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bentod.errors import WireError
from bentod.plan.model import ServicePlan, WorkerPlan
from bentod.supervise.process import ChildProcess
from bentod.supervise.restart import SETTLED_S, next_delay
from bentod.supervise.state import WorkerState, move
from bentod.wire.messages import Drain, Failed, Message, Method, Probe, Probed, Ready, Setup

PROBE_INTERVAL_S = 1.0
PROBE_TIMEOUT_S = 5.0
_END_S = 1.0  # from the end of the control channel to the end of the process
_CANNOT_START = 4


class Launcher(Protocol):
    """Starts worker processes; the seam at which tests put processes that never run."""

    async def launch(self, service: ServicePlan, worker: WorkerPlan) -> ChildProcess:
        """A new process for this worker, with its output captured. Raises OSError."""

    def socket_path(self) -> Path:
        """A fresh path for a worker's data socket."""

    def remove_socket(self, path: str) -> None:
        """Remove what a worker that is gone may have left at its path."""


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """One worker as `status` shows it."""

    index: int
    pid: int | None
    state: WorkerState
    restarts: int
    reason: str
    socket: str
    started_s: float | None


class SupervisedWorker:
    """Keeps one worker alive. `changed` is called after every move, `log` with each event and its keys."""

    def __init__(
        self,
        service: ServicePlan,
        plan: WorkerPlan,
        launcher: Launcher,
        changed: Callable[[], None],
        log: Callable[..., None],
        jitter: Callable[[], float],
    ) -> None:
        self._service = service
        self._plan = plan
        self._launcher = launcher
        self._changed = changed
        self._log = log
        self._jitter = jitter
        self._restarts: list[float] = []
        self._ready_at: float | None = None
        self._unsettled = 0
        self._child: ChildProcess | None = None
        self._stopping = asyncio.Event()
        self._answered = asyncio.Event()
        self._socket = ""
        self._started_s: float | None = None
        self.project = ""
        self.state = WorkerState.STARTING
        self.reason = ""
        self._verdict = ""
        self.traceback = ""
        self.methods: tuple[Method, ...] = ()
        self.was_ready = False
        self.next_start: float | None = None

    def status(self) -> WorkerStatus:
        """What it does now."""
        pid = self._child.pid if self._child is not None and self._child.exit_code is None else None
        return WorkerStatus(
            self._plan.index, pid, self.state, len(self._restarts), self.reason, self._socket, self._started_s
        )

    async def run(self) -> None:
        """Supervise until stopped or given up."""
        while True:
            final = await self._live()
            if self._stopping.is_set():
                return self._move(WorkerState.STOPPED)
            if final or not self.was_ready:
                return self._give_up()
            now = asyncio.get_running_loop().time()
            settled = self._ready_at is not None and now - self._ready_at >= SETTLED_S
            self._unsettled = 0 if settled else self._unsettled + 1
            delay_s = next_delay(self._service.restart, self._restarts, self._unsettled, now, self._jitter())
            if delay_s is None:
                self.reason = f"gave up after {self._service.restart.limit} restarts: {self.reason}"
                return self._give_up()
            self._restarts.append(now)
            await self._back_off(delay_s)
            if self._stopping.is_set():
                return self._move(WorkerState.STOPPED)
            self._move(WorkerState.STARTING)

    async def stop(self, timeout_s: float) -> None:
        """Drain for at most `timeout_s`, then kill. `run` returns afterwards."""
        self._stopping.set()
        child = self._child
        if child is None or child.exit_code is not None:
            return
        if self.state in {WorkerState.READY, WorkerState.UNREADY}:
            self._move(WorkerState.DRAINING)
            child.channel.send(Drain(timeout_s))
            try:
                await asyncio.wait_for(child.wait(), timeout_s)
            except TimeoutError:
                self.reason = f"killed: it did not drain within {timeout_s:g} s"
        child.kill()
        await child.wait()

    def replace(self, reason: str) -> None:
        """Kill the process; the policy starts another."""
        if self._child is not None:
            self._verdict = reason
            self._child.kill()

    def _give_up(self) -> None:
        self._move(WorkerState.FAILED)
        self._log("worker.failed", level="error", worker=self._plan.index, reason=self.reason)

    async def _back_off(self, delay_s: float) -> None:
        self.next_start = asyncio.get_running_loop().time() + delay_s
        self._move(WorkerState.BACKOFF)
        self._log(
            "worker.backing_off",
            level="warning",
            worker=self._plan.index,
            delay_s=round(delay_s, 3),
            attempt=len(self._restarts),
            reason=self.reason,
        )
        try:
            await asyncio.wait_for(self._stopping.wait(), delay_s)
        except TimeoutError:
            self.next_start = None

    async def _live(self) -> bool:
        """One process from its start to its end. Returns whether there is no point in another."""
        self._socket = str(self._launcher.socket_path())
        self._verdict = ""
        self._ready_at = None
        try:
            self._child = child = await self._launcher.launch(self._service, self._plan)
        except OSError as error:
            self.reason = f"cannot be started: {error}"
            return False
        self._log("worker.started", worker=self._plan.index, pid=child.pid)
        self._changed()
        try:
            return not self._stopping.is_set() and await self._follow(child)
        finally:
            child.kill()
            await child.wait()
            child.channel.close()
            self._launcher.remove_socket(self._socket)

    async def _follow(self, child: ChildProcess) -> bool:
        child.channel.send(self._setup())
        begun = asyncio.get_running_loop().time()
        try:
            first = await asyncio.wait_for(child.channel.receive(), self._service.start_timeout_s)
        except TimeoutError:
            self.reason = f"not ready after {self._service.start_timeout_s:g} s (start_timeout)"
            return False
        except WireError as error:
            self.reason = f"broke the protocol: {error}"
            return False
        if isinstance(first, Failed):
            self.reason, self.traceback = f"{first.stage}: {first.error}", first.traceback
            return not self.was_ready
        if isinstance(first, Ready):
            self._ready(child, first, asyncio.get_running_loop().time() - begun)
            await self._watch(child)
        await self._ended(child)
        return False

    def _setup(self) -> Setup:
        service, plan = self._service, self._plan
        return Setup(
            service=service.name,
            index=plan.index,
            target=service.target,
            project=self.project,
            methods=service.methods,
            socket=self._socket,
            init=dict(plan.init),
            hooks=dict(service.hooks),
            threads=service.threads,
            concurrency=service.concurrency,
            gateways=service.gateways,
            expected=service.expected,
        )

    def _ready(self, child: ChildProcess, ready: Ready, seconds: float) -> None:
        self.methods = ready.methods
        self._started_s = seconds
        self._ready_at = asyncio.get_running_loop().time()
        self._log("worker.ready", worker=self._plan.index, pid=child.pid, seconds=round(seconds, 3))
        if "ready" not in self._service.hooks:
            self.was_ready = True
            self._move(WorkerState.READY)

    async def _watch(self, child: ChildProcess) -> None:
        """Follow a process that has started until its channel ends, probing its `ready` hook if it has one."""
        probing = asyncio.create_task(self._probe(child)) if "ready" in self._service.hooks else None
        try:
            while (message := await child.channel.receive()) is not None:
                self._probed(message)
        except WireError as error:
            self._verdict = f"broke the protocol: {error}"
            child.kill()
        finally:
            if probing is not None:
                probing.cancel()

    async def _probe(self, child: ChildProcess) -> None:
        """Ask the `ready` hook every second. No answer is a no; a worker that never says yes has not started."""
        begun = asyncio.get_running_loop().time()
        while True:
            self._answered.clear()
            child.channel.send(Probe())
            try:
                await asyncio.wait_for(self._answered.wait(), PROBE_TIMEOUT_S)
            except TimeoutError:
                self._probed(Probed(ok=False, reason="the ready hook does not answer"))
            late = asyncio.get_running_loop().time() - begun > self._service.start_timeout_s
            if late and self.state is WorkerState.STARTING:
                self._verdict = (
                    f"{self.reason or 'not ready'} after {self._service.start_timeout_s:g} s (start_timeout)"
                )
                child.kill()
                return
            await asyncio.sleep(min(PROBE_INTERVAL_S, self._service.start_timeout_s))

    def _probed(self, message: Message) -> None:
        if not isinstance(message, Probed):
            raise WireError(f"unexpected {type(message).__name__}")
        self._answered.set()
        wanted = WorkerState.READY if message.ok else WorkerState.UNREADY
        if not message.ok or self.state is not wanted:
            self.reason = message.reason
        if self.state is WorkerState.STARTING and not message.ok:
            return
        if self.state is not wanted and self.state is not WorkerState.DRAINING:
            self.was_ready = True
            self._move(wanted)

    async def _ended(self, child: ChildProcess) -> None:
        """Say how the process ended; one that closed its channel without ending is killed."""
        try:
            reason = _exit_text(await asyncio.wait_for(child.wait(), _END_S))
        except TimeoutError:
            reason = "closed its control channel"
        if not self._stopping.is_set():
            self.reason = self._verdict or reason
            self._log("worker.lost", level="warning", worker=self._plan.index, pid=child.pid, reason=self.reason)

    def _move(self, state: WorkerState) -> None:
        self.state = move(self.state, state)
        self._changed()


def _exit_text(code: int) -> str:
    if code < 0:
        known = {one.value: one.name for one in signal.Signals}
        return f"killed by {known.get(-code, f'signal {-code}')}"
    return "the target cannot start" if code == _CANNOT_START else f"exited with code {code}"
