"""Load from many different requests, in a process of its own: `python -m compare.generator`, told by JSON on stdin.

Closed: each connection asks again as soon as it is answered. Open: requests come by themselves at random (Poisson), as
from many people who do not know of each other; what one waits is counted from when it should have been sent, so a slow
answer is not hidden by requests that were never made. How late they really were sent is told too: that is this
process's own fault. Every answer is compared with the right one.
"""

from __future__ import annotations

import asyncio
import json
import random
import resource
import selectors
import sys
import time
from typing import Any

from compare.asking import ASK
from compare.connection import BrokenError, Connection, connected, head
from compare.workloads import WORKLOADS

AHEAD = 64
"""Connections that an open loop has before it begins; more are made when they are needed."""


class Load:
    """One measurement."""

    def __init__(self, job: dict[str, Any]) -> None:
        self.port: int = job["port"]
        self.begun = self.until = 0.0
        self.latencies: list[float] = []
        self.late: list[float] = []
        self.ended: list[float] = []
        self.failed: list[str] = []
        self._workload = WORKLOADS[job["workload"]]
        self._right: list[Any] = job["right"]
        values = self._workload.values()
        asked = [ASK[job["peer"]](job["workload"], value, job["batched"]) for value in values]
        self._reads = [one.value for one in asked]
        self._requests = [head(one.path, one.kind, len(one.body)) + one.body for one in asked]
        self._order = random.Random(job["seed"])

    def pick(self) -> int:
        """Which request is next."""
        return self._order.randrange(len(self._requests))

    async def one(self, connection: Connection, number: int, intended: float) -> None:
        """Ask, wait, compare. Raises BrokenError."""
        self.late.append(time.monotonic() - intended)
        status, body = await connection.ask(self._requests[number])
        now = time.monotonic()
        self.latencies.append(now - intended)
        if now <= self.until:
            self.ended.append(now)
        if status != 200:
            self.failed.append(f"{status} {body[:200]!r}")
        elif not self._workload.right(self._right[number], self._reads[number](body)):
            self.failed.append(f"the answer to another request, or a wrong one: {body[:200]!r}")


async def closed(load: Load, connections: int, seconds: float) -> None:
    """Each connection as fast as it is answered."""
    ready = [await connected(load.port) for _ in range(connections)]
    load.begun = time.monotonic()
    load.until = load.begun + seconds

    async def loop(connection: Connection) -> None:
        while time.monotonic() < load.until:
            await load.one(connection, load.pick(), time.monotonic())
        connection.close()

    await asyncio.gather(*(loop(connection) for connection in ready))


async def opened(load: Load, rate: float, seconds: float, seed: int) -> None:
    """So many a second, whatever the answers do."""
    arrivals = random.Random(seed)
    idle = [await connected(load.port) for _ in range(AHEAD)]
    load.begun = intended = time.monotonic() + 0.01
    load.until = load.begun + seconds
    tasks = set()

    async def ask(intended: float) -> None:
        connection = idle.pop() if idle else await connected(load.port)
        await load.one(connection, load.pick(), intended)
        idle.append(connection)

    while True:
        intended += arrivals.expovariate(rate)
        if intended > load.until:
            break
        await asyncio.sleep(max(0.0, intended - time.monotonic()))
        tasks.add(asyncio.create_task(ask(intended)))
    await asyncio.gather(*tasks)
    for connection in idle:
        connection.close()


async def run(job: dict[str, Any]) -> dict[str, Any]:
    load = Load(job)
    try:
        if job["rate"]:
            await opened(load, job["rate"], job["seconds"], job["seed"])
        else:
            await closed(load, job["connections"], job["seconds"])
    except BrokenError as error:
        load.failed.append(f"connection lost: {error}")
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "rate": len(load.ended) / job["seconds"] if job["rate"] else slope(load.ended, job["seconds"]),
        "latencies": sorted(round(seconds * 1e3, 3) for seconds in load.latencies),
        "late_p99": percentile(sorted(load.late), 99) * 1e3,
        "busy": (used.ru_utime + used.ru_stime) / max(time.monotonic() - load.begun, 1e-9),
        "failed": load.failed[:3],
        "failures": len(load.failed),
    }


def slope(ended: list[float], seconds: float) -> float:
    """Answers a second, from the line through the times at which they came: where they come in batches, it matters
    little what part of a batch the end cuts off."""
    count = len(ended)
    middle, mean = (count - 1) / 2, sum(ended) / max(1, count)
    spread = sum((at - mean) ** 2 for at in ended)
    if spread < (0.1 * seconds) ** 2:  # one batch, or none
        return count / seconds
    both = sum((number - middle) * (at - mean) for number, at in enumerate(sorted(ended)))
    return (count * (count * count - 1) / 12) / both


def percentile(ordered: list[float], share: float) -> float:
    """By the nearest rank."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share / 100))] if ordered else 0.0


if __name__ == "__main__":
    # select() keeps time to microseconds, epoll to milliseconds
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selectors.SelectSelector())) as runner:
        print(json.dumps(runner.run(run(json.load(sys.stdin)))))
