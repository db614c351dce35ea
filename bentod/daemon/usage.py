"""What the services need of this host, as it is measured."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Collection, Mapping

from bentod.daemon.use import Meter
from bentod.plan.difference import Usage
from bentod.plan.inventory import Inventory
from bentod.supervise.pool import Pool


async def usage(pools: Mapping[str, Pool], inventory: Inventory | None = None) -> dict[str, Usage]:
    """What each service needs, as it is measured now; on GPUs as `inventory` has it."""
    pids = {name: _pids(pool) for name, pool in pools.items()}
    starts = {name: pool.start_s for name, pool in pools.items()}
    weighed = await _weighed([pid for found in pids.values() for pid in found], Meter())
    return {
        name: Usage(tuple(weighed[pid] for pid in found if pid in weighed), starts[name], on_gpus(found, inventory))
        for name, found in pids.items()
    }


async def sizes(pools: Mapping[str, Pool], meter: Meter) -> dict[int, int]:
    """The bytes that each worker process has, with those that it has started, where that decides how long it lives."""
    weighing = [pool for pool in pools.values() if pool.plan.recycle and pool.plan.recycle.max_memory is not None]
    return await _weighed([pid for pool in weighing for pid in _pids(pool)], meter) if weighing else {}


def _pids(pool: Pool) -> list[int]:
    return [worker.pid for worker in pool.status().workers if worker.pid is not None]


async def _weighed(groups: Collection[int], meter: Meter) -> dict[int, int]:
    reading = await asyncio.to_thread(meter.read, groups)
    return {pid: use.memory for pid, use in reading.groups.items() if use.memory is not None}


def on_gpus(groups: Collection[int], inventory: Inventory | None) -> dict[str, tuple[int, ...]]:
    """By the UUID of a GPU, the bytes that each of these process groups has there, as far as the driver tells."""
    found: dict[str, tuple[int, ...]] = {}
    for device in inventory.devices if inventory is not None else ():
        had: Counter[int] = Counter()
        for process in device.processes:
            if process.group in groups:
                had[process.group] += process.memory or 0
        if had:
            found[device.uuid] = tuple(had.values())
    return found
