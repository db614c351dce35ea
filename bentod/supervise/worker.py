"""One supervised worker: started, tried, watched, started again as the restart policy says, drained."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from bentod.plan.model import ServicePlan, WorkerPlan
from bentod.supervise.devices import occupied, vacant
from bentod.supervise.exit import Exit, not_started
from bentod.supervise.life import Life
from bentod.supervise.orders import orders
from bentod.supervise.restart import SETTLED_S, next_delay
from bentod.supervise.state import WorkerState, move
from bentod.supervise.status import WorkerStatus
from bentod.supervise.surroundings import History, Surroundings
from bentod.wire.messages import Failed, Imported, Method, Ready, WorkerRoute


class SupervisedWorker:
    """Keeps one worker alive. One that has `served` before, or is `proven`, is started again whatever becomes of it;
    one on `trial` never. `last_start`: when its process could take calls, and how long that had taken."""

    def __init__(
        self, service: ServicePlan, plan: WorkerPlan, around: Surroundings, history: History | None = None
    ) -> None:
        self.service = service
        self.plan = plan
        self._around = around
        self.history = history or History()
        self._life: Life | None = None
        self._stopping = asyncio.Event()
        self._woken = asyncio.Event()
        self._decided = asyncio.Event()
        self._socket = ""
        self._born = 0.0
        self._ready_at: float | None = None
        self._drain_note = ""
        self.luck = around.jitter()
        self.state = WorkerState.STARTING
        self.reason = ""
        self.traceback = ""
        self.exit: Exit | None = None
        self.methods: tuple[Method, ...] = ()
        self.files: Mapping[str, str] = {}
        self.started_s: float | None = None
        self.last_start: tuple[float, float] | None = None
        self.served = False
        self.proven = False
        self.trial = False
        self.next_start: float | None = None

    @property
    def pid(self) -> int | None:
        """The process, while there is one."""
        child = self._life.child if self._life is not None else None
        return child.pid if child is not None and child.exit_code is None else None

    @property
    def age_s(self) -> float | None:
        """For how long this process has been ready."""
        return None if self._ready_at is None or self.pid is None else _now() - self._ready_at

    @property
    def over(self) -> str:
        """Why it is to be replaced: it has more memory than it was promised. Empty if it has not."""
        return "" if self._life is None or self._life.guard is None else self._life.guard.over

    @property
    def told(self) -> bool:
        """Whether it has been told to stop."""
        return self._stopping.is_set()

    def status(self) -> WorkerStatus:
        """What it does now."""
        return WorkerStatus(
            index=self.plan.index,
            pid=self.pid,
            state=self.state,
            restarts=len(self.history.restarts),
            reason=self.reason or self.over,
            socket=self._socket,
            started_s=self.started_s,
            recycled=self.history.recycled,
            exit=self.exit,
            age_s=self.age_s,
        )

    def route(self) -> WorkerRoute | None:
        """Where gateways reach it, while there is a process."""
        if (pid := self.pid) is None:
            return None
        return WorkerRoute(self.plan.index, pid, self._socket, self.service.threads, self.service.concurrency)

    def adopt(self, service: ServicePlan, plan: WorkerPlan | None = None) -> None:
        """From now on these values. A wait for the next start is no longer than they allow."""
        self.service, self.plan = service, plan or self.plan
        if self._life is not None and self._life.guard is not None:
            self._around.limits.adopt(self._life.guard, service, self.plan)
        if self.next_start is not None:
            self.next_start = min(self.next_start, _now() + service.restart.max_delay_s)
            self._woken.set()

    def look(self) -> None:
        """Note what else goes on on this machine; see `Life.look`."""
        if self._life is not None:
            self._life.look()

    async def decided(self) -> bool:
        """Wait until it is ready (True), or has failed or stopped (False)."""
        await self._decided.wait()
        return self.state is WorkerState.READY

    async def run(self) -> None:
        """Supervise until stopped or given up."""
        while True:
            found = await self._live()
            if self._stopping.is_set():
                self.exit = Exit("told", self._drain_note or "stopped")
                return self._move(WorkerState.STOPPED)
            self.exit, self.reason = found, found.text
            if self.trial or not (self.served or self.proven):
                return self._give_up()
            delay_s = self._delay()
            if delay_s is None:
                self.reason = f"gave up after {self.service.restart.limit} restarts: {self.reason}"
                return self._give_up()
            self.history.restarts.append(_now())
            await self._back_off(delay_s)
            if self._stopping.is_set():
                return self._move(WorkerState.STOPPED)
            self._move(WorkerState.STARTING)

    def revive(self) -> None:
        """After it has failed: its past is forgotten, and `run` may be called again."""
        self.history = History(recycled=self.history.recycled)
        self.served = False
        self._decided.clear()
        self._move(WorkerState.STARTING)

    async def stop(self, timeout_s: float) -> None:
        """Drain for at most `timeout_s`, then kill. `run` returns afterwards."""
        self._stopping.set()
        self._woken.set()
        life = self._life
        if life is None or life.child.exit_code is not None:
            return
        if self.state in {WorkerState.READY, WorkerState.UNREADY}:
            self._move(WorkerState.DRAINING)
            life.drain(timeout_s)
        if self.state is WorkerState.DRAINING:
            try:
                await asyncio.wait_for(life.child.wait(), timeout_s)
            except TimeoutError:
                self.reason = self._drain_note = f"killed: it did not drain within {timeout_s:g} s"
        life.end()
        await life.child.wait()

    def replace(self, reason: str) -> None:
        """Kill the process; the policy starts another."""
        if self._life is not None:
            self._life.end(Exit("stuck", reason))

    def _delay(self) -> float | None:
        settled = self._ready_at is not None and _now() - self._ready_at >= SETTLED_S
        self.history.unsettled = 0 if settled else self.history.unsettled + 1
        past = self.history
        return next_delay(self.service.restart, past.restarts, past.unsettled, _now(), self._around.jitter())

    def _give_up(self) -> None:
        self._move(WorkerState.FAILED)
        if not self.trial:
            self._around.log("worker.failed", level="error", worker=self.plan.index, reason=self.reason)

    async def _back_off(self, delay_s: float) -> None:
        self.next_start = _now() + delay_s
        self._move(WorkerState.BACKOFF)
        self._around.log(
            "worker.backing_off",
            level="warning",
            worker=self.plan.index,
            delay_s=round(delay_s, 3),
            attempt=len(self.history.restarts),
            reason=self.reason,
        )
        while not self.told and (left_s := self.next_start - _now()) > 0:
            self._woken.clear()
            try:
                await asyncio.wait_for(self._woken.wait(), left_s)
            except TimeoutError:
                break
        if not self.told:
            self.next_start = None

    async def _live(self) -> Exit:
        """One process from its start to its end."""
        around = self._around
        if not await vacant(around.devices, self.service.name, self.plan, self._stopping):
            return Exit("told", "stopped")
        self._socket = str(around.launcher.socket_path())
        self._ready_at, self.traceback, self.luck = None, "", around.jitter()
        self._life, self._born = None, _now()
        try:
            child = await around.launcher.launch(self.service, self.plan)
        except OSError as error:
            return not_started(error, around.project)
        ended = occupied(around.devices, self.service.name, self.plan, child.pid)
        guard = around.limits.guard(child.pid, self.service, self.plan, around.log)
        self._life = life = Life(child, self.service, self, around.kills, guard)
        around.log("worker.started", worker=self.plan.index, pid=child.pid)
        around.changed()
        if self.told:
            life.end()
        try:
            found = await life.run(orders(self.service, self.plan, self._socket, around))
            ended(found)
        finally:
            around.launcher.remove_socket(self._socket)
            await around.limits.release(guard)
        if not self.told:
            keys = {"worker": self.plan.index, "pid": child.pid, "kind": found.kind, "reason": found.text}
            around.log("worker.lost", level="warning", **keys)
        return found

    # ── what its process says ────────────────────────────────────────────────────────────────────

    def heard(self, report: Ready | Failed | Imported) -> None:
        """What it has imported, what its methods are, or why it cannot start."""
        self.files = report.files
        if isinstance(report, Ready):
            self.methods = report.methods
            self.started_s = report.seconds
        elif isinstance(report, Failed):
            self.traceback = report.traceback
        self._around.changed()

    async def may_serve(self) -> bool:
        """Have it answer the examples. In a pool that is live one that cannot serves all the same: the others of the
        pool run the same code."""
        life, route = self._life, self.route()
        if life is None or route is None:
            return False
        life.trying = True
        reason = await self._around.rehearse(route, self.methods)
        if not reason:
            life.trying = False
            return await self._fits(life)
        if await life.ends_soon():
            return False
        if not (self._around.live() and (self.served or self.proven or self.trial)):
            life.end(Exit("examples", f"examples: {reason}"))
            return False
        life.trying = False
        keys = {"worker": self.plan.index, "pid": route.pid, "reason": reason}
        self._around.log("worker.rehearsal_failed", level="warning", **keys)
        return True

    async def _fits(self, life: Life) -> bool:
        """Whether it keeps to its memory, having done what it does. One that served before is replaced later."""
        if self._around.live() and (self.served or self.proven or self.trial):
            return True
        excess = await self._around.limits.excess(life.guard)
        if excess:
            life.end(Exit("memory", excess))
        return not excess

    def says(self, *, ok: bool, reason: str) -> None:
        """It can take calls, or cannot."""
        wanted = WorkerState.READY if ok else WorkerState.UNREADY
        if self.told:
            return
        if self.state is WorkerState.STARTING and not ok:
            self.reason = reason
            return
        if "ready" in self.service.hooks and (not ok or self.state is not wanted):
            self.reason = reason
        if self.state is wanted:
            return
        if not ok:
            self._around.log("worker.unready", level="warning", worker=self.plan.index, pid=self.pid, reason=reason)
        if self.state is WorkerState.STARTING:
            self._first_yes()
        self._move(wanted)

    def _first_yes(self) -> None:
        now = self._ready_at = _now()
        seconds = now - self._born
        self.last_start = (now, seconds)
        self.served = True
        self._around.log("worker.ready", worker=self.plan.index, pid=self.pid, seconds=round(seconds, 3))

    def _move(self, state: WorkerState) -> None:
        self.state = move(self.state, state)
        if state in {WorkerState.READY, WorkerState.FAILED, WorkerState.STOPPED}:
            self._decided.set()
        self._around.changed()


def _now() -> float:
    return asyncio.get_running_loop().time()
