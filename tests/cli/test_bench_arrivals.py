"""Moments of arrival are those of a Poisson process, and the same for the same seed; rates are read strictly."""

import itertools
import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentod.cli.bench_arrivals import MOST_RATES, around, poisson, rates


@given(st.floats(0.01, 2_000), st.floats(0, 1e6), st.floats(0.01, 2), st.text())
def test_arrivals_ascend_within_their_time_and_are_as_many_as_the_rate_says(rate, start, length, seed):
    end = start + length
    found = list(poisson(rate, start, end, seed))
    assert len(found) == max(round(rate * (end - start)), 1)
    assert found == sorted(found)
    assert start <= found[0]
    assert found[-1] <= end


def test_the_seed_decides():
    assert list(poisson(50, 0, 4, "1/0")) == list(poisson(50, 0, 4, "1/0"))
    assert list(poisson(50, 0, 4, "1/0")) != list(poisson(50, 0, 4, "1/1"))


def test_the_gaps_are_those_of_independent_callers():
    """Exponential: their deviation is their mean, and a share of 1/e is longer than that."""
    found = list(poisson(1_000, 0, 100, "x"))
    gaps = [after - before for before, after in itertools.pairwise(found)]
    assert statistics.mean(gaps) == pytest.approx(0.001, rel=0.01)
    assert statistics.stdev(gaps) == pytest.approx(0.001, rel=0.02)
    assert sum(gap > 0.001 for gap in gaps) / len(gaps) == pytest.approx(1 / math.e, rel=0.02)


def test_every_part_of_the_time_is_equally_likely():
    found = list(poisson(1_000, 0, 100, "y"))
    for tenth in range(10):
        inside = sum(tenth * 10 <= at < tenth * 10 + 10 for at in found)
        assert abs(inside - 10_000) < 5 * math.sqrt(9_000)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("50", (50,)),
        ("50,100, 0.5", (50, 100, 0.5)),
        ("10..1000/3", (10, 100, 1000)),
        ("1,10..40/3", (1, 10, 20, 40)),
        ("10..1280", (10, 20, 40, 80, 160, 320, 640, 1280)),
    ],
)
def test_rates(text, found):
    assert rates(text) == found


@pytest.mark.parametrize(
    "text",
    ["", "x", "0", "-1", "nan", "inf", "1e9", "5..", "..5", "5..5", "9..2", "0..5", "1..2/1", "1..2/101", "1...2",
     "1.2.3..5", "1,,2", ",".join(["1"] * (MOST_RATES + 1))],
)  # fmt: skip
def test_what_is_no_rate(text):
    with pytest.raises(ValueError, match=r"rate|sweep"):
        rates(text)


def test_rates_around_a_capacity():
    found = around(1234.5)
    assert (found[0], found[-1]) == (123, 1480)
    assert list(found) == sorted(set(found))
