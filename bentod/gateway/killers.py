"""Requests of which workers died: who sends one again, under the same id, is refused for some minutes."""

from __future__ import annotations

import time
from collections import OrderedDict

from bentod.dispatch import losses

_KEPT_S = 300.0
_MOST = 256
ENOUGH = 2
"""Workers that die of one call before it is refused."""


class Killers:
    """Ids of requests by API, each with the workers that died of it."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, str], tuple[float, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def __contains__(self, request: tuple[str, str]) -> bool:
        """Whether this API's request of this id is known."""
        return request in self._known

    def add(self, api: str, request_id: str, deaths: int) -> None:
        """A request has killed so many workers."""
        self._known.pop((api, request_id), None)
        self._known[api, request_id] = time.monotonic(), deaths
        if len(self._known) > _MOST:
            self._known.popitem(last=False)

    def check(self, api: str, request_id: str) -> None:
        """Raises WorkerLost for a request that is known."""
        while self._known and next(iter(self._known.values()))[0] < time.monotonic() - _KEPT_S:
            self._known.popitem(last=False)
        _, deaths = self._known.get((api, request_id), (0.0, 0))
        if deaths:
            raise losses.lost(deaths)
