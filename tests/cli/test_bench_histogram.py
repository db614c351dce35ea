"""The histogram's percentiles are the true ones, by nearest rank, to a thousandth or a microsecond."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentod.cli.bench_histogram import Histogram

FRACTIONS = (0.5, 0.9, 0.99, 0.999, 1.0)


@given(st.lists(st.floats(0, 100_000), min_size=1, max_size=300))
def test_percentiles_are_close_above_the_true_ones(values):
    histogram = Histogram()
    for value in values:
        histogram.add(value)
    ordered = sorted(values)
    for fraction, found in zip(FRACTIONS, histogram.at(*FRACTIONS), strict=True):
        true = ordered[math.ceil(round(fraction * len(ordered), 6)) - 1]
        assert true - 1e-9 <= found <= true + max(1.01e-6, true / 1024 + 1e-9)


def test_mean_and_largest_are_exact():
    histogram = Histogram()
    for value in (0.1, 0.2, 0.6):
        histogram.add(value)
    found = histogram.percentiles()
    assert (found.count, found.max) == (3, 0.6)
    assert found.mean == pytest.approx(0.3)


def test_it_stays_small():
    histogram = Histogram()
    for micros in range(200_000):
        histogram.add(micros / 1e6)
    assert len(histogram._cells) < 10_000


def test_nothing_and_less_than_nothing():
    histogram = Histogram()
    assert histogram.percentiles() is None
    histogram.add(-1.0)
    assert histogram.percentiles().max == 0.0
    assert histogram.at(0.0, 1.0) == [0.0, 1e-6] or histogram.at(0.0, 1.0) == [0.0, 0.0]
