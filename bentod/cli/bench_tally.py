"""What happened at one rate of `bentod bench`: counted while it happens, then summed up. No I/O, no clock."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from bentod.cli.bench_exchange import Exchange
from bentod.cli.bench_histogram import Histogram, Percentiles
from bentod.cli.bench_pool import TIMED_OUT

_LATE_S, _LATE_SHARE, _BUSY_SHARE = 0.001, 0.1, 0.9
_FEW, _GROWTH_SHARE = 5, 0.05


@dataclass(frozen=True, slots=True)
class Window:
    """The time that counts, from the end of the warm-up on: moments of the clock."""

    start: float
    end: float

    @property
    def seconds(self) -> float:
        """Its length."""
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class Row:
    """One rate. Durations are seconds; `latency_s` and `first_s` count from the moments when requests were to start."""

    rate: float
    duration_s: float
    intended: int
    """Requests that were to start."""
    answered: int
    """Those of them with an answer that is no problem."""
    offered_rate: float
    answered_rate: float
    """Answers a second while the rate was offered; what comes afterwards is late."""
    latency_s: Percentiles | None
    """To the end of the answer; of calls that were answered, and of those that were given up."""
    first_s: Percentiles | None
    """Streams: to the first chunk."""
    chunk_rate: float
    queue_s: Percentiles | None
    run_s: Percentiles | None
    """What the server says: how long calls waited and ran there."""
    batches: dict[int, int]
    """How many calls were answered from a batch of that size."""
    failures: dict[str, int]
    """Calls that were not answered, by the code of the problem, or by what else went wrong."""
    retry_after_s: tuple[float, float] | None
    """The least and the most that a Retry-After said."""
    waited: int
    """Requests that started late because all connections were in use."""
    late_s: Percentiles | None
    """How late the generator itself was."""
    generator_cpu: float
    """The share of a core that the generator used."""
    overloaded: bool
    """Calls piled up: ever more were under way or overdue, and they lasted ever longer."""
    unreliable: str
    """Why these numbers say more about the generator than about the server; empty if they do not."""
    partial: bool
    """It was cut short."""

    @property
    def batch(self) -> float:
        """The size of the batch that a call met on average; 0 if none was told."""
        calls = sum(self.batches.values())
        return sum(size * count for size, count in self.batches.items()) / calls if calls else 0.0

    @property
    def failed_share(self) -> float:
        """The share of the calls that were not answered."""
        return sum(self.failures.values()) / self.intended if self.intended else 0.0


class Tally:
    """Counts what starts and ends."""

    def __init__(self, window: Window) -> None:
        self.window = window
        self.intended = self.answered = self.answered_within = self.waited = 0
        self.late = Histogram()
        self._latency, self._first, self._queue, self._run = (Histogram() for _ in range(4))
        self._batches: Counter[int] = Counter()
        self._failures: Counter[str] = Counter()
        self._retry_after: tuple[float, float] | None = None
        self._chunks = 0
        self._half = (window.start + window.end) / 2
        self._open = [0, 0]  # what was to start and had not ended: at half the time, and at its end
        self._halves = (Histogram(), Histogram())  # latencies by the half in which calls were to start

    def start(self, exchange: Exchange, *, waited: bool) -> None:
        """A request was due; it waited if no connection was free."""
        self._open[0] += exchange.intended <= self._half
        self._open[1] += exchange.intended <= self.window.end
        if exchange.intended >= self.window.start:
            self.intended += 1
            self.waited += waited
            self.late.add(exchange.late)

    def end(self, exchange: Exchange) -> None:
        """It has been answered, or never will be."""
        self._open[0] -= exchange.ended <= self._half
        self._open[1] -= exchange.ended <= self.window.end
        good = not exchange.failure
        if self.window.start <= exchange.ended <= self.window.end:
            self.answered_within += good
            self._chunks += exchange.chunks
        if exchange.intended < self.window.start:
            return
        if good:
            self.answered += 1
            self._good(exchange)
        else:
            self._failures[exchange.failure] += 1
            self._hint(exchange.headers.get(b"retry-after"))
        if good or exchange.failure == TIMED_OUT:
            self._latency.add(exchange.ended - exchange.intended)
            self._halves[exchange.intended > self._half].add(exchange.ended - exchange.intended)

    def _good(self, exchange: Exchange) -> None:
        timing = exchange.timing
        if exchange.first:
            self._first.add(exchange.first - exchange.intended)
        if b"queue" in timing:
            self._queue.add(timing[b"queue"] / 1e3)
        if b"run" in timing:
            self._run.add(timing[b"run"] / 1e3)
        if b"batch" in timing:
            self._batches[int(timing[b"batch"])] += 1

    def _hint(self, value: bytes | None) -> None:
        if value is not None and value.isdigit() and len(value) < 10:
            seen = float(value)
            least, most = self._retry_after or (seen, seen)
            self._retry_after = min(least, seen), max(most, seen)

    def row(self, rate: float, cpu: float, until: float, *, stream: bool, partial: bool) -> Row:
        """The sum. `cpu`: the generator's share of a core; `until`: the moment up to which this was counted."""
        seconds = max(min(until, self.window.end) - self.window.start, 1e-3)
        latency, late = self._latency.percentiles(), self.late.percentiles()
        return Row(
            rate=rate,
            duration_s=seconds,
            intended=self.intended,
            answered=self.answered,
            offered_rate=self.intended / seconds,
            answered_rate=self.answered_within / seconds,
            latency_s=latency,
            first_s=self._first.percentiles() if stream else None,
            chunk_rate=self._chunks / seconds,
            queue_s=self._queue.percentiles(),
            run_s=self._run.percentiles(),
            batches=dict(sorted(self._batches.items())),
            failures=dict(self._failures.most_common()),
            retry_after_s=self._retry_after,
            waited=self.waited,
            late_s=late,
            generator_cpu=cpu,
            overloaded=not partial and self._overloaded(),
            unreliable=_unreliable(late, latency, cpu),
            partial=partial,
        )

    def _overloaded(self) -> bool:
        """Whether calls pile up: in number, and so that each waits for longer than those before."""
        before, after = (half.percentiles() for half in self._halves)
        piled = self._open[1] - self._open[0] > max(_FEW, _GROWTH_SHARE * self.intended / 2)
        if before is None or after is None:
            return piled
        return piled and after.mean - before.mean > _GROWTH_SHARE * self.window.seconds / 2


def _unreliable(late: Percentiles | None, latency: Percentiles | None, cpu: float) -> str:
    if cpu >= _BUSY_SHARE:
        return f"the generator used {cpu:.0%} of a core: it may be what is slow"
    limit_s = max(_LATE_S, _LATE_SHARE * latency.p99 if latency else 0.0)
    if late and late.p99 > limit_s:
        return f"the generator was late by {late.p99 * 1e3:.1f} ms (p99)"
    return ""
