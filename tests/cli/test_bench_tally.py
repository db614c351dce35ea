"""What is counted at one rate, and what it comes to."""

import pytest

from bentod.cli import bench_words as words
from bentod.cli.bench_exchange import Exchange
from bentod.cli.bench_pool import TIMED_OUT
from bentod.cli.bench_tally import Tally, Window

WINDOW = Window(100.0, 110.0)


def happen(tally, intended, took, failure="", late=0.0, waited=False, headers=None, chunks=0):
    exchange = Exchange(intended, b"")
    exchange.late = late
    exchange.headers = headers or {}
    exchange.chunks = chunks
    tally.start(exchange, waited=waited)
    exchange.first = intended + took / 2
    exchange.end(intended + took, failure)
    tally.end(exchange)


def summed(tally, cpu=0.1, until=110.0, stream=False, partial=False):
    return tally.row(10.0, cpu, until, stream=stream, partial=partial)


def steady(took=0.01, count=100, **more):
    tally = Tally(WINDOW)
    for number in range(count):
        happen(tally, 100 + number * 10 / count, took, **more)
    return tally


def test_a_steady_row():
    row = summed(steady(), stream=True)
    assert (row.intended, row.answered, row.offered_rate, row.answered_rate) == (100, 100, 10, 10)
    assert row.latency_s.p50 == pytest.approx(0.01, rel=2e-3)
    assert row.first_s.p99 == pytest.approx(0.005, rel=2e-3)
    assert (row.overloaded, row.unreliable, row.partial, words.mark(row)) == (False, "", False, "")
    assert (row.batches, row.queue_s, row.run_s, row.batch) == ({}, None, None, 0.0)
    assert summed(steady()).first_s is None


def test_the_warm_up_does_not_count():
    tally = steady()
    for number in range(20):
        happen(tally, 98 + number / 10, 5.0)  # they are answered while it counts: that is throughput, not latency
    row = summed(tally)
    assert (row.intended, row.answered, row.latency_s.count) == (100, 100, 100)
    assert row.latency_s.max < 0.02
    assert row.answered_rate == 12


def test_answers_after_the_time_are_no_throughput():
    tally = steady()
    happen(tally, 109.9, 5.0)
    row = summed(tally)
    assert (row.answered, row.answered_rate, row.latency_s.max) == (101, 10.0, pytest.approx(5.0))


def test_what_the_server_says():
    timing = b'queue;dur=1.500, run;dur=2.250, ttfc;dur=9.000, batch;desc="8"'
    row = summed(steady(headers={b"server-timing": timing}, chunks=3), stream=True)
    assert row.queue_s.p50 == pytest.approx(0.0015, abs=2e-6)
    assert row.run_s.p50 == pytest.approx(0.00225, rel=2e-3)
    assert (row.batches, row.batch, row.chunk_rate) == ({8: 100}, 8.0, 30.0)


def test_refusals_and_their_hints():
    tally = steady()
    for seconds in (b"3", b"1", b"7", b"soon", b""):
        happen(tally, 105.0, 0.001, "queue-full", headers={b"retry-after": seconds})
    happen(tally, 105.0, 0.001, "deadline-exceeded")
    row = summed(tally)
    assert (row.failures, row.retry_after_s) == ({"queue-full": 5, "deadline-exceeded": 1}, (1, 7))
    assert row.latency_s.count == 100
    assert words.failures(row) == "5 queue-full, 1 deadline-exceeded; Retry-After 1 s to 7 s"


def test_who_was_given_up_counts_with_the_time_after_which():
    tally = steady(count=98)
    happen(tally, 105.0, 10.0, TIMED_OUT)
    happen(tally, 105.0, 10.0, TIMED_OUT)
    row = summed(tally)
    assert (row.answered, row.failures, row.latency_s.count) == (98, {TIMED_OUT: 2}, 100)
    assert row.latency_s.p99 == pytest.approx(10.0, rel=2e-3)


@pytest.mark.parametrize("overload", [1.0, 1.2])
def test_overloaded_is_what_piles_up(overload):
    tally = Tally(WINDOW)
    free = 100.0
    for number in range(int(1_000 * overload)):
        intended = 100 + number / 100 / overload
        free = max(free, intended) + 0.01  # a server that answers a hundred a second, one after the other
        happen(tally, intended, free - intended)
    row = summed(tally)
    assert row.overloaded == (overload > 1)
    assert row.answered_rate == pytest.approx(100, rel=0.01)


def test_slow_is_not_overloaded():
    assert not summed(steady(took=8.0)).overloaded


def test_the_generator_tells_on_itself():
    assert "late by 5.0 ms" in summed(steady(late=0.005)).unreliable
    assert summed(steady(took=0.1, late=0.005)).unreliable == ""  # little against what was measured
    assert summed(steady(late=0.0009)).unreliable == ""
    assert "95% of a core" in summed(steady(), cpu=0.95).unreliable


def test_a_partial_row():
    tally = Tally(WINDOW)
    for number in range(20):
        happen(tally, 100 + number / 10, 0.01)
    row = summed(tally, until=102.0, partial=True)
    assert (row.partial, row.duration_s, row.offered_rate, row.overloaded) == (True, 2.0, 10.0, False)
    assert words.mark(row) == "cut short"


def test_an_empty_row():
    row = summed(Tally(WINDOW), until=99.0, partial=True)
    assert (row.intended, row.latency_s, row.late_s, row.failed_share) == (0, None, None, 0.0)


def test_the_verdict_is_the_highest_rate_that_was_held():
    good, bad = summed(steady()), summed(steady(count=100, failure="queue-full"))
    assert words.held([bad]) is None
    assert words.held([bad, good]) is good
    assert words.verdict([bad]) == "It keeps up with none of these rates."
    assert words.verdict([good]) == "It keeps up with 10/s, with a p99 of 10.0 ms."
    assert "not reliable" in words.verdict([summed(steady(), cpu=1.0)])
    assert words.verdict([]) == ""


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0 µs"), (0.00085, "850 µs"), (0.0009996, "1.00 ms"), (0.00125, "1.25 ms"), (0.012345, "12.3 ms"),
     (0.9994, "999 ms"), (0.9996, "1.00 s"), (12.5, "12.5 s"), (120, "120 s")],
)  # fmt: skip
def test_durations_in_words(value, text):
    assert words.duration(value) == text


def test_other_words():
    assert [words.rate(value) for value in (0.25, 12.5, 99.4, 1234.4)] == ["0.25", "12.5", "99.4", "1,234"]
    assert [words.size(value) for value in (0, 1023, 1536, 5 * 1024 * 1024)] == [
        "0 B",
        "1023 B",
        "1.50 KiB",
        "5.00 MiB",
    ]
