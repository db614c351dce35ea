"""Bars in SVG, on a logarithmic scale: groups of them, each with its spread."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from html import escape
from math import ceil, floor, log10

from compare.summary import Spread

COLOURS = ("#1a6fb5", "#d1495b", "#edae49", "#66a182", "#8d6a9f", "#5f6b73", "#b9c0c5")
BAR, GAP, LEFT, TOP, HEIGHT, BOTTOM = 22, 26, 92, 64, 260, 46
STYLE = "font-family: system-ui, sans-serif; font-size: 12px"


def chart(title: str, unit: str, groups: dict[str, dict[str, Spread]], names: list[str]) -> str:
    """An SVG: one group of bars for each load, one bar for each name in it."""
    values = [one for group in groups.values() for one in group.values() if one.least > 0]
    low = floor(log10(min(one.least for one in values)))
    high = max(low + 1, ceil(log10(max(one.most for one in values))))
    width = LEFT + GAP + sum(BAR * len(group) + GAP for group in groups.values())
    width = max(width, LEFT + 110 * len(names))

    def y(value: float) -> float:
        return TOP + HEIGHT * (1 - (log10(max(value, 10**low)) - low) / (high - low))

    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {TOP + HEIGHT + BOTTOM}" style="{STYLE}">',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="{LEFT}" y="20" font-weight="bold">{escape(title)}</text>',
    ]
    for number, name in enumerate(names):
        lines.append(f'<rect x="{LEFT + 105 * number}" y="32" width="11" height="11" fill="{COLOURS[number]}"/>')
        lines.append(f'<text x="{LEFT + 105 * number + 16}" y="42">{escape(name)}</text>')
    for power in range(low, high + 1):
        at = y(10**power)
        lines.append(f'<line x1="{LEFT}" x2="{width}" y1="{at:.1f}" y2="{at:.1f}" stroke="#ddd"/>')
        lines.append(f'<text x="{LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{10.0**power:,g} {unit}</text>')
    x = float(LEFT + GAP)
    for label, group in groups.items():
        for name, value in group.items():
            lines += bar(x, y, value, COLOURS[names.index(name)])
            x += BAR
        middle = x - BAR * len(group) / 2
        lines.append(f'<text x="{middle:.1f}" y="{TOP + HEIGHT + 20}" text-anchor="middle">{escape(label)}</text>')
        x += GAP
    return "\n".join([*lines, "</svg>", ""])


def bar(x: float, y: Callable[[float], float], value: Spread, colour: str) -> Iterator[str]:
    top = y(value.median)
    middle = x + BAR / 2 - 1
    yield f'<rect x="{x:.1f}" y="{top:.1f}" width="{BAR - 2}" height="{TOP + HEIGHT - top:.1f}" fill="{colour}"/>'
    ends = f'y1="{y(value.least):.1f}" y2="{y(value.most):.1f}"'
    yield f'<line x1="{middle:.1f}" x2="{middle:.1f}" {ends} stroke="black"/>'
