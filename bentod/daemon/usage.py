"""What the services need of this host, as it is measured."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Collection, Mapping

from bentod.daemon.use import memory
from bentod.plan.difference import Usage
from bentod.plan.inventory import Inventory
from bentod.supervise.pool import Pool


async def usage(pools: Mapping[str, Pool], inventory: Inventory | None = None) -> dict[str, Usage]:
    """What each service needs, as it is measured now; on GPUs as `inventory` has it."""
    pids = {name: [worker.pid for worker in pool.status().workers] for name, pool in pools.items()}
    starts = {name: pool.start_s for name, pool in pools.items()}
    sizes = await asyncio.to_thread(lambda: {name: list(map(memory, found)) for name, found in pids.items()})
    return {
        name: Usage(tuple(one for one in found if one is not None), starts[name], on_gpus(pids[name], inventory))
        for name, found in sizes.items()
    }


def on_gpus(groups: Collection[int | None], inventory: Inventory | None) -> dict[str, tuple[int, ...]]:
    """By the UUID of a GPU, the bytes that each of these process groups has there, as far as the driver tells."""
    found: dict[str, tuple[int, ...]] = {}
    for device in inventory.devices if inventory is not None else ():
        sizes: Counter[int] = Counter()
        for process in device.processes:
            if process.group in groups:
                sizes[process.group] += process.memory or 0
        if sizes:
            found[device.uuid] = tuple(sizes.values())
    return found
