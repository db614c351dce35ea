"""Requests at their intended moments, whatever becomes of those before: the open loop of `bentod bench`.

A request that no connection is free for is sent as soon as one is, and counts from the moment when it was to start; so
a server that stalls is seen by all who would have called meanwhile. What is overdue is kept nowhere: it is what the
arrivals have still to give.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator, Sequence
from contextlib import suppress

from bentod.cli.bench_exchange import Clock, Exchange
from bentod.cli.bench_pool import TIMED_OUT, Pool
from bentod.cli.bench_tally import Tally
from bentod.cli.bench_timer import Timer

_LOOK_S = 0.05


class Load:
    """Sends the `requests` in turn to a pool's server, at moments that `arrivals` gives."""

    def __init__(self, pool: Pool, requests: Sequence[bytes], clock: Clock) -> None:
        self._pool = pool
        self._requests = itertools.cycle(requests)
        self._clock = clock
        self._stopped = False
        self._ready_at = 0.0  # since when a connection has been free

    def stop(self) -> None:
        """Let `run` return soon."""
        self._stopped = True

    async def run(self, arrivals: Iterator[float], tally: Tally, limit: int = 0) -> bool:
        """Send and count all that arrives, until the last has ended. False if that was cut short.

        At most `limit` are under way, and no more than the pool's own limit.
        """
        self._arrivals, self._tally, self._limit = arrivals, tally, limit or self._pool.limit
        self._next = next(arrivals, None)
        self._ready_at, self._done = 0.0, asyncio.Event()
        self._timer = Timer(self._pump)
        self._pool.ended = self._ended
        try:
            self._pump()
            while not (self._over() or self._stopped or self._pool.gone):
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._done.wait(), _LOOK_S)
                self._expire()
            return self._over() and not self._pool.gone
        finally:
            self._timer.close()
            self._pool.ended = lambda _: None
            if self._pool.busy:
                await self._pool.close()

    def _over(self) -> bool:
        return self._next is None and not self._pool.busy

    def _pump(self) -> None:
        """Send what is due as far as connections are free."""
        while self._next is not None and not self._stopped:
            now = self._clock()
            if self._next > now:
                self._timer.set(self._next)
                return
            if self._pool.busy >= self._limit:
                return
            self._send(self._next, now)
            self._next = next(self._arrivals, None)
        if self._over():
            self._done.set()

    def _send(self, intended: float, now: float) -> None:
        exchange = Exchange(intended, next(self._requests))
        exchange.late = now - max(intended, self._ready_at)
        self._tally.start(exchange, waited=self._ready_at > intended)
        self._pool.send(exchange)

    def _ended(self, exchange: Exchange) -> None:
        if self._pool.busy == self._limit - 1:  # all were in use until now
            self._ready_at = self._clock()
        self._tally.end(exchange)
        self._pump()

    def _expire(self) -> None:
        """Give up what is too old, sent or not."""
        now = self._clock()
        self._pool.expire(now)
        while self._next is not None and self._next + self._pool.timeout_s <= now:
            exchange = Exchange(self._next, b"")
            self._tally.start(exchange, waited=True)
            exchange.end(now, TIMED_OUT)
            self._tally.end(exchange)
            self._next = next(self._arrivals, None)
        if self._over():
            self._done.set()
