"""The connections of `bentod bench`: at most so many, opened when needed, used again, given up after a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from bentod.cli.bench_exchange import Clock, Connection, Exchange

TIMED_OUT = "timed-out"
_GONE = (ConnectionRefusedError, FileNotFoundError)


@dataclass(frozen=True, slots=True)
class Address:
    """Where the server is: `unix`, or a host and a port."""

    host: str
    port: int
    unix: str = ""

    @property
    def name(self) -> str:
        """For the header Host."""
        return (
            "bentod" if self.unix else f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
        )


def address(url: str) -> Address:
    """The address in `http://host:port` or `unix:/path`."""
    if url.startswith("unix:"):
        return Address("", 0, url.removeprefix("unix:"))
    parts = urlsplit(url)
    return Address(parts.hostname or "", parts.port or 80)


class Pool:
    """Sends exchanges and tells `ended` of each. `gone` says why the server cannot be reached any more, if so."""

    def __init__(self, where: Address, limit: int, timeout_s: float, clock: Clock) -> None:
        self.limit = limit
        self.timeout_s = timeout_s
        self.gone = ""
        self.ended: Callable[[Exchange], None] = lambda _: None
        self._where = where
        self._clock = clock
        self._idle: list[Connection] = []
        self._busy: dict[Exchange, Connection | None] = {}  # by the order of their intended starts
        self._opening: set[asyncio.Task[None]] = set()

    @property
    def busy(self) -> int:
        """How many exchanges are under way."""
        return len(self._busy)

    def send(self, exchange: Exchange) -> None:
        """Send one; there must be less than `limit` under way."""
        if self._idle:
            connection = self._busy[exchange] = self._idle.pop()
            connection.send(exchange)
            return
        self._busy[exchange] = None
        task = asyncio.get_running_loop().create_task(self._open(exchange))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    def expire(self, now: float) -> None:
        """Give up what has lasted too long since it was to start."""
        while self._busy:
            exchange, connection = next(iter(self._busy.items()))
            if exchange.intended + self.timeout_s > now:
                return
            if connection is not None:
                connection.close()
            self._finish(exchange, TIMED_OUT)

    async def close(self) -> None:
        """Cut off everything; nobody is told. It can be used again."""
        for connection in [*self._idle, *self._busy.values()]:
            if connection is not None:
                connection.close()
        self._idle, self._busy = [], {}
        for task in [*self._opening]:
            task.cancel()
        await asyncio.gather(*self._opening, return_exceptions=True)

    async def _open(self, exchange: Exchange) -> None:
        loop, where = asyncio.get_running_loop(), self._where
        try:
            if where.unix:
                _, connection = await loop.create_unix_connection(self._connection, where.unix)
            else:
                _, connection = await loop.create_connection(self._connection, where.host, where.port)
        except OSError as error:
            if isinstance(error, _GONE):
                self.gone = str(error)
            if exchange in self._busy:
                self._finish(exchange, "not-connected")
            return
        if exchange not in self._busy:  # given up meanwhile
            connection.close()
            return
        self._busy[exchange] = connection
        connection.send(exchange)

    def _connection(self) -> Connection:
        return Connection(self._clock, self._answered, self._lost)

    def _answered(self, connection: Connection, exchange: Exchange) -> None:
        self._busy.pop(exchange, None)
        if connection.usable:
            self._idle.append(connection)
        self.ended(exchange)

    def _lost(self, connection: Connection) -> None:
        if connection in self._idle:
            self._idle.remove(connection)

    def _finish(self, exchange: Exchange, failure: str) -> None:
        self._busy.pop(exchange, None)
        exchange.end(self._clock(), failure)
        self.ended(exchange)
