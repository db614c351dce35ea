"""The daemon: one generation and its gateways, from start to stop, and what it says of itself."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bentod.daemon.folders import Folders
from bentod.daemon.gateways import Gateways
from bentod.daemon.generation import Generation
from bentod.daemon.launch import ProcessLauncher
from bentod.daemon.listen import Listener, listen
from bentod.daemon.status import api_documents, call_document, gateway_document, memory, service_document
from bentod.errors import StartError
from bentod.plan.model import Plan
from bentod.supervise.spawn import Spawned
from bentod.wire.messages import ServerLimits

_GRACE_S = 0.5
_WORKERS_AFTER_S = 5.0
"""What the workers get of `drain_timeout` at the least, after the gateways have used it up."""


@dataclass(frozen=True, slots=True)
class AccessLogging:
    """How the gateways log requests: `text`, `json` or `off`, to stderr or to a file (`{index}` is the gateway's)."""

    form: str
    file: str = ""


class Daemon:
    """Makes a plan true and keeps it true. All methods are for one event loop."""

    def __init__(
        self,
        plan: Plan,
        folders: Folders,
        access: AccessLogging,
        log: Callable[..., None],
        spawned: Spawned | None = None,
    ) -> None:
        self._plan = plan
        self._log = log
        self._spawned = spawned
        self._access = access
        self._listeners: list[Listener] = []
        self._gateways: Gateways | None = None
        self._files = folders.files
        self._launcher = ProcessLauncher(plan.project, folders.run / "w", self._output)
        self._changed = asyncio.Event()
        self._generation = Generation(1, plan, self._launcher, self._changed.set, log)
        self._pusher: asyncio.Task[None] | None = None
        self._started = time.time()
        self.state = "starting"
        self.stop_seconds = plan.server.drain_timeout_s + max(_WORKERS_AFTER_S, plan.server.drain_timeout_s)
        self.launched = asyncio.Event()
        self.settled = asyncio.Event()

    @property
    def urls(self) -> list[str]:
        """Where clients reach the gateways."""
        return [listener.url for listener in self._listeners]

    async def start(self) -> None:
        """Bind, start everything, and return once every worker is ready and every gateway serves by it. `launched` is
        set once all that this process can do by itself is done, `settled` at the end, whatever that is.

        Raises StartError; what was started then still has to be stopped.
        """
        begun = time.monotonic()
        plan = self._plan
        keys = {"generation": self._generation.number, "services": len(plan.services), "apis": len(plan.apis)}
        self._listeners = listen(plan.server.listen)
        self._log("generation.starting", **keys)
        self._gateways = self._make_gateways()
        self._gateways.start()
        self._generation.start()
        self._pusher = asyncio.create_task(self._push_changes())
        try:
            await self._gateways.push(self._generation.table())
            self.launched.set()
            await self._generation.ready()
            await self._gateways.push(self._generation.table())
        except StartError:
            self.state = "failed"
            raise
        finally:
            self.launched.set()
            self.settled.set()
        self.state = "ready"
        seconds = round(time.monotonic() - begun, 3)
        self._log("generation.ready", generation=1, seconds=seconds, url=" ".join(self.urls))

    def _make_gateways(self) -> Gateways:
        server = self._plan.server
        limits = ServerLimits(
            index=0,
            gateways=server.gateways,
            header_timeout_s=server.header_timeout_s,
            body_timeout_s=server.body_timeout_s,
            keep_alive_s=server.keep_alive_s,
            access_log=self._access.form,
            access_file=self._access.file,
            files=str(self._files),
        )
        sockets = [listener.socket.fileno() for listener in self._listeners]
        return Gateways(server.gateways, limits, sockets, self._spawned, self._log, self._unusable)

    async def stop(self, reason: str) -> None:
        """Accept nothing more, finish what was taken, stop the workers, remove every socket."""
        self.state = "draining"
        self._log("daemon.stopping", reason=reason)
        for listener in self._listeners:
            listener.close()
        deadline = time.monotonic() + self._plan.server.drain_timeout_s
        abandoned = 0
        if self._gateways is not None:
            abandoned = await self._gateways.stop(self._plan.server.drain_timeout_s)
        await self._generation.stop(max(_WORKERS_AFTER_S, deadline - time.monotonic()))
        if self._pusher is not None:
            self._pusher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._pusher
        self.state = "stopped"
        self._log("daemon.stopped", abandoned=abandoned)

    async def status(self) -> dict[str, Any]:
        """The whole state as plain data."""
        stats = await self._gateways.stats() if self._gateways is not None else []
        services = self._generation.status()
        return {
            "name": self._plan.name,
            "version": self._plan.version,
            "url": self.urls[0] if self.urls else "",
            "urls": self.urls,
            "state": self._state([service.state.value for service in services]),
            "generation": self._generation.number,
            "uptime_seconds": round(time.time() - self._started, 3),
            "daemon": {"pid": os.getpid(), "memory": memory(os.getpid()), "python": sys.version.split()[0]},
            "gateways": [gateway_document(one) for one in (self._gateways.status() if self._gateways else ())],
            "services": {service.name: service_document(service, stats) for service in services},
            "apis": {
                api.name: {"path": api.path, "service": api.service, **api_documents(stats).get(api.name, {})}
                for api in self._plan.apis
            },
        }

    def apis(self) -> dict[str, Any]:
        """What a client needs to know of each API, by its name."""
        url = self.urls[0] if self.urls else ""
        return {api.name: call_document(api, self._plan.types, url) for api in self._plan.apis}

    def _state(self, services: list[str]) -> str:
        """`ready` only while every service is; a service without any worker makes it `degraded` like a missing one."""
        if self.state != "ready":
            return self.state
        return "ready" if all(state == "ready" for state in services) else "degraded"

    async def _push_changes(self) -> None:
        """Tell the gateways about every change of a worker, many changes at once."""
        assert self._gateways is not None
        while True:
            await self._changed.wait()
            self._changed.clear()
            with contextlib.suppress(StartError):  # a gateway that is being replaced gets the newest table anyway
                await self._gateways.push(self._generation.table())

    def _unusable(self, service: str, pid: int, reason: str) -> None:
        """A gateway cannot use a worker. If it has just died, that is noticed in a moment, with a better reason."""
        asyncio.get_running_loop().call_later(_GRACE_S, self._replace, service, pid, reason)

    def _replace(self, service: str, pid: int, reason: str) -> None:
        if self.state == "ready" and self._generation.replace(service, pid, reason):
            self._log("worker.replaced", level="error", service=service, pid=pid, reason=reason)

    def _output(self, service: str, worker: int, stream: str, line: str) -> None:
        self._log("worker.output", service=service, worker=worker, stream=stream, line=line)
