"""The gateway processes: started, given every new route table, replaced when they die, drained."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bentod.daemon.launch import launch_gateway
from bentod.errors import StartError, WireError
from bentod.supervise.process import ChildProcess
from bentod.supervise.spawn import Spawned
from bentod.wire.messages import (
    Acknowledged,
    Drain,
    Drained,
    Heard,
    Rehearse,
    Rehearsed,
    RouteTable,
    ServerLimits,
    Stats,
    StatsRequest,
)

_ACKNOWLEDGE_S = 30.0
_STATS_S = 1.0
_END_S = 2.0
_RESTART_DELAY_S = (0.0, 0.0, 0.1, 0.5, 1.0, 5.0)
_STABLE_S = 10.0
_AGAIN_S = 0.02  # while no gateway is ready


@dataclass(frozen=True, slots=True)
class GatewayStatus:
    """One gateway as `status` shows it."""

    index: int
    pid: int | None
    state: str
    restarts: int


class Gateway:
    """One supervised gateway. A successor inherits the same sockets, so clients only wait a moment longer."""

    def __init__(
        self,
        limits: ServerLimits,
        sockets: Sequence[int],
        spawned: Spawned | None,
        log: Callable[..., None],
        heard: Callable[[Heard], None],
    ) -> None:
        self._limits = limits
        self._sockets = sockets
        self._spawned = spawned
        self._log = log
        self._outside = heard
        self._child: ChildProcess | None = None
        self._task: asyncio.Task[None] | None = None
        self._table: RouteTable | None = None
        self._acknowledged: dict[int, asyncio.Event] = {}
        self._stats: dict[int, asyncio.Future[Stats]] = {}
        self._rehearsals: dict[int, asyncio.Future[Rehearsed]] = {}
        self._stopping = asyncio.Event()
        self._trouble = ""
        self._restarts = 0
        self._state = "starting"
        self.abandoned = 0

    def start(self) -> None:
        """Start supervising."""
        self._task = asyncio.create_task(self._run())

    def status(self) -> GatewayStatus:
        """What it does now."""
        pid = self._child.pid if self._child is not None and self._child.exit_code is None else None
        return GatewayStatus(self._limits.index, pid, self._state, self._restarts)

    async def push(self, table: RouteTable) -> None:
        """Give it a table, and wait until it serves by it. Raises StartError if that takes too long."""
        self._table = table
        event = self._acknowledged.setdefault(table.number, asyncio.Event())
        if self._child is not None:
            self._child.channel.send(table)
        try:
            await asyncio.wait_for(event.wait(), _ACKNOWLEDGE_S)
        except TimeoutError:
            if self._child is not None and self._child.exit_code is None:
                self._trouble = "it did not acknowledge its routes"
                self._child.kill()  # its successor begins with the newest table
            raise StartError(f"gateway {self._limits.index} does not acknowledge its routes") from None

    def tell(self, message: RouteTable | ServerLimits) -> None:
        """Send it what needs no answer, and what its successors get as well."""
        if isinstance(message, RouteTable):
            self._table = message
        else:
            self._limits = message
        if self._child is not None:
            self._child.channel.send(message)

    async def rehearse(self, number: int, table: RouteTable, timeout_s: float) -> Rehearsed | None:
        """Have it try the workers of a table; None if it has died meanwhile, or cannot yet. Raises TimeoutError."""
        child = self._child
        if child is None or self._state != "ready":
            return None
        answer = self._rehearsals[number] = asyncio.get_running_loop().create_future()
        child.channel.send(Rehearse(number, table))
        ended = asyncio.ensure_future(child.wait())
        try:
            await asyncio.wait({answer, ended}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
            if not (answer.done() or ended.done()):
                raise TimeoutError
            return answer.result() if answer.done() else None
        finally:
            ended.cancel()
            del self._rehearsals[number]

    async def stats(self, number: int) -> Stats | None:
        """What it counted; None if it does not answer soon."""
        if self._child is None or self._stopping.is_set():
            return None
        answer = self._stats[number] = asyncio.get_running_loop().create_future()
        self._child.channel.send(StatsRequest(number))
        try:
            return await asyncio.wait_for(answer, _STATS_S)
        except TimeoutError:
            return None
        finally:
            del self._stats[number]

    async def stop(self, timeout_s: float, linger_s: float = 0.0) -> None:
        """Drain for at most `timeout_s`, then kill. For `linger_s`: see Drain."""
        self._stopping.set()
        self._state = "draining"
        if self._child is not None:
            self._child.channel.send(Drain(timeout_s, linger_s))
            try:
                await asyncio.wait_for(self._child.wait(), timeout_s + _END_S)
            except TimeoutError:
                self._child.kill()
        if self._task is not None:
            await self._task
        self._state = "stopped"
        self._log("gateway.stopped", gateway=self._limits.index, abandoned=self.abandoned)

    async def _run(self) -> None:
        deaths = 0  # in a row: a gateway that lived for a while is replaced at once
        while not self._stopping.is_set():
            begun = asyncio.get_running_loop().time()
            spawned, self._spawned = self._spawned, None
            try:
                self._child = child = await launch_gateway(spawned, self._limits, self._sockets)
            except OSError as error:
                await self._not_launched(spawned, str(error))
                continue
            if self._stopping.is_set():  # it was told while this one was on its way, and has told the one before
                child.kill()
            self._log("gateway.started", gateway=self._limits.index, pid=child.pid)
            if self._table is not None:
                child.channel.send(self._table)
            await self._follow(child)
            code = await self._ended(child)
            if not self._stopping.is_set():
                self._state = "starting"
                self._lost(child.pid, self._trouble or code)
                self._trouble = ""
                deaths = 0 if asyncio.get_running_loop().time() - begun > _STABLE_S else deaths + 1
                await asyncio.sleep(_RESTART_DELAY_S[min(deaths, len(_RESTART_DELAY_S) - 1)])
                self._restarts += 1

    async def _not_launched(self, spawned: Spawned | None, reason: str) -> None:
        """Wait before another is started; not if this one had died before it was needed."""
        self._lost(spawned.popen.pid if spawned is not None else 0, reason)
        if spawned is None:
            await asyncio.sleep(_RESTART_DELAY_S[-1])
            return
        spawned.popen.kill()
        await asyncio.to_thread(spawned.abandon)

    def _lost(self, pid: int, reason: str) -> None:
        self._log("gateway.lost", level="error", gateway=self._limits.index, pid=pid, reason=reason)

    async def _follow(self, child: ChildProcess) -> None:
        """Listen to a gateway until its channel ends."""
        try:
            while (message := await child.channel.receive()) is not None:
                self._heard(child, message)
        except WireError:
            child.kill()

    def _heard(self, child: ChildProcess, message: object) -> None:
        if isinstance(message, Acknowledged):
            if self._state != "draining":
                if self._state != "ready":
                    self._log("gateway.ready", gateway=self._limits.index, pid=child.pid)
                self._state = "ready"
            for number in [number for number in self._acknowledged if number <= message.number]:
                self._acknowledged.pop(number).set()
        elif isinstance(message, Stats):
            self._answer(self._stats, message)
        elif isinstance(message, Rehearsed):
            self._answer(self._rehearsals, message)
        elif isinstance(message, Heard):
            self._outside(message)
        elif isinstance(message, Drained):
            self.abandoned = message.abandoned

    def _answer(self, waiting: dict[int, asyncio.Future[Any]], message: Stats | Rehearsed) -> None:
        future = waiting.get(message.number)
        if future is not None and not future.done():
            future.set_result(message)

    async def _ended(self, child: ChildProcess) -> str:
        try:
            code = await asyncio.wait_for(child.wait(), _END_S)
        except TimeoutError:
            child.kill()
            code = await child.wait()
        child.channel.close()
        return f"exit code {code}" if code >= 0 else f"signal {-code}"


class Gateways:
    """All gateways of a daemon. The first may be a process that was `spawned` beforehand."""

    def __init__(
        self,
        count: int,
        limits: ServerLimits,
        sockets: Sequence[int],
        spawned: Spawned | None,
        log: Callable[..., None],
        heard: Callable[[Heard], None],
    ) -> None:
        self._count = count
        self._files = limits.files
        self._gateways = [
            Gateway(one, sockets, None if one.index else spawned, log, heard) for one in self._each(limits)
        ]
        self._number = 0
        self._stopping = False

    def _each(self, limits: ServerLimits) -> list[ServerLimits]:
        return [
            replace(limits, index=index, access_file=limits.access_file.replace("{index}", str(index)))
            for index in range(self._count)
        ]

    def start(self) -> None:
        """Start all."""
        for gateway in self._gateways:
            gateway.start()

    async def push(self, table: RouteTable) -> None:
        """Give all of them a table, and wait until all serve by it. Raises StartError."""
        await asyncio.gather(*(gateway.push(table) for gateway in self._gateways))

    def tell(self, table: RouteTable) -> None:
        """Give all of them a table; whether they have it already does not matter."""
        for gateway in self._gateways:
            gateway.tell(table)

    def limit(self, limits: ServerLimits) -> None:
        """New time-outs for their connections. Their folder stays: what is left there is theirs to remove."""
        for gateway, own in zip(self._gateways, self._each(replace(limits, files=self._files)), strict=True):
            gateway.tell(own)

    async def rehearse(self, table: RouteTable, timeout_s: float) -> Rehearsed | None:
        """Have one of them try the workers of a table; if it dies, another. None if all are told to stop meanwhile.
        Raises TimeoutError."""
        async with asyncio.timeout(timeout_s):
            while not self._stopping:
                for gateway in self._gateways:
                    self._number += 1
                    found = await gateway.rehearse(self._number, table, timeout_s)
                    if found is not None:
                        return found
                await asyncio.sleep(_AGAIN_S)
        return None

    async def stats(self) -> list[Stats]:
        """What those count that answer soon."""
        self._number += 1
        answers = await asyncio.gather(*(gateway.stats(self._number) for gateway in self._gateways))
        return [answer for answer in answers if answer is not None]

    async def stop(self, timeout_s: float, linger_s: float = 0.0) -> int:
        """Drain all. Returns how many requests were cut off."""
        self._stopping = True
        await asyncio.gather(*(gateway.stop(timeout_s, linger_s) for gateway in self._gateways))
        return sum(gateway.abandoned for gateway in self._gateways)

    def status(self) -> tuple[GatewayStatus, ...]:
        """What they do now."""
        return tuple(gateway.status() for gateway in self._gateways)
