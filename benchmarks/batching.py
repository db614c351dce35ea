"""When to hold a part of a batch, simulated: `python benchmarks/batching.py [--seeds N] [--calls N] [--slots N]`.

Compares the policy that is learned while serving with fixed windows of 0, 1, 2, 5 and 10 ms: over loads from 1 % to
120 % of what full batches can do, four curves of what a batch costs, steady and bursty arrivals, and closed loops. The
clock is virtual, so figures are the same on every machine. Prints a table; `--write` also writes docs/batching.svg and
the results in docs/batching.md.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import sys
from functools import partial
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.support.simulation import CURVES, LOADS, WINDOWS, Cell, Setting, compare, mean_ratios  # noqa: E402

ARRIVALS = ("poisson", "bursts", "on-off")
CLIENTS = (4, 8, 16, 32)
NAMES = (*(f"{window * 1e3:g} ms" for window in WINDOWS), "learned")
COLOURS = ("#9aa5b1", "#4c9be8", "#3aa76d", "#c9a227", "#b06fc9", "#d1343b")
WIDE, HIGH, LEFT, TOP, GAP = 210, 130, 62, 58, 34
MOST_RATIO = 4.0
WANTED = 1.05
BEGIN, END = "<!-- results -->", "<!-- end -->"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--seeds", type=int, default=3, help="runs for each figure, four times as many near capacity (3)"
    )
    parser.add_argument("--calls", type=int, default=8_000, help="calls in each run (8000)")
    parser.add_argument("--slots", type=int, default=1, help="batches that run at once (1)")
    parser.add_argument(
        "--write", action="store_true", help="write docs/batching.svg and the table in docs/batching.md"
    )
    asked = parser.parse_args()
    more = {"calls": asked.calls, "slots": asked.slots}
    opened = [Setting(c, arrivals=a, load=load, **more) for a in ARRIVALS for c in CURVES for load in LOADS]
    closed = [Setting(c, "closed", clients=n * asked.slots, **more) for c in CURVES for n in CLIENTS]
    with multiprocessing.Pool() as pool:
        cells = pool.map(partial(measure, seeds=asked.seeds), opened + closed, chunksize=1)
    for cell in cells:
        print(line(cell))
    print(summary(cells))
    if asked.write:
        (ROOT / "docs/batching.svg").write_text(plot(cells), "utf-8")
        page = ROOT / "docs/batching.md"
        before, _, after = page.read_text("utf-8").partition(BEGIN)
        page.write_text(f"{before}{BEGIN}\n{summary(cells)}\n{END}{after.partition(END)[2]}", "utf-8")


def measure(setting: Setting, seeds: int) -> Cell:
    """Near capacity queues vary most: there it takes more runs to see a few percent."""
    return compare(setting, seeds * (4 if 0.7 <= setting.load < 1 else 1))


def place(setting: Setting) -> str:
    return f"{setting.clients} clients" if setting.clients else f"{setting.load:.0%}"


def line(cell: Cell) -> str:
    where = f"{cell.setting.arrivals:8} {cell.setting.curve:13} {place(cell.setting):>10}"
    ratios = "  ".join(f"{name} {ratio:.3f}" for name, ratio in zip(NAMES, cell.ratios, strict=True))
    mark = "  ***" if cell.ratios[-1] > WANTED else ""
    return f"{where}  {cell.mean_s * 1e3:7.2f} ms  {ratios}{mark}"


def summary(cells: list[Cell]) -> str:
    """A table: how far each policy is from the best window of each setting."""
    rows = ["| | " + " | ".join(NAMES) + " |", "|---" * (len(NAMES) + 1) + "|"]

    def row(name: str, values: list[float]) -> None:
        rows.append(f"| {name} | " + " | ".join(f"{value:.3f}" for value in values) + " |")

    for kind in (*ARRIVALS, "closed"):
        row(f"{kind}, mean", mean_ratios([cell for cell in cells if cell.setting.arrivals == kind]))
    row("all, mean", mean_ratios(cells))
    row("all, worst", [max(column) for column in zip(*(cell.ratios for cell in cells), strict=True)])
    below = [cell for cell in cells if not cell.setting.clients and cell.setting.load < 1]
    p99s = zip(*(cell.p99s for cell in below), strict=True)
    row("p99 below capacity, mean", [math.exp(sum(map(math.log, column)) / len(below)) for column in p99s])
    within = [sum(ratio <= WANTED for ratio in column) for column in zip(*(cell.ratios for cell in cells), strict=True)]
    rows.append(f"| within 5 %, of {len(cells)} | " + " | ".join(map(str, within)) + " |")
    return "\n".join(rows)


# ── the plot ─────────────────────────────────────────────────────────────────────────────────────


def plot(cells: list[Cell]) -> str:
    """Small multiples: rows of arrivals, columns of curves; load from left to right, the ratio to the best window
    upwards, on a logarithmic axis."""
    kinds = (*ARRIVALS, "closed")
    width, height = LEFT + len(CURVES) * (WIDE + GAP), TOP + len(kinds) * (HIGH + GAP) + 6
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'font-family="system-ui, sans-serif" font-size="11">',
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        f'<text x="{LEFT}" y="16" font-size="13">Mean latency (from 100 % on and in closed loops: time per call), '
        "relative to the best fixed window there</text>",
    ]
    for i, (name, colour) in enumerate(zip(NAMES, COLOURS, strict=True)):
        x = LEFT + i * 92
        parts.append(f'<line x1="{x}" x2="{x + 18}" y1="31" y2="31" stroke="{colour}" stroke-width="{stroke(i)}"/>')
        parts.append(f'<text x="{x + 23}" y="35">{name}</text>')
    for row, kind in enumerate(kinds):
        for column, curve in enumerate(CURVES):
            shown = [cell for cell in cells if (cell.setting.arrivals, cell.setting.curve) == (kind, curve)]
            x, y = LEFT + column * (WIDE + GAP), TOP + row * (HIGH + GAP)
            parts += panel(shown, x, y, f"{kind}, {curve}" + ", by clients" * (kind == "closed"))
    return "\n".join([*parts, "</svg>\n"])


def stroke(policy: int) -> float:
    return 2.6 if NAMES[policy] == "learned" else 1.4


def panel(cells: list[Cell], x: float, y: float, title: str) -> list[str]:
    """One of the small plots."""

    def up(ratio: float) -> float:
        low, high = math.log(0.6), math.log(MOST_RATIO)
        return y + HIGH - HIGH * (min(math.log(ratio), high) - low) / (high - low)

    parts = [
        f'<text x="{x}" y="{y - 5}" font-weight="600">{title}</text>',
        f'<rect x="{x}" y="{y}" width="{WIDE}" height="{HIGH}" fill="none" stroke="#c8ced6"/>',
    ]
    for ratio in (0.7, 1, 1.5, 2, 3):
        shade = "#7b8794" if ratio == 1 else "#e4e7eb"
        parts.append(f'<line x1="{x}" x2="{x + WIDE}" y1="{up(ratio):.1f}" y2="{up(ratio):.1f}" stroke="{shade}"/>')
        parts.append(f'<text x="{x - 5}" y="{up(ratio) + 4:.1f}" text-anchor="end" fill="#52606d">{ratio}</text>')
    step = WIDE / max(1, len(cells) - 1)
    for i, cell in enumerate(cells):
        if len(cells) < 8 or i % 3 == 0:
            text = place(cell.setting).partition(" ")[0]
            parts.append(
                f'<text x="{x + i * step:.1f}" y="{y + HIGH + 13}" text-anchor="middle" fill="#52606d">{text}</text>'
            )
    for policy in range(len(NAMES)):
        points = " ".join(f"{x + i * step:.1f},{up(cell.ratios[policy]):.1f}" for i, cell in enumerate(cells))
        parts.append(
            f'<polyline points="{points}" fill="none" stroke="{COLOURS[policy]}" stroke-width="{stroke(policy)}"/>'
        )
    return parts


if __name__ == "__main__":
    main()
