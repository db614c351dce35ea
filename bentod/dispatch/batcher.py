"""Whether a free worker waits for more calls before it takes a part of a batch: a pure decision."""

from __future__ import annotations

from bentod.dispatch.arrivals import Arrivals
from bentod.dispatch.cost import Cost

_TICK_S = 0.001
_WAITS = (0.001, 0.002, 0.003, 0.005, 0.008, 0.013, 0.021, 0.034, 0.055, 0.1)


def hold_s(  # noqa: PLR0913 - each is a fact of its own
    waiting: float,
    max_size: int,
    others_free: bool,
    silence_s: float,
    arrivals: Arrivals,
    cost: Cost,
    limit_s: float,
    each: float = 1.0,
) -> float:
    """How long at most to hold a partial batch for one more arrival before it is sent; 0: send now."""
    mean_gap = arrivals.mean_gap_s
    if limit_s <= 0 or others_free or mean_gap is None or waiting + each > max_size:
        return 0.0
    now, then, alone = cost.of(waiting), cost.of(waiting + each), cost.of(each)
    if now is None or then is None or alone is None or now + alone <= then:
        return 0.0
    calls, more = waiting / each, now / max(mean_gap, 1e-9)
    best, hold = 0.0, 0.0
    waits = [wait for wait in _WAITS if wait < limit_s] or [limit_s]
    for wait, (chance, gap) in zip(waits, arrivals.ahead(max(0.0, silence_s), waits), strict=True):
        late = gap + (1 - chance) * _TICK_S / 2
        worse = calls * late + chance * (calls * (then - now) + then - now - alone) + late * more
        if worse < best:
            best, hold = worse, wait
    return hold
