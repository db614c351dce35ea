"""What `bentod bench` found: for machines as JSON, for people as one HTML page that needs nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jinja2

from bentod.cli import bench_words as words
from bentod.cli.bench_histogram import Percentiles
from bentod.cli.bench_options import Options
from bentod.cli.bench_payload import Payload
from bentod.cli.bench_plot import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Plot, Series, plot
from bentod.cli.bench_sweep import Trial
from bentod.cli.bench_table import columns
from bentod.cli.bench_tally import Row
from bentod.cli.call_answer import UnusableOutput
from bentod.shipped import shipped
from bentod.spec.quantities import duration_text

PERCENTILES = "histogram; at most 0.1 % (below 2 ms: 1 µs) above the true ones"
_TIMES = (("p50", "p50"), ("p99", "p99"), ("p99.9", "p99_9"))


@dataclass(frozen=True, slots=True)
class Report:
    """A whole run. `stream` is the form of streams, or empty; `ended` says why it ended too soon, if it did."""

    api: str
    url: str
    path: str
    stream: str
    started: str
    bentod: str
    options: Options
    payloads: tuple[Payload, ...]
    trials: tuple[Trial, ...]
    rows: tuple[Row, ...]
    ended: str = ""

    def document(self) -> dict[str, Any]:
        """As JSON has it: without the payloads' data, with what follows from the rows."""
        document = asdict(self)
        document["payloads"] = [
            {"name": one.name, "media_type": one.media_type, "bytes": len(one.data)} for one in self.payloads
        ]
        held = words.held(self.rows)
        return {**document, "held_rate": held.rate if held else None, "percentiles": PERCENTILES}


def page(report: Report) -> str:
    """The HTML page."""
    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader(shipped("recipes/bench")),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return templates.get_template("report.html.j2").render(
        report=report,
        columns=columns(stream=bool(report.stream)),
        plots=list(plots(report.rows, stream=bool(report.stream))),
        verdict=words.verdict(report.rows),
        words=words,
        duration=duration_text,
        percentiles=PERCENTILES,
        box={"width": WIDTH, "height": HEIGHT, "left": LEFT, "right": RIGHT, "top": TOP, "bottom": BOTTOM},
    )


def write(file: str, report: Report) -> None:
    """Write the page. Raises UnusableOutput."""
    try:
        Path(file).write_text(page(report), encoding="utf-8", errors="replace")
    except OSError as error:
        raise UnusableOutput(f"cannot write {file}: {error.strerror}") from None


def plots(rows: Sequence[Row], *, stream: bool) -> Iterator[Plot]:
    """Those for which there are numbers, over the rate that was offered."""
    rows = sorted((row for row in rows if row.intended), key=lambda row: row.rate)
    if not rows:
        return
    over = partial(plot, x_name="offered calls a second", say_x=words.rate)
    if stream:
        series = _percentiles(rows, lambda row: row.first_s)
        yield over("Time to the first chunk", "From the moment when the call was due.", series, say_y=words.duration)
    until = "to the end of the stream" if stream else "of the call"
    series = _percentiles(rows, lambda row: row.latency_s)
    text = f"Time {until}, from the moment when it was due."
    yield over("Latency", text, series, say_y=words.duration)
    text = "Calls answered while the rate was offered, and calls that were not."
    yield over("Throughput", text, _throughput(rows), say_y=words.rate, from_zero=True)
    if any(row.run_s for row in rows):
        text = "How long calls waited and ran, as the server says: Server-Timing."
        yield over("Inside the server", text, _inside(rows), say_y=words.duration)
    if any(row.batches for row in rows):
        series = [
            Series("mean", tuple((row.rate, row.batch or None) for row in rows)),
            Series("largest", tuple((row.rate, max(row.batches, default=None)) for row in rows)),
        ]
        yield over("Batch size", "How many ran together with a call.", series, say_y=words.rate, from_zero=True)


def _percentiles(rows: Sequence[Row], of: Callable[[Row], Percentiles | None]) -> list[Series]:
    return [Series(name, tuple((row.rate, _value(of(row), key)) for row in rows)) for name, key in _TIMES]


def _inside(rows: Sequence[Row]) -> list[Series]:
    found: Mapping[str, Callable[[Row], float | None]] = {
        "run p50": lambda row: _value(row.run_s, "p50"),
        "queue p50": lambda row: _value(row.queue_s, "p50"),
        "queue p99": lambda row: _value(row.queue_s, "p99"),
    }
    return [Series(name, tuple((row.rate, value(row)) for row in rows)) for name, value in found.items()]


def _throughput(rows: Sequence[Row]) -> list[Series]:
    found = [
        Series("answered", tuple((row.rate, row.answered_rate) for row in rows)),
        Series("offered", tuple((row.rate, row.offered_rate) for row in rows)),
    ]
    if any(row.failures for row in rows):
        failed = tuple((row.rate, row.failed_share * row.offered_rate) for row in rows)
        found.append(Series("not answered", failed))
    return found


def _value(found: Percentiles | None, key: str) -> float | None:
    return None if found is None else float(getattr(found, key))
