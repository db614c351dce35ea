"""Tables for the terminal and for Markdown, plots, and everything that was measured as JSON."""

from __future__ import annotations

import json
import platform
from collections import defaultdict
from dataclasses import asdict
from pathlib import Path
from typing import Any

from compare.chart import chart
from compare.measuring import Seen
from compare.summary import OURS, Cell, Spread, alone, cells
from compare.wanted import verdicts
from compare.workloads import WORKLOADS

HEADS = ("load", "server", "best setting", "answers/s", "p50 ms", "p99 ms", "CPU µs", "bentod is ahead by")


def show(seen: list[Seen], workload: str) -> None:
    """On the terminal."""
    rows = [row(one) for one in cells(seen, workload)]
    if not rows:
        return
    print(f"\n{WORKLOADS[workload].title}")
    widths = [max(len(line[column]) for line in [HEADS, *rows]) for column in range(len(HEADS))]
    for line in [HEADS, *rows]:
        print("  ".join(word.ljust(width) for word, width in zip(line, widths, strict=True)).rstrip())
    for line in said_alone(seen, workload):
        print(line)
    for one in verdicts(seen, workload):
        print(f"{'ok    ' if one.good else 'MISSED'} {one.claim}: {one.seen}")


def row(one: Cell) -> tuple[str, ...]:
    load = f"{one.load} = {one.offered:.0f}/s" if one.offered else one.load
    numbers = (spreaded(one.rate, 0), spreaded(one.p50, 2), spreaded(one.p99, 2), f"{one.cpu_us:.0f}")
    ahead = "" if one.ahead is None else f"x {spreaded(one.ahead, 2)}"
    return (load, one.peer, one.setting, *numbers, ahead)


def spreaded(value: Spread, digits: int) -> str:
    return f"{value.median:.{digits}f} [{value.least:.{digits}f}-{value.most:.{digits}f}]"


def said_alone(seen: list[Seen], workload: str) -> list[str]:
    """The work without a server."""
    lines = []
    for label, setting in (("best", ""), ("single", "batch 1")):
        found = alone(seen, workload, setting)
        if found:
            rates, p50 = ([getattr(one, name) for one in found] for name in ("rate", "p50"))
            lines.append(
                f"without a server, {label} ({found[0].setting}): {sorted(rates)[len(rates) // 2]:.0f}/s, "
                f"a call takes {sorted(p50)[len(p50) // 2]:.2f} ms"
            )
    return lines


def write(folder: Path, seen: list[Seen], workload: str, failed: dict[str, str], about: dict[str, Any]) -> None:
    """The JSON and the plots of one workload, and the page of all that lie in the folder."""
    mine = [one for one in seen if one.workload == workload]
    if not any(one.round for one in mine):
        return
    folder.mkdir(parents=True, exist_ok=True)
    missing = {name: why for name, why in failed.items() if name.startswith(f"{workload},")}
    about |= {"python": platform.python_version(), "machine": platform.machine(), "failed": missing}
    text = json.dumps({"about": about, "seen": [asdict(one) for one in mine]}, indent=0)
    (folder / f"{workload}.json").write_text(text + "\n")
    for name, drawing in drawings(mine, workload).items():
        (folder / name).write_text(drawing)
    (folder / "results.md").write_text(page(folder))


def drawings(seen: list[Seen], workload: str) -> dict[str, str]:
    """SVGs by their files' names: throughput of closed loops, tails of open ones."""
    rates: dict[str, dict[str, Spread]] = defaultdict(dict)
    tails: dict[str, dict[str, Spread]] = defaultdict(dict)
    found = cells(seen, workload)
    names = sorted({one.peer for one in found}, key=lambda peer: (peer != OURS, peer))
    for one in found:
        if one.offered:
            tails[f"{one.load}: {one.offered:.0f}/s"][one.peer] = one.p99
        else:
            rates[f"{one.load} connection{'s' * (one.load != '1')}"][one.peer] = one.rate
    title = WORKLOADS[workload].title
    drawn = {}
    if rates:
        drawn[f"{workload}.svg"] = chart(f"{title}: answers a second", "/s", rates, names)
    if tails:
        drawn[f"{workload}-p99.svg"] = chart(f"{title}: p99 at shares of the capacity", "ms", tails, names)
    return drawn


def page(folder: Path) -> str:
    """Markdown of every workload whose JSON lies in the folder."""
    parts = ["# Results", "", "Written by `benchmarks/compare.py`; what the columns mean is in [README.md](README.md)."]
    for workload in WORKLOADS:
        file = folder / f"{workload}.json"
        if file.exists():
            found = json.loads(file.read_text())
            parts += section(workload, [Seen(**one) for one in found["seen"]], found["about"])
    return "\n".join(parts) + "\n"


def section(workload: str, seen: list[Seen], about: dict[str, Any]) -> list[str]:
    lines = ["", f"## {WORKLOADS[workload].title}", ""]
    words = ", ".join(f"{name} {about[name]}" for name in ("rounds", "seconds", "seed", "cores", "versions"))
    lines += [f"{words}.", ""]
    lines += [f"![{name}]({name})" for name in drawings(seen, workload)]
    lines += ["", f"| {' | '.join(HEADS)} |", "|---" * len(HEADS) + "|"]
    lines += [f"| {' | '.join(row(one))} |" for one in cells(seen, workload)]
    lines += ["", *(f"- {line}" for line in said_alone(seen, workload))]
    lines += [f"- {'ok' if one.good else '**missed**'}: {one.claim}: {one.seen}" for one in verdicts(seen, workload)]
    lines += [f"- failed: {name}: {why[:300]}" for name, why in about["failed"].items()]
    return lines
