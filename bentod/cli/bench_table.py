"""The table of `bentod bench`, row by row, so that each can be shown as soon as it is measured. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bentod.cli import bench_words as words
from bentod.cli.bench_histogram import Percentiles
from bentod.cli.bench_tally import Row

_WIDTH = 7


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its name and what is in it."""

    name: str
    cell: Callable[[Row], str]


def columns(*, stream: bool) -> tuple[Column, ...]:
    """Those of an API whose answers are streams, or are not."""
    between = (
        (
            Column("first p50", lambda row: _time(row.first_s, "p50")),
            Column("first p99", lambda row: _time(row.first_s, "p99")),
            Column("chunks/s", lambda row: words.rate(row.chunk_rate) if row.chunk_rate else "-"),
        )
        if stream
        else ()
    )
    return (
        Column("offered/s", lambda row: words.rate(row.rate)),
        Column("answered/s", lambda row: words.rate(row.answered_rate)),
        *between,
        Column("p50", lambda row: _time(row.latency_s, "p50")),
        Column("p99", lambda row: _time(row.latency_s, "p99")),
        Column("p99.9", lambda row: _time(row.latency_s, "p99_9")),
        Column("queue p50", lambda row: _time(row.queue_s, "p50")),
        Column("run p50", lambda row: _time(row.run_s, "p50")),
        Column("batch", lambda row: f"{row.batch:.1f}" if row.batches else "-"),
        Column("failed", lambda row: f"{row.failed_share:.1%}" if row.failures else "-"),
        Column("late p99", lambda row: _time(row.late_s, "p99")),
    )


def head(*, stream: bool) -> str:
    """The names of the columns."""
    return "  ".join(column.name.rjust(_WIDTH) for column in columns(stream=stream))


def lines(row: Row, *, stream: bool) -> Iterator[str]:
    """A row, and below it what else there is to say."""
    cells = "  ".join(column.cell(row).rjust(max(_WIDTH, len(column.name))) for column in columns(stream=stream))
    yield f"{cells}  {words.mark(row)}".rstrip()
    for note in words.notes(row):
        yield " " * 11 + note


def _time(found: Percentiles | None, which: str) -> str:
    return "-" if found is None else words.duration(getattr(found, which))
