"""When the requests of `bentod bench` shall start, and which rates a sweep has. Pure."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Iterator

MOST_RATES, HIGHEST_RATE = 100, 1_000_000.0
_SWEEP = re.compile(r"(?P<low>[0-9]*\.?[0-9]+)\.\.(?P<high>[0-9]*\.?[0-9]+)(?:/(?P<steps>[0-9]{1,4}))?")
_STEPS = 8
_FRACTIONS = (0.1, 0.25, 0.5, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2)


def poisson(rate: float, start: float, end: float, seed: str) -> Iterator[float]:
    """Moments from `start` to `end`, ascending, as independent callers choose them; the same for the same seed.

    It is a Poisson process of which the number of arrivals is given (so that what is offered is `rate`, and not more
    or less by chance): then each is anywhere with equal probability. The first of n of them is found from u, uniform in
    (0, 1]: all n come after it with probability u where it lies at 1 - u^(1/n) of the time.
    """
    uniform = random.Random(seed).random  # noqa: S311 - a load, not a secret
    at = start
    for left in range(max(round(rate * (end - start)), 1), 0, -1):
        at -= (end - at) * math.expm1(math.log(1.0 - uniform()) / left)
        yield min(at, end)


def rates(text: str) -> tuple[float, ...]:
    """`50,100` or a geometric sweep, `10..1000` or with its number of steps `10..1000/5`. Raises ValueError."""
    found = [rate for part in text.split(",") for rate in _part(part.strip())]
    if any(not 0 < rate <= HIGHEST_RATE for rate in found) or len(found) > MOST_RATES:
        raise ValueError(f"{text!r}: at most {MOST_RATES} rates, each above 0 and at most {HIGHEST_RATE:g}")
    return tuple(found)


def around(capacity: float) -> tuple[float, ...]:
    """Rates from 10 % to 120 % of what was measured, close to each other where it bends."""
    return tuple(float(f"{capacity * fraction:.3g}") for fraction in _FRACTIONS)


def _part(text: str) -> list[float]:
    sweep = _SWEEP.fullmatch(text)
    try:
        if sweep is None:
            return [float(text)]
        low, high = float(sweep["low"]), float(sweep["high"])
    except ValueError:
        raise ValueError(f"{text!r} is no rate: it should be as in `50,100,200` or `10..1000`") from None
    steps = int(sweep["steps"] or _STEPS)
    if not (0 < low < high and 2 <= steps <= MOST_RATES):
        raise ValueError(f"{text!r} is no sweep: it goes from a rate to a higher one, in 2 to {MOST_RATES} steps")
    factor = (high / low) ** (1 / (steps - 1))
    return [float(f"{low * factor**step:.4g}") for step in range(steps)]
