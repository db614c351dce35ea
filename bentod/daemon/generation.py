"""One plan alive: its pools, from their start to their end, and the routes that follow from their workers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from bentod.errors import StartError
from bentod.plan.model import Plan
from bentod.supervise.pool import Pool, ServiceStatus
from bentod.supervise.worker import Launcher
from bentod.wire.messages import RouteTable

Log = Callable[..., None]


class Generation:
    """Starts, routes and stops what a plan says. `changed` is called whenever a worker changed state."""

    def __init__(self, number: int, plan: Plan, launcher: Launcher, changed: Callable[[], None], log: Log) -> None:
        self.number = number
        self.plan = plan
        self._tables = 0

        def service_log(service: str) -> Log:
            return lambda event, **keys: log(event, service=service, **keys)

        self._pools = {
            service.name: Pool(service, plan.project, launcher, changed, service_log(service.name))
            for service in plan.services
        }

    def start(self) -> None:
        """Start all workers of all services at once."""
        for pool in self._pools.values():
            pool.start()

    async def ready(self) -> None:
        """Wait until every worker is ready. Raises StartError as soon as one has failed."""
        settling = {asyncio.create_task(pool.settled()): pool for pool in self._pools.values()}
        try:
            for done in asyncio.as_completed(settling):
                await done
                failed = next((pool for task, pool in settling.items() if task.done() and not task.result()), None)
                if failed is not None:
                    reason, trace = failed.failure()
                    raise StartError(f"service {failed.plan.name}: {reason}", trace)
        finally:
            for task in settling:
                task.cancel()

    def replace(self, service: str, pid: int, reason: str) -> bool:
        """Replace a worker. Returns whether it still lived."""
        return self._pools[service].replace(pid, reason)

    async def stop(self, timeout_s: float) -> None:
        """Drain every worker, for its own `stop_timeout` and `timeout_s` at most."""
        await asyncio.gather(
            *(pool.stop(min(timeout_s, pool.plan.stop_timeout_s)) for pool in self._pools.values()),
        )

    def status(self) -> tuple[ServiceStatus, ...]:
        """What each service does now."""
        return tuple(pool.status() for pool in self._pools.values())

    def table(self) -> RouteTable:
        """The routes as the workers are now; each call makes a newer one."""
        self._tables += 1
        plan = self.plan
        return RouteTable(
            number=self._tables,
            generation=self.number,
            name=plan.name,
            version=plan.version,
            description=plan.description,
            path_prefix=plan.server.path_prefix,
            docs=plan.server.docs,
            types=dict(plan.types),
            apis=plan.apis,
            services=tuple(pool.route() for pool in self._pools.values()),
            labels=dict(plan.labels),
        )
