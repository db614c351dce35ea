"""Batching, event by event on a virtual clock: slots, a bounded queue, and a policy that says when to send."""

from __future__ import annotations

import heapq
import math
import random
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from bentod.dispatch.arrivals import Arrivals
from bentod.dispatch.batcher import hold_s
from bentod.dispatch.cost import Cost

MOST, QUEUE, TICK_S = 32, 256, 0.001
WINDOWS = (0.0, 0.001, 0.002, 0.005, 0.010)
LOADS = (0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2)
CURVES: dict[str, Callable[[int], float]] = {
    "flat": lambda n: 0.005,
    "linear": lambda n: 0.002 + 0.0005 * n,
    "proportional": lambda n: 0.0002 + 0.0005 * n,
    "stepped": lambda n: 0.001 + 0.002 * math.ceil(n / 8),
}
"""Seconds of a batch of n."""
ARRIVED, RAN, TIMER = range(3)


@dataclass(frozen=True)
class Setting:
    """What is simulated: an open loop with a part of what full batches can do, or a closed loop of clients that call
    again a while after each answer. A batch takes what its curve says, give or take `noise`."""

    curve: str
    arrivals: str = "poisson"
    load: float = 0.0
    clients: int = 0
    think_s: float = 0.0005
    slots: int = 1
    calls: int = 8_000
    seed: int = 0
    noise: float = 0.05

    @property
    def rate(self) -> float:
        return self.load * self.slots * MOST / CURVES[self.curve](MOST)


@dataclass
class Seen:
    """What came of it; the first tenth of the calls is for learning."""

    latencies: list[float] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    refused: int = 0
    seconds: float = 0.0

    @property
    def mean_s(self) -> float:
        return sum(self.latencies) / len(self.latencies)

    @property
    def p99_s(self) -> float:
        return sorted(self.latencies)[int(len(self.latencies) * 0.99)]

    @property
    def throughput(self) -> float:
        return len(self.latencies) / self.seconds


class Window:
    """Send when the oldest call has waited so long."""

    def __init__(self, window_s: float) -> None:
        self.window_s = window_s

    def came(self, now: float) -> None:
        pass

    def ran(self, now: float, size: int, seconds: float) -> None:
        pass

    def hold(self, now: float, waiting: int, others_free: bool, oldest: float) -> float:
        return self.window_s - (now - oldest)


class Learned:
    """As the product does it: it knows what it has seen, and nothing of the setting."""

    def __init__(self, max_delay_s: float = max(WINDOWS)) -> None:
        self.arrivals, self.cost, self.max_delay_s, self.last = Arrivals(), Cost(), max_delay_s, 0.0

    def came(self, now: float) -> None:
        self.arrivals.came(now)
        self.last = now

    def ran(self, now: float, size: int, seconds: float) -> None:
        self.cost.learn(size, seconds)
        self.arrivals.left(now, size)

    def hold(self, now: float, waiting: int, others_free: bool, oldest: float) -> float:
        limit_s = self.max_delay_s - (now - oldest)
        return hold_s(waiting, MOST, others_free, now - self.last, self.arrivals, self.cost, limit_s)


Policy = Window | Learned


def times(setting: Setting, chance: random.Random) -> Iterator[float]:
    """When calls come in an open loop."""
    now, rate = 0.0, setting.rate
    if setting.arrivals == "poisson":
        while True:
            now += chance.expovariate(rate)
            yield now
    if setting.arrivals == "bursts":  # of 8 within a millisecond
        coming: list[float] = []
        while True:
            now += chance.expovariate(rate / 8)
            while coming and coming[0] <= now:
                yield heapq.heappop(coming)
            for _ in range(8):
                heapq.heappush(coming, now + chance.uniform(0, 0.001))
    assert setting.arrivals == "on-off"  # a tenth of a second at two and a half times the rate, then a pause
    while True:
        until = now + chance.expovariate(10)
        while (now := now + chance.expovariate(rate * 2.5)) < until:
            yield now
        now = until + chance.expovariate(10 / 1.5)


