"""Rates, durations and what is to be said of a row of `bentod bench`, for people. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bentod.cli.bench_tally import Row

_FAILED_SHARE = 0.01


def rate(value: float) -> str:
    """`0.25`, `12.5`, `1,234`."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def duration(value_s: float) -> str:
    """`850 µs`, `1.25 ms`, `12.5 s`: three digits."""
    if value_s < 0.0009995:
        return f"{value_s * 1e6:.0f} µs"
    if value_s < 0.9995:
        return f"{_digits(value_s * 1e3)} ms"
    return f"{_digits(value_s)} s"


def size(value: int) -> str:
    """`120 B`, `1.5 KiB`."""
    if value < 1024:
        return f"{value} B"
    return f"{_digits(value / 1024)} KiB" if value < 1024 * 1024 else f"{_digits(value / 1024 / 1024)} MiB"


def mark(row: Row) -> str:
    """The words at the end of a row."""
    marks = {"cut short": row.partial, "overloaded": row.overloaded, "not reliable": bool(row.unreliable)}
    return ", ".join(word for word, applies in marks.items() if applies)


def failures(row: Row) -> str:
    """`3 queue-full, 1 timed-out`, with what a Retry-After said; empty if all went well."""
    text = ", ".join(f"{count:,} {code}" for code, count in row.failures.items())
    if row.retry_after_s is None:
        return text
    least, most = row.retry_after_s
    return f"{text}; Retry-After {least:g} s" + (f" to {most:g} s" if most > least else "")


def notes(row: Row) -> Iterator[str]:
    """What has to be said besides the numbers."""
    if row.failures:
        yield failures(row)
    if row.unreliable:
        yield row.unreliable
    if row.waited:
        yield f"{row.waited:,} calls had to wait for one of the connections; their time counts from when they were due"


def held(rows: Sequence[Row]) -> Row | None:
    """The highest rate that the API kept up with: nothing piled up, and at most 1 % of the calls failed."""
    good = [row for row in rows if row.answered and not row.overloaded and not row.partial]
    return max((row for row in good if row.failed_share <= _FAILED_SHARE), key=lambda row: row.rate, default=None)


def verdict(rows: Sequence[Row]) -> str:
    """One sentence; empty if there is nothing to say."""
    best = held(rows)
    if best is not None and best.latency_s is not None:
        but = f" But that row is not reliable: {best.unreliable}." if best.unreliable else ""
        return f"It keeps up with {rate(best.rate)}/s, with a p99 of {duration(best.latency_s.p99)}.{but}"
    return "It keeps up with none of these rates." if rows and not rows[0].partial else ""


def _digits(value: float) -> str:
    return f"{value:.0f}" if value >= 99.95 else f"{value:.1f}" if value >= 9.995 else f"{value:.2f}"
