"""Who gets which GPUs, so that as few services as possible that run lose theirs."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import combinations

from bentod.plan.devices_attempt import Given, Taste, attempt, pressures
from bentod.plan.devices_room import Gpus, Held, Want

_COST = 120_000
"""How much may be tried so that fewer services move; about so many looks at a GPU."""


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
    everyones = {at: 1 for workers in held.values() for places in workers.values() for at in places}
    loose = Taste(taste.held, everyones, taste.pressure, taste.shy)
    found = attempt(wants, gpus, {}, loose)
    if found.failed:  # by the quick rule, who has what may be in the way
        found = attempt(wants, gpus, {}, Taste({}, {}, taste.pressure, taste.shy))
    if found.failed:
        return None
    movers = movers_of(found, held)
    return _few(wants, gpus, held, taste, movers) or _fewer(wants, gpus, held, taste, found)


def movers_of(given: Given, held: Held) -> list[str]:
    """Services of which a worker gets other GPUs than it has."""
    return sorted(
        name
        for name, workers in held.items()
        if any(given.at.get(name, {}).get(worker, places) != places for worker, places in workers.items())
    )


def _few(wants: Sequence[Want], gpus: Gpus, held: Held, taste: Taste, movers: Sequence[str]) -> Given | None:
    """One mover less than is known to do, if there is a way and it is found in time: first one service is let go,
    then two, …"""
    tries = _tries(wants, gpus)
    names = [*movers, *sorted(held.keys() - {*movers})]
    for size in range(1, len(movers)):
        for loose in combinations(names, size):
            tries -= 1
            if tries < 0:
                return None
            found = attempt(wants, gpus, _without(held, loose), taste, thorough=tries > 0 and len(gpus.devices) <= 8)
            if not found.failed:
                return found
    return None


def _fewer(wants: Sequence[Want], gpus: Gpus, held: Held, taste: Taste, found: Given) -> Given:
    """Half of all services keep what they have, if that goes, or half of that half, and so on."""
    kept: list[str] = []
    tries = _tries(wants, gpus)
    movers = {*movers_of(found, held)}
    some = sorted(held, key=lambda name: (name in movers, name))
    queue = [some]
    while queue and tries > 0:
        part = queue.pop()
        tries -= 1
        now = attempt(wants, gpus, {name: held[name] for name in (*kept, *part)}, taste, thorough=False)
        if not now.failed:
            found, kept = now, [*kept, *part]
        elif len(part) > 1:
            queue += [part[len(part) // 2 :], part[: len(part) // 2]]
    return found


def _without(held: Held, loose: Collection[str]) -> Held:
    return {name: workers for name, workers in held.items() if name not in loose}


def _tries(wants: Sequence[Want], gpus: Gpus) -> int:
    return 1 + _COST // max(1, sum(want.workers for want in wants) * len(gpus.devices))
