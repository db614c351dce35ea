"""The course of `bentod bench`: each example once, then what the API can do if no rate is given, then each rate."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from bentod.cli.bench_arrivals import around, poisson
from bentod.cli.bench_exchange import Clock, Exchange
from bentod.cli.bench_load import Load
from bentod.cli.bench_options import Options
from bentod.cli.bench_pool import Pool
from bentod.cli.bench_tally import Row, Tally, Window

_LEAST_TRIAL_S, _ENOUGH, _LEAD_S, _LOOK_S = 1.0, 100, 0.01, 0.05
_TRIALS = (1, 4, 16, 64, 256)


@dataclass(frozen=True, slots=True)
class Trial:
    """What so many connections, each calling again as soon as it is answered, get answered a second."""

    connections: int
    answered_rate: float


class Sweep:
    """Measures one API over one pool. `cpu` is the clock of this process's own work."""

    def __init__(self, pool: Pool, requests: Sequence[bytes], options: Options, clock: Clock, cpu: Clock) -> None:
        self._pool = pool
        self._requests = requests
        self._options = options
        self._clock = clock
        self._cpu = cpu
        self._load = Load(pool, requests, clock)
        self.interrupted = False

    @property
    def ended(self) -> bool:
        """Whether nothing more can be measured: it was interrupted, or the server is gone."""
        return self.interrupted or bool(self._pool.gone)

    def stop(self) -> None:
        """Come to an end soon."""
        self.interrupted = True
        self._load.stop()

    async def once(self) -> list[Exchange]:
        """Every request once, one after the other, until one is not answered well."""
        found: list[Exchange] = []
        for request in self._requests:
            exchange = Exchange(self._clock(), request)
            await self._answered(exchange)
            if self.ended or not exchange.ended:
                break
            found.append(exchange)
            if exchange.failure:
                break
        return found

    async def _answered(self, exchange: Exchange) -> None:
        done = asyncio.Event()
        self._pool.ended = lambda _: done.set()
        self._pool.send(exchange)
        while not (done.is_set() or self.interrupted):
            with suppress(TimeoutError):
                await asyncio.wait_for(done.wait(), _LOOK_S)
            self._pool.expire(self._clock())

    async def trials(self) -> list[Trial]:
        """A closed loop with ever more connections, up to the limit."""
        limit = self._pool.limit
        found: list[Trial] = []
        for connections in [count for count in _TRIALS if count < limit] + ([limit] if limit < _TRIALS[-1] else []):
            start = self._clock()
            tally = Tally(Window(start, start + max(self._options.duration_s, _LEAST_TRIAL_S)))
            await self._load.run(self._again(tally), tally, connections)
            if self.ended:
                break
            found.append(Trial(connections, self._trial_rate))
        return found

    def rates(self, trials: Sequence[Trial]) -> tuple[float, ...]:
        """Those that were asked for, or else those around what the best trial had; none if nothing was answered."""
        best = max((trial.answered_rate for trial in trials), default=0.0)
        return self._options.rates or (around(best) if best else ())

    async def row(self, number: int, rate: float, *, stream: bool) -> Row:
        """Offer one rate. `number` makes its arrivals other than those of the other rates."""
        options, loop = self._options, asyncio.get_running_loop()
        begun = self._clock() + _LEAD_S
        window = Window(begun + options.warm_up_s, begun + options.warm_up_s + options.duration_s)
        tally = Tally(window)
        warm_up = poisson(rate, begun, window.start, f"{options.seed}/{number}/0") if options.warm_up_s else ()
        moments = itertools.chain(warm_up, poisson(rate, window.start, window.end, f"{options.seed}/{number}/1"))
        marks = [(begun, self._cpu())]
        handle = loop.call_later(window.end - self._clock(), lambda: marks.append((self._clock(), self._cpu())))
        whole = await self._load.run(moments, tally)
        until = window.end if whole else self._clock()
        handle.cancel()
        if len(marks) < 2:
            marks.append((self._clock(), self._cpu()))
        (start, cpu_then), (end, cpu_now) = marks
        return tally.row(rate, (cpu_now - cpu_then) / max(end - start, 1e-3), until, stream=stream, partial=not whole)

    def _again(self, tally: Tally) -> Iterator[float]:
        """Always due, until there were enough answers."""
        start = now = self._clock()
        while now < start + _LEAST_TRIAL_S or (tally.answered_within < _ENOUGH and now < tally.window.end):
            yield now
            now = self._clock()
        self._trial_rate = tally.answered_within / (now - start)
