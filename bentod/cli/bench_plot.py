"""Plots for the report of `bentod bench`: from numbers to places in an SVG of 640 by 300. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 640, 300
LEFT, RIGHT, TOP, BOTTOM = 66, 622, 12, 262
_WIDE = 16.0  # from this ratio on an axis is logarithmic
_TICKS = 6
_ZEROS = re.compile(r"\.0+(?= |$)")  # 3.00 s

Say = Callable[[float], str]


@dataclass(frozen=True, slots=True)
class Series:
    """A named line. None is a gap."""

    name: str
    points: tuple[tuple[float, float | None], ...]


@dataclass(frozen=True, slots=True)
class Tick:
    """A place on an axis and its text."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Dot:
    """A measured point, and what it says of itself."""

    x: float
    y: float
    text: str


@dataclass(frozen=True, slots=True)
class Line:
    """A series as it is drawn; `path` is the `d` of an SVG path."""

    name: str
    path: str
    dots: tuple[Dot, ...]


@dataclass(frozen=True, slots=True)
class Plot:
    """All that the template needs."""

    title: str
    text: str
    lines: tuple[Line, ...]
    x: tuple[Tick, ...]
    y: tuple[Tick, ...]
    x_name: str


class _Axis:
    """Places values between two ends of the picture, the lowest value first."""

    def __init__(self, values: Iterable[float], first: float, last: float, *, from_zero: bool) -> None:
        found = sorted(value for value in values if value > 0) or [1.0]
        low, high = found[0], found[-1]
        self._first, self._last = first, last
        self.log = high / low >= _WIDE and not from_zero
        self._low = low / 1.15 if self.log else 0.0
        self._high = high * (1.15 if self.log else 1.05)

    def at(self, value: float) -> float:
        """The place of a value."""
        if self.log:
            value = max(value, self._low)
            share = math.log(value / self._low) / math.log(self._high / self._low)
        else:
            share = (value - self._low) / (self._high - self._low)
        return round(self._first + share * (self._last - self._first), 1)

    def ticks(self, say: Say) -> tuple[Tick, ...]:
        """Round numbers along the axis."""
        values = self._decades() if self.log else self._steps()
        return tuple(Tick(self.at(value), _ZEROS.sub("", say(value)) if value else "0") for value in values)

    def _decades(self) -> list[float]:
        exponents = range(math.floor(math.log10(self._low)), math.ceil(math.log10(self._high)) + 1)
        values: list[float] = []
        for digits in ((1,), (1, 3), (1, 2, 5)):  # as many as there is room for
            finer = [digit * 10.0**exponent for exponent in exponents for digit in digits]
            finer = [value for value in finer if self._low <= value <= self._high]
            values = finer if not values or len(finer) <= _TICKS + 2 else values
        return values[:: max(1, math.ceil(len(values) / (_TICKS + 2)))]

    def _steps(self) -> list[float]:
        rough = (self._high - self._low) / _TICKS
        unit = 10.0 ** math.floor(math.log10(rough))
        step = next(unit * digit for digit in (1, 2, 5, 10) if unit * digit >= rough)
        return [step * number for number in range(int(self._high / step) + 1)]


def plot(
    title: str, text: str, series: Sequence[Series], x_name: str, say_x: Say, say_y: Say, *, from_zero: bool = False
) -> Plot:
    """Draw series over a common axis. `from_zero`: the vertical axis is linear and begins at 0."""
    across = _Axis((x for one in series for x, _ in one.points), LEFT, RIGHT, from_zero=False)
    values = (y for one in series for _, y in one.points if y is not None)
    up = _Axis(values, BOTTOM, TOP, from_zero=from_zero)

    def line(one: Series) -> Line:
        dots = tuple(
            Dot(across.at(x), up.at(y), f"{one.name}: {say_y(y)} at {say_x(x)}/s")
            for x, y in one.points
            if y is not None
        )
        path = " ".join(f"{'L' if index else 'M'}{dot.x:g} {dot.y:g}" for index, dot in enumerate(dots))
        return Line(one.name, path, dots)

    return Plot(title, text, tuple(map(line, series)), across.ticks(say_x), up.ticks(say_y), x_name)