class _World:
    def __init__(self, setting: Setting, policy: Policy) -> None:
        self.setting, self.policy, self.seen = setting, policy, Seen()
        self.arriving, self.chance = random.Random(setting.seed), random.Random(setting.seed + 1)
        self.events: list[tuple[float, int, int, tuple[list[float], float] | None]] = []
        self.count = self.timer = self.came = 0
        self.free, self.now, self.began = setting.slots, 0.0, 0.0
        self.queue: deque[float] = deque()
        self.times = None if setting.clients else times(setting, self.arriving)

    def at(self, when: float, kind: int, what: tuple[list[float], float] | None = None) -> int:
        self.count += 1
        heapq.heappush(self.events, (when, self.count, kind, what))
        return self.count

    def run(self) -> Seen:
        for _ in range(self.setting.clients):
            self.think()
        if self.times is not None:
            self.at(next(self.times), ARRIVED)
        while self.came < self.setting.calls:
            self.now, number, kind, what = heapq.heappop(self.events)
            if what is not None:
                self.ran(*what)
            elif kind == ARRIVED:
                self.arrive()
            elif number == self.timer:
                self.send()
        self.seen.seconds = self.now - self.began
        return self.seen

    def think(self) -> None:
        self.at(self.now + self.arriving.expovariate(1 / self.setting.think_s), ARRIVED)

    def arrive(self) -> None:
        self.came += 1
        if self.times is not None:
            self.at(next(self.times), ARRIVED)
        if len(self.queue) >= QUEUE:
            self.seen.refused += 1
            return
        self.queue.append(self.now)
        self.policy.came(self.now)
        if self.free:
            self.decide()

    def decide(self) -> None:
        self.timer = 0
        waiting = len(self.queue)
        hold = 0.0 if waiting >= MOST else self.policy.hold(self.now, waiting, self.free > 1, self.queue[0])
        if hold <= 1e-9:
            self.send()
        else:  # timers count in ticks, for every policy
            self.timer = self.at(self.now + hold + self.chance.uniform(0, TICK_S), TIMER)

    def send(self) -> None:
        self.timer = 0
        batch = [self.queue.popleft() for _ in range(min(MOST, len(self.queue)))]
        seconds = CURVES[self.setting.curve](len(batch)) * self.chance.lognormvariate(0, self.setting.noise)
        self.free -= 1
        self.at(self.now + seconds, RAN, (batch, seconds))
        if self.free and self.queue:
            self.decide()

    def ran(self, batch: list[float], seconds: float) -> None:
        self.policy.ran(self.now, len(batch), seconds)
        self.free += 1
        if self.came > self.setting.calls / 10:
            self.began = self.began or self.now
            self.seen.sizes.append(len(batch))
            self.seen.latencies.extend(self.now - came for came in batch)
        if self.setting.clients:
            for _ in batch:
                self.think()
        if self.queue and not self.timer:
            self.decide()


def simulate(setting: Setting, policy: Policy) -> Seen:
    """Run it until all calls have come."""
    return _World(setting, policy).run()


@dataclass(frozen=True)
class Cell:
    """One setting under all policies, the learned one last: what counts there, relative to the best window. That is the
    mean latency, or from full load on and in closed loops the throughput, inverted; and the p99 of latency."""

    setting: Setting
    ratios: tuple[float, ...]
    p99s: tuple[float, ...]
    mean_s: float

    @property
    def best(self) -> float:
        """The best window."""
        return WINDOWS[self.ratios.index(min(self.ratios[:-1]))]


def compare(setting: Setting, seeds: int) -> Cell:
    """Run one setting with each window and with the learned policy, on the same arrivals."""
    by_rate = bool(setting.clients) or setting.load >= 1
    costs, p99s, means = [], [], []
    for policy in (*(lambda w=w: Window(w) for w in WINDOWS), Learned):
        runs = [simulate(replace(setting, seed=1000 * seed), policy()) for seed in range(1, seeds + 1)]
        means.append(sum(run.mean_s for run in runs) / seeds)
        p99s.append(sum(run.p99_s for run in runs) / seeds)
        costs.append(seeds / sum(run.throughput for run in runs) if by_rate else means[-1])
    best = min(costs[:-1])
    return Cell(setting, tuple(cost / best for cost in costs), tuple(p / min(p99s[:-1]) for p in p99s), means[-1])


def mean_ratios(cells: list[Cell]) -> list[float]:
    """The geometric mean for each policy, over all settings."""
    columns = zip(*(cell.ratios for cell in cells), strict=True)
    return [math.exp(sum(map(math.log, column)) / len(cells)) for column in columns]
