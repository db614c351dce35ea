"""Who gets which GPUs, so that as few services as possible that run lose theirs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from itertools import combinations
from math import comb

from bentod.plan.devices_attempt import Given, Taste, attempt, pressures
from bentod.plan.devices_room import Gpus, Held, Want

_COST, _KEEPING = 50_000, 6
"""How much may be tried so that fewer services move, in looks at a GPU; what it costs to keep a worker where it is."""


def shared_out(wants: Sequence[Want], gpus: Gpus, held: Held) -> tuple[Given, Taste]:
    """What each worker gets, of `auto` services at least one, and the taste that led there. What runs keeps what it
    has if the others fit beside it; then, if they fit where `auto` services have more than one worker; then, if they
    fit where others move."""
    taste = Taste(held, {}, pressures(wants, gpus), not any(want.auto and want.whole for want in wants))
    found = attempt(wants, gpus, held, taste)
    if not found.failed or not held:
        return found, taste
    autos = {want.service for want in wants if want.auto}
    firm = {name: {min(some): some[min(some)]} if name in autos else some for name, some in held.items() if some}
    late = {
        at: 1 + (1_000_000 - worker)
        for name in sorted(autos & held.keys())
        for worker, places in held[name].items()
        for at in places
        if worker not in firm.get(name, {})
    }
    taste = Taste(held, late, taste.pressure, taste.shy)
    found = attempt(wants, gpus, firm, taste)
    return (found if not found.failed else _moved(wants, gpus, firm, taste) or found), taste


def _moved(wants: Sequence[Want], gpus: Gpus, held: Held, taste: Taste) -> Given | None:
    """Everything in its place where as few services as possible have moved; None if not everything fits anyhow."""
    everyones = Counter(at for some in held.values() for at in {at for places in some.values() for at in places})
    loose = Taste(taste.held, everyones, taste.pressure, taste.shy)
    found = attempt(wants, gpus, {}, loose)
    if found.failed:  # by the quick rule, who has what may be in the way
        found = attempt(wants, gpus, {}, Taste({}, {}, taste.pressure, taste.shy))
    if found.failed:
        return None
    purse = _Purse(wants, gpus, held)
    return _few(wants, gpus, held, taste, movers_of(found, held), purse) or _fewer(
        wants, gpus, held, taste, found, purse
    )


def movers_of(given: Given, held: Held) -> list[str]:
    """Services of which a worker gets other GPUs than it has."""
    return sorted(
        name
        for name, workers in held.items()
        if any(given.at.get(name, {}).get(worker, places) != places for worker, places in workers.items())
    )


class _Purse:
    """How much may still be tried: about so many looks at a GPU."""

    def __init__(self, wants: Sequence[Want], gpus: Gpus, held: Held) -> None:
        self._left = _COST
        self._each = sum(want.workers for want in wants) * _KEEPING
        self._workers = {want.service: want.workers * len(gpus.devices) for want in wants}
        self._new = sum(cost for name, cost in self._workers.items() if name not in held)

    def pays(self, loose: Iterable[str], times: int = 1) -> bool:
        """Whether so many attempts can be made in which these are let go; one is paid for."""
        cost = self._each + self._new + sum(self._workers.get(name, 0) for name in loose)
        if cost * times > self._left:
            return False
        self._left -= cost
        return True


def _few(
    wants: Sequence[Want], gpus: Gpus, held: Held, taste: Taste, movers: Sequence[str], purse: _Purse
) -> Given | None:
    """Fewer movers than are known to do, if there is a way and all can be tried: first one service is let go, then
    two, …"""
    names = [*movers, *sorted(held.keys() - {*movers})]
    for size in range(1, len(movers)):
        if not purse.pays(names[:size], comb(len(names), size)):
            return None
        for loose in combinations(names, size):
            found = attempt(wants, gpus, _only(held, held.keys() - {*loose}), taste)
            if not found.failed:
                return found
            purse.pays(loose)
    return None


def _fewer(wants: Sequence[Want], gpus: Gpus, held: Held, taste: Taste, found: Given, purse: _Purse) -> Given:
    """Of those who have moved half keep what they have, if that goes, or half of that half, and so on."""
    movers = movers_of(found, held)
    kept = held.keys() - {*movers}
    queue = [movers[len(movers) // 2 :], movers[: len(movers) // 2]]
    while queue:
        part = queue.pop()
        if not part:
            continue
        if not purse.pays(held.keys() - kept - {*part}):
            break
        now = attempt(wants, gpus, _only(held, kept | {*part}), taste, thorough=False)
        if not now.failed:
            found, kept = now, kept | {*part}
        elif len(part) > 1:
            queue += [part[len(part) // 2 :], part[: len(part) // 2]]
    return found


def _only(held: Held, names: Collection[str]) -> Held:
    return {name: workers for name, workers in held.items() if name in names}
