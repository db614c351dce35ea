"""The workers of one service, and what they amount to."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bentod.plan.model import ServicePlan
from bentod.supervise.state import ServiceState, WorkerState, service_state
from bentod.supervise.worker import Launcher, SupervisedWorker, WorkerStatus
from bentod.wire.messages import Method, ServiceRoute, WorkerRoute

_SOON_S = 5.0
"""A service whose next start is nearer than this lets its calls wait; otherwise they are refused."""


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """One service as `status` shows it."""

    name: str
    state: ServiceState
    ready: int
    wanted: int
    reason: str
    workers: tuple[WorkerStatus, ...]


class Pool:
    """Runs and supervises a service's workers. `changed` is called whenever a worker changed state."""

    def __init__(
        self,
        plan: ServicePlan,
        project: Path,
        launcher: Launcher,
        changed: Callable[[], None],
        log: Callable[..., None],
    ) -> None:
        self.plan = plan
        self._outside = changed
        self._settled = asyncio.Event()
        self._workers = [
            SupervisedWorker(plan, worker, launcher, self._changed, log, random.random)  # jitter, not a secret
            for worker in plan.workers
        ]
        for worker in self._workers:
            worker.project = str(project)
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Start all workers at once; see `settled`."""
        self._tasks = [asyncio.create_task(worker.run()) for worker in self._workers]

    async def settled(self) -> bool:
        """Wait until every worker is ready (True) or one has failed (False)."""
        await self._settled.wait()
        return not self._any(WorkerState.FAILED)

    async def stop(self, timeout_s: float) -> None:
        """Drain every worker for at most `timeout_s`, then kill."""
        await asyncio.gather(*(worker.stop(timeout_s) for worker in self._workers))
        await asyncio.gather(*self._tasks)

    def replace(self, pid: int, reason: str) -> bool:
        """Replace the worker with this process id. Returns whether it still lived."""
        found = [worker for worker in self._workers if worker.status().pid == pid]
        for worker in found:
            worker.replace(reason)
        return bool(found)

    @property
    def methods(self) -> tuple[Method, ...]:
        """The methods, as the first worker that was ready reported them."""
        return next((worker.methods for worker in self._workers if worker.methods), ())

    def status(self) -> ServiceStatus:
        """What the service does now."""
        workers = tuple(worker.status() for worker in self._workers)
        ready = sum(worker.state is WorkerState.READY for worker in workers)
        lacking = [worker for worker in workers if worker.state is not WorkerState.READY]
        reason = next((worker.reason for worker in lacking if worker.reason), "")
        return ServiceStatus(self.plan.name, self._state(), ready, len(workers), reason, workers)

    def failure(self) -> tuple[str, str]:
        """Reason and traceback of the first worker that failed."""
        for worker in self._workers:
            if worker.state is WorkerState.FAILED:
                return worker.reason, worker.traceback
        return "", ""

    def route(self) -> ServiceRoute:
        """What the gateways must know."""
        status = self.status()
        slots = {"threads": self.plan.threads, "concurrency": self.plan.concurrency}
        workers = tuple(
            WorkerRoute(worker.index, worker.pid, worker.socket, **slots)
            for worker in status.workers
            if worker.state is WorkerState.READY and worker.pid is not None
        )
        return ServiceRoute(
            name=self.plan.name,
            state=status.state.value,
            wanted=status.wanted,
            workers=workers,
            admit=bool(workers) or self._soon(),
            methods=self.methods,
            reason=status.reason or ("" if status.ready == status.wanted else f"{status.state}"),
            stop_timeout_s=self.plan.stop_timeout_s,
        )

    def _state(self) -> ServiceState:
        was_ready = any(worker.was_ready for worker in self._workers)
        return service_state([worker.state for worker in self._workers], was_ready=was_ready)

    def _soon(self) -> bool:
        """Whether a worker that has served before is about to be back."""
        now = asyncio.get_running_loop().time()
        return any(
            worker.was_ready
            and (
                worker.state is WorkerState.STARTING
                or (worker.state is WorkerState.BACKOFF and (worker.next_start or now) - now < _SOON_S)
            )
            for worker in self._workers
        )

    def _any(self, state: WorkerState) -> bool:
        return any(worker.state is state for worker in self._workers)

    def _changed(self) -> None:
        if self._any(WorkerState.FAILED) or all(worker.state is WorkerState.READY for worker in self._workers):
            self._settled.set()
        self._outside()
