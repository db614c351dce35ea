"""The public side: listening sockets and the gateways that serve them, and their change for others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bentod.daemon.gateways import Gateways, GatewayStatus
from bentod.daemon.listen import Inherited, Listener, listen, relisten
from bentod.daemon.trouble import survived
from bentod.errors import StartError
from bentod.plan.model import ServerPlan
from bentod.supervise.spawn import Spawned
from bentod.wire.messages import Heard, Rehearsed, RouteTable, ServerLimits, Stats

LINGER_S = 1.0
"""How long connections of gateways that others have replaced may stay open without a request."""
_REHEARSAL_S = 10.0
"""What trying a worker may take besides the time-outs of its APIs."""
_AGAIN_S = 0.02


@dataclass(frozen=True, slots=True)
class AccessLogging:
    """How the gateways log requests: `text`, `json` or `off`, to stderr or to a file (`{index}` is the gateway's)."""

    form: str
    file: str = ""


class Front:
    """Sockets and gateways. `heard` gets what gateways tell of workers and calls.

    Those of the next generation are prepared beside those that serve; both accept on the sockets that they share.
    """

    def __init__(
        self,
        access: AccessLogging,
        files: Path,
        log: Callable[..., None],
        heard: Callable[[Heard], None],
        spawned: Spawned | None,
    ) -> None:
        self._access = access
        self._files = files
        self._log = log
        self._heard = heard
        self._spawned = spawned
        self.listeners: list[Listener] = []
        self._gateways: Gateways | None = None
        self._next: tuple[list[Listener], list[Listener], Gateways] | None = None
        self._drain_s = 0.0
        self._leaving: dict[asyncio.Task[int], Gateways] = {}
        self._sets = 0
        self._table: RouteTable | None = None
        self._closed = False

    @property
    def urls(self) -> list[str]:
        """Where clients reach the gateways."""
        return [listener.url for listener in self.listeners]

    def start(self, server: ServerPlan, inherited: Sequence[Inherited] = (), *, unseen: bool = False) -> None:
        """Bind, and start the gateways; `unseen` ones serve nobody yet. Raises StartError."""
        self.listeners = [] if unseen else listen(server.listen, inherited)
        self._gateways = self._make(server, self.listeners)
        self._gateways.start()

    async def prepare(self, server: ServerPlan, inherited: Sequence[Inherited] = ()) -> None:
        """Bind what is new, and start gateways of the next generation that serve by the routes as they are; `swap` or
        `drop` follows. Raises StartError."""
        if self._closed:  # nobody would stop them any more
            raise StartError("the daemon stops")
        listeners, closing = relisten(self.listeners, server.listen, inherited)
        gateways = self._make(server, listeners)
        self._next = listeners, closing, gateways
        self._drain_s = server.drain_timeout_s
        gateways.start()
        if self._table is not None:
            await gateways.push(self._table)

    def swap(self, server: ServerPlan) -> None:
        """The prepared gateways are the ones from now on, the others drain; or if none are prepared, those that serve
        get the new time-outs."""
        assert self._gateways is not None
        if self._next is None:
            self._gateways.limit(self._limits(server))
            return
        before = self._gateways
        self.listeners, closing, self._gateways = self._next
        self._next = None
        for listener in closing:
            with survived():
                listener.close()
        self._leave(before, server.drain_timeout_s)

    def drop(self) -> None:
        """What was prepared is not needed."""
        if self._next is None:
            return
        listeners, _, gateways = self._next
        self._next = None
        for listener in listeners:
            if listener not in self.listeners:
                listener.close()
        self._leave(gateways, self._drain_s)  # clients may have come to them already

    def _leave(self, gateways: Gateways, timeout_s: float) -> None:
        task = asyncio.create_task(gateways.stop(timeout_s, LINGER_S))
        self._leaving[task] = gateways
        task.add_done_callback(self._leaving.pop)

    async def push(self, table: RouteTable) -> None:
        """Have every gateway serve by a table. Raises StartError if one cannot."""
        self._table = table
        prepared = [self._next[2]] if self._next is not None else []
        for one in self._leaving.values():
            one.tell(table)
        if self._gateways is not None:
            await asyncio.gather(*(one.push(table) for one in (self._gateways, *prepared)))

    async def rehearse(self, table: RouteTable) -> str:
        """Have a gateway try the workers of a table. Returns why they are not fit, if they are not."""
        if not table.apis:
            return ""
        limit_s = _REHEARSAL_S + sum((api.timeout_s + api.stream_idle_s) * len(api.examples) for api in table.apis)
        try:
            async with asyncio.timeout(limit_s):
                found = await self._rehearsed(table, limit_s)
        except TimeoutError:
            return f"they were not answered within {limit_s:g} s"
        return "\n".join(f"{one.api}, example {one.example!r}: {one.text}" for one in found.failures)

    async def _rehearsed(self, table: RouteTable, limit_s: float) -> Rehearsed:
        """What gateways say that serve; if others take their place meanwhile, what those say."""
        while True:
            assert self._gateways is not None
            found = await self._gateways.rehearse(table, limit_s)
            if found is not None:
                return found
            await asyncio.sleep(_AGAIN_S)

    async def stats(self) -> list[Stats]:
        """What those gateways count that answer soon."""
        return await self._gateways.stats() if self._gateways is not None else []

    def status(self) -> tuple[GatewayStatus, ...]:
        """What the gateways do now."""
        return self._gateways.status() if self._gateways is not None else ()

    def close(self) -> None:
        """Refuse new connections from now on."""
        self._closed = True
        for listener in self.listeners:
            with survived():
                listener.close()

    async def stop(self, timeout_s: float, linger_s: float = 0.0) -> int:
        """Drain all gateways. Returns how many requests were cut off."""
        self.drop()
        leaving = list(self._leaving)
        abandoned = await self._gateways.stop(timeout_s, linger_s) if self._gateways is not None else 0
        return abandoned + sum(await asyncio.gather(*leaving))

    def _make(self, server: ServerPlan, listeners: Sequence[Listener]) -> Gateways:
        spawned, self._spawned = self._spawned, None
        sockets = [listener.socket.fileno() for listener in listeners]
        self._sets += 1
        return Gateways(server.gateways, self._limits(server), sockets, spawned, self._log, self._heard)

    def _limits(self, server: ServerPlan) -> ServerLimits:
        return ServerLimits(
            index=0,
            gateways=server.gateways,
            header_timeout_s=server.header_timeout_s,
            body_timeout_s=server.body_timeout_s,
            keep_alive_s=server.keep_alive_s,
            access_log=self._access.form,
            access_file=self._access.file,
            files=str(self._files / str(self._sets)),
        )
