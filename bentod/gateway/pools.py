"""The dispatchers of one gateway, one for each pool that serves or still has something to finish."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from functools import partial

from bentod.dispatch.dispatcher import Dispatcher
from bentod.wire.messages import ServiceRoute


def key(route: ServiceRoute) -> str:
    """What tells a pool from others."""
    return route.pool or route.name


class Pools:
    """Dispatchers by pool; `make` makes the one of a pool. A pool that retires, or that no table names any
    more, keeps its dispatcher until it is empty."""

    def __init__(self, make: Callable[[ServiceRoute], Dispatcher]) -> None:
        self._make = make
        self._all: dict[str, Dispatcher] = {}
        self._retiring: set[str] = set()
        self.current: dict[str, Dispatcher] = {}
        """The dispatcher of each service's pool of today, by the service's name."""

    def __len__(self) -> int:
        return len(self._all)

    async def connect(self, routes: Iterable[ServiceRoute]) -> dict[str, Dispatcher]:
        """Connect to the workers of all pools, except of those that are about to retire: these serve as they are until
        then. Returns what `current` is to be."""
        current: dict[str, Dispatcher] = {}
        updates = []
        for route in routes:
            if not route.retiring:
                dispatcher = self._all.get(key(route))
                if dispatcher is None:
                    dispatcher = self._all[key(route)] = self._make(route)
                current[route.name] = dispatcher
                updates.append(dispatcher.update(route))
            elif key(route) in self._retiring:
                updates.append(self._all[key(route)].update(route))
        await asyncio.gather(*updates)
        return current

    def use(self, current: dict[str, Dispatcher], routes: Iterable[ServiceRoute]) -> None:
        """From now on these serve; all others retire."""
        self.current = current
        hopes = {key(route): route.admit for route in routes if route.retiring}
        serving = {key(route) for route in routes if not route.retiring}
        self._retiring -= serving
        for pool, dispatcher in list(self._all.items()):
            if pool not in serving and (pool not in self._retiring or pool not in hopes):
                self._retiring.add(pool)
                dispatcher.retire(partial(self._gone, pool), hope=hopes.get(pool, False))

    def _gone(self, pool: str) -> None:
        self._retiring.discard(pool)
        self._all.pop(pool, None)

    def answered(self) -> dict[int, int]:
        """Calls that each connected worker has answered, by its pid."""
        return {pid: calls for one in self._all.values() for pid, calls in one.answered().items()}
